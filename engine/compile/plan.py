"""The plan: the graph of stages that a study expands to, as data, before anything runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from engine.compile.fingerprint import code_of
from engine.errors import UserError
from engine.report.spec import Cell, Config as ReportConfig
from engine.spec.component import StageConfig
from engine.spec.study import BaseStudy
from engine.spec.wiring import model_order


@dataclass(frozen=True)
class Source:
    """An output of a stage that others read: a path below the checkout."""

    stage: str
    path: str

    @property
    def metrics(self) -> Source:
        """The metrics file of the same stage."""
        return Source(self.stage, f"{self.path}.metrics.json")


@dataclass(frozen=True)
class Stage:
    """One unit of work. ``name`` is ``<study>.<local name>``; ``expected``: sizes of the data, for forecasts only."""

    name: str
    kind: str
    config: StageConfig
    inputs: Mapping[str, Source | tuple[Source, ...]]
    seed: int
    always_changed: bool = False
    expected: Mapping[str, int] = field(default_factory=dict)

    @property
    def study(self) -> str:
        return self.name.split(".", 1)[0]

    @property
    def output(self) -> Source:
        study, local = self.name.split(".", 1)
        return Source(self.name, f"results/{study}/{local}")

    @property
    def file(self) -> str:
        """Path of the stage file."""
        return f"plan/{self.name}.json"

    def sources(self) -> list[Source]:
        """All inputs, flat, in order, each once."""
        flat = [s for v in self.inputs.values() for s in (v if isinstance(v, tuple) else (v,))]
        return list(dict.fromkeys(flat))

    @cached_property
    def content(self) -> dict[str, Any]:
        """What the stage file says."""
        inputs = {role: [s.path for s in v] if isinstance(v, tuple) else v.path for role, v in self.inputs.items()}
        return {
            "stage": self.name,
            "kind": self.kind,
            "seed": self.seed,
            "config": identity(self.config),
            "inputs": inputs,
            "code": code_of(self.kind),
        }

    def text(self) -> str:
        """The stage file's text: the same content always gives the same bytes."""
        return json.dumps(self.content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def identity(model: BaseModel) -> dict[str, Any]:
    """A configuration as JSON, without fields that were added later and still have their neutral value."""
    result = model.model_dump(mode="json")
    return _prune(model, result)


def _prune(value: Any, dumped: Any) -> Any:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("neutral") and getattr(value, name) == field.default:
                dumped.pop(name)
            elif name in dumped:
                _prune(getattr(value, name), dumped[name])
    elif isinstance(value, dict):
        for key, item in value.items():
            _prune(item, dumped[str(key)])
    elif isinstance(value, (tuple, list)):
        for item, below in zip(value, dumped):
            _prune(item, below)
    return dumped


class Plan:
    """Builds the stages of one study; components add to it through ``add``."""

    def __init__(self, study: BaseStudy) -> None:
        self.study = study
        self.stages: dict[str, Stage] = {}
        self._models: dict[tuple[str, int], Source] = {}
        self._prefix = ""
        self._expected = study.data.expected()
        self.data: Source = study.data.plan(self)
        trainings: dict[str, list[str]] = {}
        for name in model_order(study):
            made = set()
            for seed in () if study.models[name].members() else study.seeds:
                for output, source in study.models[name].plan(self, name, seed).items():
                    self._models[f"{name}.{output}" if output else name, seed] = source
                    made.add(source.stage)
            trainings[name] = [stage for stage in self.stages if stage in made]
        cells = self._evaluations()
        if study.tables:
            self._report(cells)
        for names in trainings.values():
            self._leave_out_unread(names)

    def add(
        self,
        kind: str,
        name: str,
        config: StageConfig,
        inputs: Mapping[str, Source | Sequence[Source]],
        seed: int | None = None,
        always_changed: bool = False,
    ) -> Source:
        """Add a stage (or find the one of that name and content) and return its output.

        seed: root of the stage's randomness; without one it is 0, the same for every run of the study.
        Raises UserError when another stage of that name exists.
        """
        frozen = {role: s if isinstance(s, Source) else tuple(s) for role, s in inputs.items()}
        full = self._full(name)
        stage = Stage(full, kind, config, frozen, seed or 0, always_changed, self._expected)
        known = self.stages.setdefault(stage.name, stage)
        if known != stage:
            raise UserError(f"two different stages of spec {self.study.name!r} would be called {self._prefix + name!r}")
        return known.output

    def has(self, name: str) -> bool:
        """Whether a stage of that name was added."""
        return self._full(name) in self.stages

    @contextmanager
    def on(self, name: str | None) -> Iterator[None]:
        """For a while ``data`` is data set ``name`` of the study's ``datasets``, and new stages have its name before theirs.

        None stands for the study's own data.
        """
        if name is None:
            yield
            return
        before = self._prefix, self._expected, self.data
        self._prefix, self._expected = f"{name}.", self.study.datasets[name].expected()
        self.data = self.study.datasets[name].plan(self)
        yield
        self._prefix, self._expected, self.data = before

    def model(self, ref: str, seed: int) -> Source:
        """The encoder that model ``ref`` (``name`` or ``name.output``) trained with ``seed``."""
        return self._models[ref, seed]

    def twins(self) -> list[tuple[str, str]]:
        """Pairs of stages that do the same work under two names."""
        seen: dict[str, str] = {}
        pairs = []
        for stage in self.stages.values():
            content = {k: v for k, v in stage.content.items() if k != "stage"}
            key = json.dumps(content, sort_keys=True)
            if key in seen:
                pairs.append((seen[key], stage.name))
            seen.setdefault(key, stage.name)
        return pairs

    def _evaluations(self) -> dict[tuple[str, str], Source]:
        cells = {}
        outputs = self.study.model_outputs()
        for evaluation in self.study.evaluate:
            with self.on(evaluation.data):
                for ref in evaluation.models:
                    if members := outputs[ref].members():
                        encoders = {member: self._encoders(member) for member in members.values()}
                        cells[evaluation.label, ref] = evaluation.combine(self, ref, encoders)
                    else:
                        cells[evaluation.label, ref] = evaluation.plan(self, ref, self._encoders(ref))
        return cells

    def _leave_out_unread(self, names: Sequence[str]) -> None:
        """Drop those of the stages that make one model's outputs of which nothing comes: nobody measures or starts from them.

        A model of which nothing at all is used is trained for its own sake, and stays whole.
        """

        def readers(name: str) -> set[str]:
            return {s.name for s in self.stages.values() if any(source.stage == name for source in s.sources())}

        if any(readers(name) - set(names) for name in names):
            for name in reversed(names):
                if not readers(name):
                    del self.stages[name]

    def _full(self, name: str) -> str:
        return f"{self.study.name}.{self._prefix}{name}"

    def _encoders(self, ref: str) -> tuple[Source, ...]:
        return tuple(self.model(ref, seed) for seed in self.study.seeds)

    def _report(self, cells: Mapping[tuple[str, str], Source]) -> None:
        study = self.study
        config = ReportConfig(
            title=study.title or study.name,
            paper=study.paper,
            tables=study.tables,
            order=tuple(study.tables),
            deviations=study.deviations,
            seeds=study.seeds,
            cells=tuple(Cell(protocol=label, model=ref, stage=source.stage) for (label, ref), source in cells.items()),
        )
        self.add("report", "report", config, {"metrics": [source.metrics for source in cells.values()]})


def expand(studies: Iterable[BaseStudy]) -> list[Stage]:
    """All stages of the studies, producers before consumers."""
    return [stage for study in studies for stage in Plan(study).stages.values()]


def graph_digest(stages: Sequence[Stage]) -> str:
    """Digest of the shape of the graph: names, inputs and which stages always run, but no configuration."""
    shape = [(s.name, s.always_changed, [x.path for x in s.sources()]) for s in stages]
    return hashlib.blake2b(json.dumps(shape).encode(), digest_size=8).hexdigest()
