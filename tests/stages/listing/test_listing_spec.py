"""Data sets as specs name them, and the stages they become."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from engine.spec.component import Data
from engine.spec.discover import components
from stages.clips.spec import Config as ClipsConfig
from stages.listing.spec import Config, Folder, Kinetics, Manifest, Ucf101, Ucf101Layout


class Planned:
    """Stands in for the plan: keeps what is added."""

    def __init__(self):
        self.added = []

    def add(self, kind, name, config, inputs, seed=None, always_changed=False):
        self.added.append((kind, name, config, dict(inputs), always_changed))
        return name


def test_all_kinds_are_found():
    assert {"folder", "ucf101", "hmdb51", "kinetics", "manifest"} <= set(components(Data))


def test_a_data_set_becomes_a_listing_and_clips():
    plan = Planned()
    data = Ucf101(kind="ucf101", split=2, broken_limit=0.5)
    assert data.plan(plan) == "clips"
    (kind, name, listing, inputs, always), (clips_kind, _, clips, clips_inputs, _) = plan.added
    assert (kind, name, inputs, always) == ("listing", "listing", {}, True)
    assert listing == Config(dataset="ucf101", layout=Ucf101Layout(kind="ucf101", split=2))
    assert clips_kind == "clips" and clips_inputs == {"listing": "listing"}
    assert clips == ClipsConfig(dataset="ucf101", pack=data.pack, broken_limit=0.5)


def test_packing_is_no_part_of_the_listing():
    a, b = Planned(), Planned()
    Ucf101(kind="ucf101").plan(a)
    Ucf101(kind="ucf101", pack={"kind": "raw"}).plan(b)
    assert a.added[0] == b.added[0] and a.added[1] != b.added[1]


@pytest.mark.parametrize(
    "data", [Folder(kind="folder", name="x"), Manifest(kind="manifest", name="x"), Kinetics(kind="kinetics")]
)
def test_configurations_survive_a_stage_file(data):
    plan = Planned()
    data.plan(plan)
    config = plan.added[0][2]
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_own_data_need_a_name():
    with pytest.raises(ValidationError, match="name"):
        Folder(kind="folder")


def test_listing_and_clips_import_no_torch():
    code = "import sys, stages.listing.stage, stages.clips.stage, stages.clips.spec; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
