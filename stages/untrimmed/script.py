"""What happens when in a generated video, and how the sprites go through it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stages.synthetic.motions import DRIFT, MOTIONS, TURN, Manner, Pose, still
from stages.synthetic.scene import draw_manner
from stages.untrimmed.spec import UntrimmedRecipe


@dataclass(frozen=True)
class Piece:
    """Frames from ``start`` to before ``end``, in which the sprites do ``what``: a motion or a nuisance."""

    start: int
    end: int
    what: str

    @property
    def is_instance(self) -> bool:
        return self.what in MOTIONS


def draw_script(recipe: UntrimmedRecipe, motion: str, rng: np.random.Generator) -> tuple[Piece, ...]:
    """The pieces of a video, without gaps, from frame 0 to its length; instances of ``motion``, or of any if mixed.

    What instances and the least gaps between them leave of the video is divided at random, so that the first instance
    may begin with the video and the last may end with it.
    """
    total = int(rng.integers(recipe.lengths[0], recipe.lengths[1] + 1))
    lengths = rng.integers(recipe.shortest, recipe.longest + 1, int(rng.integers(recipe.fewest, recipe.most + 1)))
    while len(lengths) > recipe.fewest and lengths.sum() + (len(lengths) - 1) * recipe.gap > total:
        lengths = lengths[:-1]
    room = total - max(len(lengths) - 1, 0) * recipe.gap
    while lengths.sum() > room:  # as few instances as may be, and still too long: shorten the longest
        lengths[lengths.argmax()] -= 1
    cuts = np.sort(rng.integers(0, room - lengths.sum() + 1, len(lengths)))
    starts = (
        cuts + np.concatenate([[0], np.cumsum(lengths)[:-1]])[: len(lengths)] + np.arange(len(lengths)) * recipe.gap
    )
    pieces, now = [], 0
    for start, length in zip(starts.tolist(), lengths.tolist()):
        if start > now:
            pieces.append(Piece(now, start, str(rng.choice(recipe.background))))
        what = str(rng.choice(recipe.motions)) if recipe.mixed else motion
        now = start + length
        pieces.append(Piece(start, now, what))
    if now < total:
        pieces.append(Piece(now, total, str(rng.choice(recipe.background))))
    return tuple(pieces)


def perform(pieces: tuple[Piece, ...], manner: Manner, recipe: UntrimmedRecipe, rng: np.random.Generator) -> Pose:
    """The pose in each frame of a video, [T]. Nothing jumps: each piece goes on where the last has left off.

    So the step from frame ``start`` - 1 to frame ``start`` is the first that belongs to a piece, that to ``end`` - 1
    the last. manner: of the video, whose ``still`` is the pose before the first frame.
    """
    now = still(np.zeros(1), manner)
    parts = []
    for piece in pieces:
        length = piece.end - piece.start
        if piece.is_instance:
            path = _instance(piece.what, length, _manner_from(now, manner, recipe, length, rng))
        else:
            path = _background(piece.what, length, manner.amplitude * DRIFT / recipe.period, rng)
        parts.append(_after(now, path))
        now = _last(parts[-1])
    return Pose(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("x", "y", "scale", "angle")))


def _manner_from(now: Pose, manner: Manner, recipe: UntrimmedRecipe, length: int, rng: np.random.Generator) -> Manner:
    """How an instance of ``length`` frames is carried out. At its phase ``pulse`` has the present scale."""
    drawn = draw_manner(recipe, rng)
    rising = float(np.arcsin(np.clip(np.log(now.scale[-1]) / manner.zoom, -1, 1)) / TURN)
    phase = rising if rng.integers(2) else 0.5 - rising
    return replace(drawn, cycles=drawn.cycles * length / recipe.frames, zoom=manner.zoom, phase=phase % 1)


def _instance(motion: str, length: int, manner: Manner) -> Pose:
    """``motion`` in ``length`` steps from rest, [length + 1]."""
    return MOTIONS[motion](np.arange(length + 1) / length, manner)


def _background(what: str, length: int, pace: float, rng: np.random.Generator) -> Pose:
    """A movement of ``length`` steps that is no class, [length + 1]. pace: of the fastest, in frame sides a frame."""
    heading, speed = rng.uniform(0, TURN), pace * rng.uniform(0.4, 1)
    steps = np.zeros((length, 2))
    if what == "drift":
        steps[:] = speed * np.cos(heading), speed * np.sin(heading)
    elif what == "wander":
        headings = heading + np.cumsum(rng.normal(0, 0.5, length))
        steps = speed * np.stack([np.cos(headings), np.sin(headings)], 1)
    x, y = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, 0)]).T
    return Pose(x, y, np.ones(length + 1), np.zeros(length + 1))


def _after(now: Pose, path: Pose) -> Pose:
    """The steps of ``path`` taken from pose ``now``, without the pose that it starts from."""
    return Pose(
        x=now.x[-1] + path.x[1:] - path.x[0],
        y=now.y[-1] + path.y[1:] - path.y[0],
        scale=now.scale[-1] * path.scale[1:] / path.scale[0],
        angle=now.angle[-1] + path.angle[1:] - path.angle[0],
    )


def _last(pose: Pose) -> Pose:
    return Pose(pose.x[-1:], pose.y[-1:], pose.scale[-1:], pose.angle[-1:])
