"""Tables as a spec writes them: rows are models, columns are metrics of evaluations, cells have the paper's values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue

from engine.spec.component import ModelRef, Strict, neutral
from engine.spec.explain import choices, nearest

Column = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_]*)+$", max_length=120)
]
"""A metric of an evaluation: ``linear_probe.top1``."""

_REF = r"[A-Za-z][A-Za-z0-9_.-]*"
_CLAIM = re.compile(rf"^\s*({_REF})\s*(>=|>)\s*({_REF})\s+on\s+({_REF})\s*(\(\s*or\s+undecided\s*\))?\s*$")


@dataclass(frozen=True)
class Claim:
    """``left > right on column``; ``or_undecided``: an undecided outcome is enough."""

    left: str
    operator: Literal[">", ">="]
    right: str
    column: str
    or_undecided: bool = False

    def __str__(self) -> str:
        tail = " (or undecided)" if self.or_undecided else ""
        return f"{self.left} {self.operator} {self.right} on {self.column}{tail}"


def parse_claim(text: str) -> Claim:
    """Read ``A > B on protocol.metric`` or ``A >= B on protocol.metric (or undecided)``.

    Raises ValueError with a sentence that says what is wrong.
    """
    example = 'write it like "coclr.rgb > infonce-rgb on linear_probe.top1", with > or >=, and "(or undecided)" at will'
    match = _CLAIM.match(text)
    if not match:
        if re.search(r"<|==|≥|≤|!=", text):
            raise ValueError(f"claim {text!r}: the comparison must be > or >=; {example}")
        if " on " not in text:
            raise ValueError(f'claim {text!r}: it does not say "on" which column; {example}')
        raise ValueError(f"claim {text!r} cannot be read; {example}")
    left, operator, right, column, undecided = match.groups()
    if "." not in column:
        raise ValueError(f"claim {text!r}: {column!r} is no column (protocol.metric); {example}")
    if left == right:
        raise ValueError(f"claim {text!r} compares {left!r} with itself")
    return Claim(left, operator, right, column, bool(undecided))


def _claim_of_table(text: str, info: ValidationInfo) -> str:
    claim = parse_claim(text)
    rows, columns = info.data.get("rows"), info.data.get("columns")
    for row in (claim.left, claim.right):
        if rows is not None and row not in rows:
            raise ValueError(
                f"claim {text!r}: {row!r} is no row of this table.{nearest(row, rows)} Rows: {choices(rows)}"
            )
    if columns is not None and claim.column not in columns:
        hint = nearest(claim.column, columns)
        raise ValueError(
            f"claim {text!r}: {claim.column!r} is no column of this table.{hint} Columns: {choices(columns)}"
        )
    return text


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"{name!r} stands here twice")
    return names


def _labels_known(labels: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    rows, columns = info.data.get("rows"), info.data.get("columns")
    if rows is not None and columns is not None:
        known = (*rows, *columns)
        for name in labels:
            if name not in known:
                raise ValueError(f"{name!r} is no row or column of this table.{nearest(name, known)}")
    return labels


def _lines_known(lines: dict[str, tuple[str, ...]], info: ValidationInfo) -> dict[str, tuple[str, ...]]:
    rows = info.data.get("rows")
    for line, points in lines.items():
        if not points:
            raise ValueError(f"line {line!r} has no rows")
        for row in points if rows is not None else ():
            if row not in rows:
                hint = f"{nearest(row, rows)} Rows: {choices(rows)}"
                raise ValueError(f"line {line!r}: {row!r} is no row of this table.{hint}")
    return lines


def _as_many_as_points(steps: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    longest = max((len(points) for points in info.data.get("lines", {}).values()), default=0)
    if steps and "lines" in info.data and len(steps) != longest:
        raise ValueError(f"{len(steps)} steps are named, but the longest line has {longest} rows")
    return steps


class PaperValue(Strict):
    """A value as the paper prints it; a bare number in a spec is short for ``{value: number}``."""

    value: float = Field(description="As printed: per cent where the table is in per cent.")
    source: str = Field(default="", description="Where it stands; the table's `source` by default.")
    note: str = Field(
        default="", description="What differs there: another data set, input size, backbone ..."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_number(cls, data: Any) -> Any:
        is_number = isinstance(data, (int, float)) and not isinstance(data, bool)
        return {"value": data} if is_number else data

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        whole = handler(core_schema)
        return {"anyOf": [{"type": "number"}, whole], "description": cls.__doc__}


class Table(Strict):
    """One table of a study, and what the paper claims with it."""

    title: str = ""
    source: str = Field(default="", description="Where the paper's values stand: `CoCLR, table 1`.")
    rows: Annotated[tuple[ModelRef, ...], AfterValidator(_each_once)] = Field(
        min_length=1, description="Models."
    )
    columns: Annotated[tuple[Column, ...], AfterValidator(_each_once)] = Field(
        min_length=1, description="Metrics of evaluations: `linear_probe.top1`."
    )
    unit: Literal["per_cent", "number"] = Field(
        default="per_cent",
        description="per_cent: measured fractions are shown times 100, like the paper's values.",
    )
    decimals: int = Field(default=1, ge=0, le=4)
    labels: Annotated[dict[str, str], AfterValidator(_labels_known)] = Field(
        default={}, description="Names to print for rows and columns."
    )
    lines: Annotated[dict[str, tuple[ModelRef, ...]], AfterValidator(_lines_known)] = neutral(
        {},
        description="Name of a line -> rows in the order of its points: the table's picture is then a line chart of "
        "every column, for example of a model over its cycles of training.",
    )
    steps: Annotated[tuple[str, ...], AfterValidator(_as_many_as_points)] = neutral(
        (),
        description="What to print below the points of the lines; the rows' names by default, numbers where lines differ.",
    )
    paper: dict[ModelRef, dict[Column, PaperValue]] = Field(default={}, description="row -> column -> value.")
    claims: tuple[Annotated[str, AfterValidator(_claim_of_table)], ...] = Field(
        default=(), description="`row > row on column`: judged over the seeds."
    )

    def label(self, name: str) -> str:
        """What to print for a row or column."""
        return self.labels.get(name) or (
            name if name in self.rows else name.replace(".", " ").replace("_", " ")
        )
