"""Whether the parts of a study fit together: references, cycles, tables, and what each part says of itself."""

from __future__ import annotations

from engine.spec.component import Method, Problem
from engine.spec.explain import choices, nearest
from engine.spec.study import BaseStudy


def wiring(study: BaseStudy) -> list[Problem]:
    """Every problem of a study whose shape is valid."""
    problems = _models(study) + _evaluations(study)
    if len(set(study.seeds)) < len(study.seeds):
        problems.append(Problem(path=("seeds",), message="seeds: each seed may stand once"))
    if not problems:
        problems += _own(study)
        problems += _tables(study)
    return problems


def model_order(study: BaseStudy) -> list[str]:
    """Models so that each comes after those it starts from. Raises ValueError (the circle) if there is none."""
    outputs = study.model_outputs()
    names = {id(model): name for name, model in study.models.items()}
    order: list[str] = []

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(" -> ".join((*above[above.index(name) :], name)))
        if name not in order:
            for ref in _needs(study.models[name]).values():
                visit(names[id(outputs[ref])], (*above, name))
            order.append(name)

    for name in study.models:
        visit(name, ())
    return order


def _needs(model: Method) -> dict[tuple[str | int, ...], str]:
    """Models that must come before this one: path of the field -> reference."""
    return {**model.starts_from(), **model.members()}


def _models(study: BaseStudy) -> list[Problem]:
    outputs = study.model_outputs()
    problems = []
    for name, model in study.models.items():
        for field, ref in _needs(model).items():
            if ref in outputs and outputs[ref].members():
                message = f"models.{name}: {ref!r} combines other models and has no weights of its own: name one of those"
                problems.append(Problem(path=("models", name, *field), message=message))
            if ref not in outputs:
                message = f"models.{name}: no model {ref!r}.{nearest(ref, outputs)} Models: {choices(outputs)}"
                problems.append(Problem(path=("models", name, *field), message=message))
    if not problems:
        try:
            model_order(study)
        except ValueError as circle:
            first = str(circle).split(" -> ")[0]
            field = next(iter(_needs(study.models[first])))
            problems.append(Problem(path=("models", first, *field), message=f"models start from each other in a circle: {circle}"))
    return problems


def _evaluations(study: BaseStudy) -> list[Problem]:
    outputs = study.model_outputs()
    problems, labels = [], {}
    for i, evaluation in enumerate(study.evaluate):
        if evaluation.label in labels:
            message = f"two evaluations are called {evaluation.label!r}: give one of them a `name`"
            problems.append(Problem(path=("evaluate", i), message=message))
        labels[evaluation.label] = i
        if evaluation.data is not None and evaluation.data not in study.datasets:
            known = f"There are: {choices(study.datasets)}" if study.datasets else "The study has no `datasets`"
            message = f"{evaluation.label}: no data set {evaluation.data!r}.{nearest(evaluation.data, study.datasets)} {known}"
            problems.append(Problem(path=("evaluate", i, "data"), message=message))
        for j, ref in enumerate(evaluation.models):
            if ref not in outputs:
                message = f"{evaluation.label}: no model {ref!r}.{nearest(ref, outputs)} Models: {choices(outputs)}"
                problems.append(Problem(path=("evaluate", i, "models", j), message=message))
            elif outputs[ref].members() and not evaluation.combines:
                message = f"{evaluation.label} cannot measure {ref!r}, which combines other models"
                problems.append(Problem(path=("evaluate", i, "models", j), message=message))
            elif ref in evaluation.models[:j]:
                problems.append(Problem(path=("evaluate", i, "models", j), message=f"{ref!r} stands here twice"))
    return problems


def _own(study: BaseStudy) -> list[Problem]:
    problems = []
    for name, model in study.models.items():
        problems += [Problem(path=("models", name, *p.path), message=p.message) for p in model.problems(study)]
    for i, evaluation in enumerate(study.evaluate):
        problems += [Problem(path=("evaluate", i, *p.path), message=p.message) for p in evaluation.problems(study)]
    return problems


def _tables(study: BaseStudy) -> list[Problem]:
    outputs, protocols = study.model_outputs(), study.protocols()
    problems: list[Problem] = []
    for name, table in study.tables.items():
        at = ("tables", name)
        for i, row in enumerate(table.rows):
            if row not in outputs:
                message = f"row {row!r} is no model.{nearest(row, outputs)} Models: {choices(outputs)}"
                problems.append(Problem(path=(*at, "rows", i), message=message))
        for i, column in enumerate(table.columns):
            label, metric = column.split(".", 1)
            if label not in protocols:
                message = f"column {column!r}: no evaluation {label!r}.{nearest(label, protocols)} There are: {choices(protocols)}"
                problems.append(Problem(path=(*at, "columns", i), message=message))
            elif metric not in protocols[label].metrics:
                known = protocols[label].metrics
                message = f"column {column!r}: {label} has no metric {metric!r}.{nearest(metric, known)} It has: {choices(known)}"
                problems.append(Problem(path=(*at, "columns", i), message=message))
        for row, cells in table.paper.items():
            if row not in table.rows:
                problems.append(Problem(path=(*at, "paper", row), message=f"paper: {row!r} is no row of this table.{nearest(row, table.rows)}"))
            for column in cells:
                if column not in table.columns:
                    message = f"paper: {column!r} is no column of this table.{nearest(column, table.columns)}"
                    problems.append(Problem(path=(*at, "paper", row, column), message=message))
    return problems
