"""The command line: what is generated is fresh, and mistakes are messages."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import jsonschema
import pytest

from engine.repro import parse_setting
from engine.errors import UserError
from engine.spec.source import read_yaml
from tests.project import REPOSITORY, Project


@pytest.fixture
def here(tmp_path: Path) -> Project:
    """The repository itself, only read."""
    project = Project(REPOSITORY)
    project.env["VIDSPEC_HOME"] = str(tmp_path)
    return project


def test_schema_and_dvc_yaml_are_up_to_date(here: Project) -> None:
    here.vidspec("schema", "--check")
    assert "up to date" in here.vidspec("compile", "--check")


SCHEMA = json.loads((REPOSITORY / "specs" / "schema.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted((REPOSITORY / "specs").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_schema_accepts_our_specs(path: Path) -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(read_yaml(path).data)


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": "none"},
        {"modles": {}},
        {"data": {"kind": "foldr", "name": "x"}},
        {"encoder": {"kind": "narrow", "width": "wide"}},
        {"models": {"a": {"method": "infonce", "queue": 0.5}}},
        {"clip": {"frames": 0}},
    ],
)
def test_the_schema_refuses_mistakes(change: dict) -> None:
    data = {**read_yaml(REPOSITORY / "specs" / "demo.yaml").data, **change}
    assert list(jsonschema.Draft7Validator(SCHEMA).iter_errors(data))


def test_the_schema_allows_interpolation_and_reuse() -> None:
    data = {
        **read_yaml(REPOSITORY / "specs" / "demo.yaml").data,
        "clip": {"frames": "${knobs.epochs}"},
        "models": {"a": {"method": "random"}, "b": {"extends": "a", "with": {"encoder": {"kind": "narrow"}}}},
    }
    jsonschema.Draft7Validator(SCHEMA).validate(data)


def test_any_spec_can_be_planned(here: Project) -> None:
    output = here.vidspec("plan", "lips20")
    assert "lips20.infonce-rgb.s0" in output and "lips20.listing" in output
    assert "VIDSPEC_ROOT_LIPS20=/path/to/it" in output  # what is missing for it to run
    assert "Did you mean 'demo'" in here.vidspec("plan", "deno", fails=True)


def test_outside_a_checkout(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.env["PYTHONPATH"] = str(REPOSITORY)
    output = project.vidspec("plan", fails=True)
    assert "is no Vidspec checkout" in output and "Traceback" not in output


def test_a_broken_spec_stops_everything_with_a_message(toy: Project) -> None:
    toy.edit("specs/toy.yaml", "seeds: [0, 1]", "seds: [0, 1]")
    for words in (["compile"], ["plan"], ["repro"], ["table"]):
        output = toy.vidspec(*words, fails=True)
        assert output.startswith("specs/toy.yaml:5:1: unknown key 'seds'") and "Traceback" not in output
    output = toy.dvc("repro", fails=True)
    assert "specs/toy.yaml:5:1: unknown key 'seds'" in output and "Traceback" not in output


def test_a_bad_setting_leaves_no_trace(toy: Project) -> None:
    before = toy.read("params.yaml"), toy.read("dvc.yaml")
    for setting, message in (("toy.powr=3", "Did you mean 'power'"), ("power=3", "knobs named spec.knob"), ("toy.power", "spec.knob=value")):
        assert message in toy.vidspec("repro", "-S", setting, fails=True)
    assert (toy.read("params.yaml"), toy.read("dvc.yaml")) == before
    assert "exclude each other" in toy.vidspec("repro", "--temp", "--queue", fails=True)


def test_settings_are_yaml() -> None:
    assert parse_setting("demo.lr=1e-3") == (("demo", "lr"), 0.001)
    assert parse_setting("specs=[a, b]") == (("specs",), ["a", "b"])
    assert parse_setting("demo.name=x=y") == (("demo", "name"), "x=y")
    for bad in ("demo", "=3", "a b=3", "a.=3", "demo.x=[1"):
        with pytest.raises(UserError):
            parse_setting(bad)


def test_doctor_names_what_is_missing(toy: Project) -> None:
    toy.write("local.yaml", "datasets: {mine: /nowhere/at/all}\n")
    output = toy.vidspec("doctor")
    assert "note data mine" in output and "/nowhere/at/all is not a folder" in output
    assert "ok   torch" in output and "ok   H.264 encoder: libx264" in output
    toy.write("local.yaml", "datasts: {}\n")
    assert "bad  local.yaml" in toy.vidspec("doctor", fails=True)


def test_gc_takes_abandoned_checkpoints_and_nothing_that_is_young(toy: Project) -> None:
    folders = [toy.root / ".vidspec" / "checkpoints" / name for name in ("old", "young")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "step-000000005.pt").write_bytes(b"x" * 1000)
    old = time.time() - 30 * 24 * 3600
    os.utime(folders[0] / "step-000000005.pt", (old, old))
    assert "1 files" in toy.vidspec("gc", "--yes")
    assert not folders[0].exists() and folders[1].exists()

