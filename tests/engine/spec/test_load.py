"""Loading specs: reuse, knobs, and every mistake at once with its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.spec.explain import SpecError
from engine.spec.load import load_params, load_selected, load_study
from tests.project import REPOSITORY

GOOD = """\
spec: 1
name: study
knobs: {epochs: 3}
data: {kind: folder, name: mine}
encoder: {kind: narrow}
models:
  random: {method: random}
  base: {method: infonce, schedule: {epochs: "${knobs.epochs}", lr: 1e-3}}
  wide: {extends: base, with: {queue: 4096, schedule: {lr: 0.01}}}
evaluate:
  - {protocol: linear_probe, models: [random, base, wide]}
tables:
  one:
    rows: [random, base]
    columns: [linear_probe.top1]
    paper: {base: {linear_probe.top1: 46.8}}
    claims: [base > random on linear_probe.top1]
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "specs").mkdir()
    write(tmp_path, GOOD)
    (tmp_path / "params.yaml").write_text("specs: [study]\nstudy:\n  epochs: 7\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(root: Path, text: str, name: str = "study") -> Path:
    path = root / "specs" / f"{name}.yaml"
    path.write_text(text)
    return path


def errors(root: Path, text: str) -> list[str]:
    """What is said of a spec, a line a problem."""
    with pytest.raises(SpecError) as caught:
        load_study(write(root, text), load_params(root))
    return [str(f) for f in caught.value.findings]


def test_knobs_reuse_and_types(root: Path) -> None:
    (study,) = load_selected(root)
    base, wide = study.models["base"], study.models["wide"]
    assert base.schedule.epochs == wide.schedule.epochs == 7  # params.yaml wins over the spec
    assert (base.schedule.lr, wide.schedule.lr) == (1e-3, 0.01)
    assert (base.queue, wide.queue) == (2048, 4096)
    assert study.seeds == (0,)


def test_a_spec_on_top_of_another(root: Path) -> None:
    write(root, "spec: 1\nname: longer\nextends: study\nseeds: [0, 1]\nwith:\n  knobs: {epochs: 50}\n  models: {base: {queue: 64}}\n", "longer")
    study = load_study(root / "specs" / "longer.yaml", load_params(root))
    assert study.name == "longer" and study.seeds == (0, 1)
    assert study.models["base"].queue == 64
    assert study.models["base"].schedule.epochs == 50  # study's entry in params.yaml is not for this spec


def test_every_problem_at_once_each_with_its_place(root: Path) -> None:
    text = GOOD.replace("kind: folder", "kind: foldr").replace("name: study", "name: study\nseed: [0]").replace("lr: 1e-3", 'lr: "fast"')
    found = errors(root, text.replace("queue: 4096", "que: 4096"))
    assert found[0].startswith("specs/study.yaml:3:1: unknown key 'seed' in the top level. Did you mean 'seeds'?")
    assert found[1].startswith("specs/study.yaml:5:14: data: unknown kind 'foldr'. Did you mean 'folder'? Allowed:")
    assert found[2].startswith("specs/study.yaml:9:73: models.base.infonce.schedule.lr") or "schedule.lr: input should be a valid number (given: 'fast')" in found[2]
    assert "specs/study.yaml:10:32: unknown key 'que' in models.wide. Did you mean 'queue'?" in found[3]
    assert len(found) == 4


CASES = {
    "unknown method": ("method: random", "method: randm", "7:20", "unknown method 'randm'. Did you mean 'random'?"),
    "missing key": ("encoder: {kind: narrow}\n", "", "1:1", "missing: encoder is required"),
    "wrong model in an evaluation": ("[random, base, wide]", "[random, bse, wide]", "11:47", "no model 'bse'. Did you mean 'base'?"),
    "not a number": ("queue: 4096", "queue: .nan", "9:", "queue"),
    "row without model": ("rows: [random, base]", "rows: [random, base, bass]", "14:26", "row 'bass' is no model. Did you mean 'base'?"),
    "unknown metric": ("columns: [linear_probe.top1]", "columns: [linear_probe.top1, linear_probe.tops1]", "15:34", "has no metric 'tops1'. Did you mean 'top1'?"),
    "unknown extends": ("extends: base", "extends: bass", "9:19", "no model 'bass'. Did you mean 'base'?"),
    "extends itself": ("extends: base", "extends: wide", "9:19", "in a circle: wide -> wide"),
    "unused knob": ("{epochs: 3}", "{epochs: 3, depth: 4}", "3:20", "knob 'depth' is used nowhere"),
    "unknown knob": ("${knobs.epochs}", "${knobs.epoch}", "8:", "no knob 'epoch'. Did you mean 'epochs'?"),
    "environment in a result": ("name: mine", "name: '${oc.env:HOME}'", "4:28", "would change results from machine to machine"),
    "circle of init": ("random: {method: random}", "random: {method: infonce, init: base}\n  more: {method: infonce, init: more}", "8:", "in a circle: more -> more"),
    "unknown view": ("method: infonce,", "method: infonce, view: flow,", "8:", "flow"),
    "seed twice": ("models:\n", "seeds: [1, 1]\nmodels:\n", "6:8", "each seed may stand once"),
    "another name than the file": ("name: study", "name: stud", "2:7", "name both alike"),
    "bad claim": ("base > random on", "base beats random on", "17:", "claim"),
    "value of paper without row": ("paper: {base:", "paper: {wide:", "16:", "'wide' is no row of this table"),
}


@pytest.mark.parametrize("case", CASES)
def test_mistakes(root: Path, case: str) -> None:
    old, new, place, message = CASES[case]
    assert old in GOOD
    if case == "another name than the file":
        (root / "params.yaml").write_text("specs: [study]\n")
    found = errors(root, GOOD.replace(old, new, 1))
    assert any(f"study.yaml:{place}" in line and message in line for line in found), found


def test_a_wrong_knob_is_shown_in_both_files(root: Path) -> None:
    (root / "params.yaml").write_text("specs: [study]\nstudy:\n  epochs: many\n")
    (line,) = errors(root, GOOD)
    assert "specs/study.yaml:8:" in line and "given: 'many'" in line
    assert "knob 'epochs', set at params.yaml:3:11" in line


PARAMS = {
    "unknown knob": ("specs: [study]\nstudy: {epoch: 3}\n", "params.yaml:2:9: spec 'study' has no knob 'epoch'. Did you mean 'epochs'?"),
    "unknown spec": ("specs: [studi]\n", "params.yaml:1:9: no spec 'studi' in specs/. Did you mean 'study'?"),
    "stray key": ("specs: [study]\nstudie: {epochs: 3}\n", "params.yaml:2:1: 'studie' is neither `specs` nor the name of a spec. Did you mean 'study'?"),
    "no specs": ("study: {epochs: 3}\n", "params.yaml needs `specs: [name, ...]`"),
    "twice": ("specs: [study, study]\n", "params.yaml:1:16: spec 'study' is selected twice"),
    "no mapping": ("specs: [study]\nstudy: 3\n", "params.yaml:2:8: study: a mapping of knobs is needed"),
}


@pytest.mark.parametrize("case", PARAMS)
def test_mistakes_in_params(root: Path, case: str) -> None:
    text, message = PARAMS[case]
    (root / "params.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load_selected(root)
    assert message in str(caught.value)


def test_specs_extending_each_other(root: Path) -> None:
    write(root, "spec: 1\nname: a\nextends: b\n", "a")
    write(root, "spec: 1\nname: b\nextends: a\n", "b")
    with pytest.raises(SpecError, match="in a circle: a -> b -> a"):
        load_study(root / "specs" / "a.yaml")
    write(root, "spec: 1\nname: c\nextends: studi\n", "c")
    with pytest.raises(SpecError, match="no spec 'studi' beside this one. Did you mean 'study'"):
        load_study(root / "specs" / "c.yaml")


def test_loading_a_spec_imports_no_torch() -> None:
    code = (
        "import sys, pathlib; from engine.compile.main import compile_all; compile_all(pathlib.Path('.')); "
        "print([m for m in ('torch', 'torchvision', 'mlflow', 'matplotlib', 'av', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
