"""Untrimmed data sets as specs name them, and the stages they become."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.spec.component import Data
from engine.spec.discover import components
from stages.annotations.spec import ActivityNet, ActivityNetLayout, Config, Thumos14, Thumos14Layout


class Planned:
    """Stands in for the plan: keeps what is added."""

    def __init__(self):
        self.added = []

    def add(self, kind, name, config, inputs, seed=None, always_changed=False):
        self.added.append((kind, name, config, dict(inputs), always_changed))
        return name


def test_both_kinds_are_found():
    found = components(Data)
    assert found["activitynet"] is ActivityNet and found["thumos14"] is Thumos14


def test_hacs_becomes_annotations_and_clips():
    plan = Planned()
    text = '{"kind": "activitynet", "name": "hacs", "file": "HACS_segments_v1.1.1.json", "videos": {"train": 9}}'
    data = ActivityNet.model_validate_json(text)
    assert data.plan(plan) == "clips" and data.root_name() == "hacs" and data.expected() == {"train": 9}
    (kind, name, config, inputs, always), (clips_kind, _, clips, clips_inputs, _) = plan.added
    assert (kind, name, inputs, always) == ("annotations", "annotations", {}, True)
    layout = ActivityNetLayout(kind="activitynet", file="HACS_segments_v1.1.1.json")
    assert config == Config(dataset="hacs", layout=layout, pictures=False)
    assert clips_kind == "clips" and clips_inputs == {"listing": "annotations"} and clips.dataset == "hacs"
    assert data.listing(plan) == "annotations"


@pytest.mark.parametrize(
    "text",
    [
        '{"kind": "activitynet", "subsets": {"train": "train", "val": "val"}, "policy": {"outside": "cut"}}',
        '{"kind": "thumos14", "left_out": ["video_test_0000270"], "pictures": {"fps": 30}}',
    ],
)
def test_configurations_survive_a_stage_file(text):
    plan = Planned()
    components(Data)[json.loads(text)["kind"]].model_validate_json(text).plan(plan)
    config = plan.added[0][2]
    assert Config.model_validate_json(config.model_dump_json()) == config
    assert isinstance(config.layout, Thumos14Layout) == config.pictures == (config.fps == 30)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"policy": {"missing": "keep"}}, "skip"),
        ({"policy": {"blurred": "skip"}}, "not permitted"),
        ({"subsets": {"training": "trian"}}, "train"),
        ({"subsets": {}}, "at least 1"),
        ({"duration": "guess"}, "container"),
    ],
)
def test_mistakes_in_a_spec(fields, message):
    with pytest.raises(ValidationError, match=message):
        ActivityNet.model_validate_json(json.dumps({"kind": "activitynet", **fields}))


def test_no_torch():
    code = "import sys, stages.annotations.stage; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


def test_specs_import_no_numpy():
    code = "import sys, stages.annotations.spec, stages.untrimmed.spec; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0
