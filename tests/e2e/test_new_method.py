"""A method is a folder: a copy of the project learns a new one without a change to any existing file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.project import make_project

SPEC = '''
"""An encoder whose random weights are scaled."""

from __future__ import annotations

from typing import Literal

from engine.spec.component import Name, StageConfig
from stages.nn.spec import Encoder, Trained
from stages.video.spec import Clip, View


class Scaled(Trained):
    method: Literal["scaled"]
    view: Name = "rgb"
    strength: float = 1.0

    def output_views(self):
        return {"": self.view}

    def plan(self, plan, name, seed):
        study = plan.study
        config = Config(
            strength=self.strength, view_name=self.view, view=study.views[self.view], clip=study.clip, encoder=self.network(study)
        )
        return {"": plan.add("scaled", f"{name}.s{seed}", config, {"clips": plan.data}, seed=seed)}


class Config(StageConfig):
    strength: float
    view_name: Name
    view: View
    clip: Clip
    encoder: Encoder
'''

STAGE = '''
from stages.nn.start import new_encoder
from stages.nn.spec import Card
from stages.nn.weights import save_encoder
from stages.video.clips import Clips


def run(config, context):
    clips = Clips.open(context.input("clips"), context)
    encoder = new_encoder(config.encoder, config.view.channels, context)
    for parameter in encoder.parameters():
        parameter.data *= config.strength
    card = Card(encoder=config.encoder, view_name=config.view_name, view=config.view, clip=config.clip, stage=context.name)
    save_encoder(context.out, encoder, card)
    return {"videos": len(clips.paths)}
'''

STUDY = """
spec: 1
name: tiny
data: {kind: synthetic_actions, train: 16, test: 16, frames: 6, size: 32}
clip: {frames: 4, size: 32}
encoder: {kind: narrow, width: 4}
models:
  scaled: {method: scaled, strength: 0.5}
evaluate:
  - {protocol: retrieval, models: [scaled]}
tables:
  one: {rows: [scaled], columns: [retrieval.recall_at_1]}
"""


def test_a_new_method_is_a_folder_and_a_spec(tmp_path: Path) -> None:
    project = make_project(tmp_path / "copy", copy_specs=False)
    (project.root / "specs").mkdir()
    project.commit("as it was")
    folder = project.root / "stages" / "scaled"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "spec.py").write_text(SPEC)
    (folder / "stage.py").write_text(STAGE)
    project.write("specs/tiny.yaml", STUDY)
    project.write("params.yaml", "specs: [tiny]\n")

    output = project.vidspec("repro")
    assert "retrieval recall" in output
    scores = json.loads(project.read("results/tiny/retrieval.scaled.metrics.json"))
    assert 0 <= scores["seeds"]["0"]["recall_at_1"] <= 1
    changed = subprocess.run(["git", "diff", "--stat", "HEAD"], cwd=project.root, capture_output=True, text=True).stdout
    assert changed == ""
    assert '"scaled"' in json.dumps(json.loads(schema_of(project)))


def schema_of(project) -> str:
    project.vidspec("schema")
    return project.read("specs/schema.json")
