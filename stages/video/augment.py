"""Random choices of an augmentation, drawn before any frame is read: one set of parameters holds for a whole clip.

The values are those of CoCLR's pre-training. Where its code and its intent part, this follows the intent: crops are
drawn again when they do not fit, and the grey channel is one for the clip, not one for every frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

ATTEMPTS = 10
JITTER = ("brightness", "contrast", "saturation", "hue")


@dataclass(frozen=True)
class Recipe:
    """Probabilities and ranges. ``jitter`` has one strength for each of JITTER; sigma is in pixels of a 128-pixel clip."""

    area: tuple[float, float] = (0.2, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter_share: float = 0.0
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)
    grey_share: float = 0.0
    blur_share: float = 0.0
    sigma: tuple[float, float] = (0.1, 2.0)


LIGHT = Recipe()
STRONG = Recipe(jitter_share=0.8, grey_share=0.2, blur_share=0.5)

ONE_CLIP_SHARE = 0.5
"""How often query and key are the same frames, one of them strongly augmented and the other lightly."""
STRONG_SHARE = 0.3
"""How often a clip is strongly augmented when query and key are different clips."""


@dataclass(frozen=True)
class Crop:
    """A random crop of a picture whose size is not known yet: several tries, and where it lies (0: top left, 1: bottom right)."""

    areas: tuple[float, ...]
    aspects: tuple[float, ...]
    down: float
    right: float


@dataclass(frozen=True)
class Colour:
    """What happens to the colours of a clip.

    factors: of brightness, contrast, saturation and hue, or None without jitter; order: of these four by number;
    grey: channel that replaces the others, or None; sigma: of the blur in pixels of a 128-pixel clip, or None.
    """

    factors: tuple[float, float, float, float] | None = None
    order: tuple[int, int, int, int] = (0, 1, 2, 3)
    grey: int | None = None
    sigma: float | None = None


@dataclass(frozen=True)
class Augmentation:
    """All random choices for one clip."""

    crop: Crop
    flip: bool
    colour: Colour


@dataclass(frozen=True)
class Pair:
    """Query and key of one video: which of two clips each is cut from, and how it is augmented."""

    clips: tuple[int, int]
    query: Augmentation
    key: Augmentation


def draw(recipe: Recipe, rng: np.random.Generator) -> Augmentation:
    """Draw all choices of one recipe. The same number of draws is made whatever comes out."""
    areas = rng.uniform(*recipe.area, size=ATTEMPTS)
    aspects = np.exp(rng.uniform(math.log(recipe.aspect[0]), math.log(recipe.aspect[1]), size=ATTEMPTS))
    down, right, flip, jittered, greyed, blurred = rng.random(6)
    around_one = 1 + np.asarray(recipe.jitter[:3]) * rng.uniform(-1, 1, size=3)
    hue = rng.uniform(-recipe.jitter[3], recipe.jitter[3])
    order = rng.permutation(len(JITTER))
    channel = int(rng.integers(3))
    sigma = rng.uniform(*recipe.sigma)
    return Augmentation(
        crop=Crop(tuple(areas.tolist()), tuple(aspects.tolist()), float(down), float(right)),
        flip=bool(flip < recipe.flip),
        colour=Colour(
            factors=(*around_one.tolist(), float(hue)) if jittered < recipe.jitter_share else None,
            order=tuple(order.tolist()),
            grey=channel if greyed < recipe.grey_share else None,
            sigma=float(sigma) if blurred < recipe.blur_share else None,
        ),
    )


def draw_pair(rng: np.random.Generator) -> Pair:
    """Draw query and key of one video as CoCLR does: one clip or two clips, half and half."""
    one_clip, query_strong, first, second = rng.random(4)
    if one_clip < ONE_CLIP_SHARE:
        strong = (query_strong < 0.5, query_strong >= 0.5)
        clips = (0, 0)
    else:
        strong = (first < STRONG_SHARE, second < STRONG_SHARE)
        clips = (0, 1)
    query, key = (draw(STRONG if s else LIGHT, rng) for s in strong)
    return Pair(clips, query, key)


def place(crop: Crop, height: int, width: int) -> tuple[int, int, int, int]:
    """The crop in a picture of this size: top, left, height, width.

    The first try that fits is taken. If none does (a very long or very high picture), it is the largest central
    window of an allowed aspect, so that a clip is never squashed beyond the aspects that were asked for.
    """
    for area, aspect in zip(crop.areas, crop.aspects):
        w = round(math.sqrt(area * height * width * aspect))
        h = round(math.sqrt(area * height * width / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(crop.down * (height - h + 1)), int(crop.right * (width - w + 1)), h, w
    low, high = min(crop.aspects), max(crop.aspects)
    w = min(width, max(1, round(height * high)))
    h = min(height, max(1, round(width / low)))
    return (height - h) // 2, (width - w) // 2, h, w
