"""A table on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable

from engine.report.layout import Layout
from engine.report.text import BADGE

if TYPE_CHECKING:
    from rich.console import Console

STYLE = {
    "paper": "",
    "ours": "bold",
    "higher": "green",
    "lower": "yellow",
    "same": "dim",
    "missing": "red",
    "chance": "dim",
    "empty": "",
}
STATUS = {"reproduced": "green", "not reproduced": "red", "undecided": "yellow"}


def show(layouts: Iterable[Layout], console: Console | None = None) -> None:
    """Print tables, each with its claims, notes and deviations; plain text where the output is no terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text as Styled

    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, 140)  # in a file or a pipe nothing need be cut off
    for layout in layouts:
        grid = Grid(
            title=Styled(layout.title, "bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
        )
        grid.add_column("model", vertical="bottom", no_wrap=True)
        for group, subs in layout.groups:
            for i, sub in enumerate(subs):
                grid.add_column(
                    Styled(f"{group if i == 0 else ''}\n{sub}"), justify="right", vertical="bottom"
                )
        for label, texts in layout.rows:
            grid.add_row(Styled(label), *(Styled(str(t), STYLE[t.kind]) for t in texts))
        console.print(grid)
        for c in layout.claims:
            badge = Styled(f"{BADGE[c.status]} {c.status}: ", STATUS[c.status])
            console.print(badge + Styled(f"{c.claim} ") + Styled(f"({c.detail})", "dim"))
        for note in layout.notes:
            console.print(Styled(note, "dim"))
        if layout.deviations:
            console.print("Where the study departs from the paper:")
            for line in layout.deviations:
                console.print(Styled(f"- {line}"))
        console.print()
