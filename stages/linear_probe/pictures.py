"""How the regulariser was chosen, as a picture."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from stages.linear_probe.result import Trial


def choice_picture(choices: Mapping[int, tuple[Sequence[Trial], int]]) -> Any:
    """Matplotlib figure: accuracy on held-out videos over the regulariser, a line for each seed, the choice marked.

    choices: seed -> its trials and which of them was chosen.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.4), facecolor="white", layout="constrained")
    ax = figure.subplots()
    for i, (seed, (trials, best)) in enumerate(choices.items()):
        colour = f"C{i % 10}"
        strengths = [t.setting["l2"] for t in trials]
        accuracies = [100 * t.accuracy for t in trials]
        ax.plot(
            strengths, accuracies, "-o", color=colour, markersize=3.5, linewidth=1.4, label=f"seed {seed}"
        )
        ax.plot(
            strengths[best],
            accuracies[best],
            "o",
            color=colour,
            markersize=10,
            fillstyle="none",
            markeredgewidth=1.8,
        )
    ax.set_xscale("log")
    ax.set_xlabel("L2 regulariser (ring: chosen)")
    ax.set_ylabel("accuracy on held-out training videos (%)")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
    if len(choices) <= 10:
        ax.legend(frameon=False, fontsize=8)
    return figure
