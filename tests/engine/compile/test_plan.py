"""From a study to stages: order, sharing, identity, wiring, and the files that come out."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.compile import plan as plan_module
from engine.compile.dvcfile import dvc_content
from engine.compile.plan import Plan, Stage, graph_digest, identity
from engine.errors import UserError
from engine.spec.component import Data, Method, Protocol, StageConfig, Strict, neutral
from engine.spec.study import BaseStudy
from engine.spec.wiring import model_order, wiring


class Config(StageConfig):
    value: int = 1


class Numbers(Data):
    kind: Literal["numbers"] = "numbers"

    def plan(self, plan: Plan) -> Any:
        return plan.add("numbers", "numbers", Config(), {})


class Pair(Method):
    """A method with two outputs, as co-training has."""

    method: Literal["pair"] = "pair"
    value: int = 1
    init: str | None = None

    def starts_from(self) -> dict[tuple[str, ...], str]:
        return {("init",): self.init} if self.init else {}

    def outputs(self) -> tuple[str, ...]:
        return ("left", "right")

    def plan(self, plan: Plan, name: str, seed: int) -> dict[str, Any]:
        start = {"init": plan.model(self.init, seed)} if self.init else {}
        return {
            side: plan.add("pair", f"{name}.{side}.s{seed}", Config(value=self.value), {"data": plan.data, **start}, seed=seed)
            for side in self.outputs()
        }


class Score(Protocol):
    protocol: Literal["score"] = "score"
    metrics: ClassVar[tuple[str, ...]] = ("top1",)

    def plan(self, plan: Plan, model: str, encoders: Any) -> Any:
        shared = plan.add("features", f"features.{model}", Config(), {"models": encoders})
        return plan.add("score", f"{self.label}.{model}", Config(), {"features": shared})


class Study(BaseStudy):
    data: Numbers = Numbers()
    datasets: dict[str, Numbers] = {}
    models: dict[str, Pair] = {}
    evaluate: tuple[Score, ...] = ()


@pytest.fixture(autouse=True)
def same_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "code_of", lambda kind: {"runtime": 1, "digest": kind, "parts": {}})


def study(**models: Pair) -> Study:
    return Study(spec=1, name="s", seeds=(0, 1), models=models, evaluate=(Score(models=("a.left",)), Score(name="again", models=("a.right",))))


def test_stages_come_after_what_they_read_and_are_shared() -> None:
    stages = list(Plan(study(b=Pair(init="a.right"), a=Pair())).stages.values())
    names = [s.name for s in stages]
    assert names == [
        "s.numbers",
        *("s.a.left.s0", "s.a.right.s0", "s.a.left.s1", "s.a.right.s1"),
        *("s.b.left.s0", "s.b.right.s0", "s.b.left.s1", "s.b.right.s1"),
        *("s.features.a.left", "s.score.a.left", "s.features.a.right", "s.again.a.right"),
    ]
    for i, stage in enumerate(stages):
        assert all(names.index(source.stage) < i for source in stage.sources())
    features = stages[names.index("s.features.a.left")]
    assert features.content["inputs"] == {"models": ["results/s/a.left.s0", "results/s/a.left.s1"]}


def test_the_same_name_for_different_work_is_refused() -> None:
    plan = Plan(study(a=Pair()))
    assert plan.add("numbers", "numbers", Config(), {}) == plan.data
    with pytest.raises(UserError, match="two different stages"):
        plan.add("numbers", "numbers", Config(value=2), {})


def test_twins_are_told() -> None:
    assert Plan(study(a=Pair(), b=Pair())).twins()[0] == ("s.a.left.s0", "s.a.right.s0")


def test_stage_files_are_stable_and_say_what_matters() -> None:
    stages = Plan(study(a=Pair())).stages
    text = stages["s.a.left.s1"].text()
    assert text == Plan(study(a=Pair())).stages["s.a.left.s1"].text()
    content = json.loads(text)
    assert content["config"] == {"value": 1} and content["seed"] == 1 and content["kind"] == "pair"
    changed = Plan(study(a=Pair(value=2))).stages
    assert {n for n in stages if stages[n].text() != changed[n].text()} == {f"s.a.{side}.s{seed}" for side in ("left", "right") for seed in (0, 1)}


def test_the_graph_digest_sees_shape_and_not_configuration() -> None:
    base = graph_digest(list(Plan(study(a=Pair())).stages.values()))
    assert graph_digest(list(Plan(study(a=Pair(value=2))).stages.values())) == base
    assert graph_digest(list(Plan(study(a=Pair(), b=Pair())).stages.values())) != base
    assert graph_digest(list(Plan(study(a=Pair(), b=Pair(init="a.left"))).stages.values())) != graph_digest(
        list(Plan(study(a=Pair(), b=Pair(init="a.right"))).stages.values())
    )


class Inner(Strict):
    old: int = 1
    new: int = neutral(0)


class Outer(StageConfig):
    inner: Inner = Inner()
    several: tuple[Inner, ...] = (Inner(),)
    later: str = neutral("off")


def test_a_neutral_field_is_left_out_of_the_identity() -> None:
    assert identity(Outer()) == {"inner": {"old": 1}, "several": [{"old": 1}]}
    used = Outer(inner=Inner(new=2), several=(Inner(), Inner(new=3)), later="on")
    assert identity(used) == {"inner": {"old": 1, "new": 2}, "several": [{"old": 1}, {"old": 1, "new": 3}], "later": "on"}


def test_dvc_yaml() -> None:
    stages = list(Plan(study(a=Pair())).stages.values())
    content = dvc_content([*stages, Stage("s.listing", "listing", Config(), {}, 0, always_changed=True)])["stages"]
    assert content["s.score.a.left"] == {
        "cmd": "python -m engine.run s.score.a.left",
        "deps": ["plan/s.score.a.left.json", "results/s/features.a.left"],
        "outs": ["results/s/score.a.left"],
        "metrics": [{"results/s/score.a.left.metrics.json": {"cache": False}}],
    }
    assert content["s.listing"]["always_changed"] is True
    assert content["compile"]["outs"][-1] == "plan/resources.json" and "plan/s.listing.json" in content["compile"]["outs"]


@given(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("abcdef"), max_size=6))
def test_model_order_is_topological_or_a_circle_is_reported(edges: dict[str, str]) -> None:
    names = sorted({*edges, *edges.values()})
    made = Study(spec=1, name="s", models={n: Pair(init=f"{edges[n]}.left") if n in edges else Pair() for n in names})

    def in_circle(name: str) -> bool:
        seen = []
        while name in edges and name not in seen:
            seen.append(name)
            name = edges[name]
        return name in edges

    problems = wiring(made)
    assert any("circle" in p.message for p in problems) == any(map(in_circle, names))
    if not problems:
        order = model_order(made)
        assert sorted(order) == names
        assert all(order.index(b) < order.index(a) for a, b in edges.items())


def test_models_are_measured_on_another_data_set_than_they_were_trained_on():
    here, there = Score(models=("m.left",)), Score(name="far", data="other", models=("m.left",))  # m.right is read by none
    plan = Plan(Study(spec=1, name="s", datasets={"other": Numbers()}, models={"m": Pair()}, evaluate=(here, there)))
    assert list(plan.stages) == [
        "s.numbers", "s.m.left.s0", "s.features.m.left", "s.score.m.left",
        "s.other.numbers", "s.other.features.m.left", "s.other.far.m.left",
    ]  # fmt: skip
    assert plan.stages["s.other.features.m.left"].inputs["models"] == (plan.model("m.left", 0),)
    assert plan.data.stage == "s.numbers"  # as before


def test_a_data_set_that_the_study_does_not_have():
    study = Study(spec=1, name="s", datasets={"other": Numbers()}, models={"m": Pair()}, evaluate=(Score(data="othr", models=("m.left",)),))
    (problem,) = wiring(study)
    assert problem.path == ("evaluate", 0, "data")
    assert problem.message == "score: no data set 'othr'. Did you mean 'other'? There are: other"
    (problem,) = wiring(study.model_copy(update={"datasets": {}}))
    assert problem.message.endswith("The study has no `datasets`")


class Chain(Method):
    """A method whose two outputs are trained in turns, each starting from the other."""

    method: Literal["chain"] = "chain"

    def outputs(self) -> tuple[str, ...]:
        return ("a", "b")

    def plan(self, plan: Plan, name: str, seed: int) -> dict[str, Any]:
        latest: dict[str, Any] = {}
        for turn, output in enumerate("abab"):
            latest[output] = plan.add("turn", f"{name}.{turn}.s{seed}", Config(), {"from": tuple(latest.values())}, seed=seed)
        return latest


@pytest.mark.parametrize(
    ("measured", "turns"), [(("m.a",), 3), (("m.b",), 4), (("m.a", "m.b"), 4), ((), 4)], ids=["a", "b", "both", "neither"]
)
def test_a_model_is_trained_as_far_as_its_measured_outputs_need(measured, turns):
    class Chains(Study):
        models: dict[str, Chain] = {}

    scores = (Score(models=measured),) if measured else ()
    plan = Plan(Chains(spec=1, name="s", seeds=(0, 1), models={"m": Chain()}, evaluate=scores))
    for seed in (0, 1):
        assert [n for n in plan.stages if n.startswith("s.m.") and n.endswith(f"s{seed}")] == [f"s.m.{t}.s{seed}" for t in range(turns)]
