"""The plan on a terminal: one line a stage, its reasons below."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Sequence

from rich.console import Console
from rich.text import Text

from engine.compile.plan import Source, Stage
from engine.compile.state import StageState
from engine.errors import UserError
from engine.run.local import Local, load_local

STYLE = {"cached": "green", "stale": "yellow", "new": "cyan", "waits": "blue", "always": "magenta"}
MEANING = {
    "cached": "up to date",
    "stale": "will run",
    "new": "will run",
    "waits": "runs if what it reads changes",
    "always": "looks at the data each time",
}


def print_plan(root: Path, states: Sequence[StageState], console: Console | None = None) -> None:
    """Print each stage with its state, the reasons and what it will cost, then a line that counts the states."""
    console = console or Console(soft_wrap=True, highlight=False)
    local = load_local()
    width = max((len(s.stage.name) for s in states), default=0)
    for state in states:
        reads = ", ".join(dict.fromkeys(s.stage.split(".", 1)[1] for s in state.stage.sources()))
        line = Text()
        line.append(f"{state.status:7}", STYLE[state.status])
        line.append(f" {state.stage.name:{width}}", "bold")
        line.append(f"  {state.stage.kind}" + (f" <- {reads}" if reads else ""), "dim")
        console.print(line)
        if state.status in ("stale", "waits") or state.status == "always" and len(state.reasons) > 1:
            for reason in state.reasons:
                console.print(Text(f"          {reason}"))
        if state.status != "cached" and (cost := forecast(root, state.stage, local)):
            console.print(Text(f"          {cost}", "dim"))
    counts = Counter(s.status for s in states)
    console.print(f"{len(states)} stages: " + ", ".join(f"{n} {k} ({MEANING[k]})" for k, n in counts.items()))


def forecast(root: Path, stage: Stage, local: Local) -> str | None:
    """What a stage says that it will cost, from the inputs that exist by now."""
    there = {r: root / s.path for r, s in stage.inputs.items() if isinstance(s, Source) and (root / s.path).exists()}
    try:
        return stage.config.forecast(there, local, stage.expected)
    except UserError as error:
        return str(error)
