"""Fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.project import SHARED_DATA, TOY, Project, make_project

settings.register_profile("vidspec", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vidspec")


@pytest.fixture
def toy(tmp_path: Path) -> Project:
    """A compiled and committed project whose stages are arithmetic: the engine's behaviour without videos."""
    project = make_project(tmp_path / "toy", TOY)
    project.vidspec("compile")
    project.commit()
    return project


@pytest.fixture
def shared_data() -> Path:
    """Small real data sets beside the checkout; a test that needs them is skipped where they are absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real data sets are not on this machine")
    return SHARED_DATA
