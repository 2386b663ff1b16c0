"""Whether a paper's claim holds in the reproduction: seed-paired differences, and an interval about their mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Mapping

from engine.spec.table import Claim

Status = Literal["reproduced", "not reproduced", "undecided"]

LEVEL = 0.95


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. All numbers in the unit of the measurements (fractions).

    mean, low, high: difference left - right over ``seeds`` paired seeds, and its 95 % t-interval (None with one seed).
    sampling: half width of the 95 % interval that the size of the test set alone gives to one such difference.
    """

    claim: Claim
    status: Status
    seeds: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    sampling: float | None = None
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Reproduced, or undecided where the claim says that this is enough."""
        return self.status == "reproduced" or (self.claim.or_undecided and self.status == "undecided")


def judge(
    claim: Claim, left: Mapping[int, float], right: Mapping[int, float], test_videos: int | None = None
) -> Verdict:
    """Judge a claim from the values of its two models, by seed.

    With d = left - right for each seed that both have, and [low, high] the 95 % Student interval of mean(d):

    * ``>``: reproduced if low > 0, not reproduced if high <= 0, else undecided;
    * ``>=``: reproduced if low >= 0, not reproduced if high < 0, else undecided.

    So ``A > B`` is reproduced exactly when ``B >= A`` is not. ``>=`` asks for evidence too: not to have found a
    difference is no proof that there is none; a claim that is content with that says "(or undecided)". Fewer
    than two common seeds are always undecided. ``test_videos`` changes no verdict: ``sampling`` is there to be read.
    """
    seeds = sorted(left.keys() & right.keys())
    if not seeds:
        return Verdict(claim, "undecided", 0, reason="no seed has both values")
    differences = [left[s] - right[s] for s in seeds]
    mean = math.fsum(differences) / len(seeds)
    sampling = None
    if test_videos:
        a, b = (math.fsum(side[s] for s in seeds) / len(seeds) for side in (left, right))
        error = math.hypot(sampling_error(a, test_videos), sampling_error(b, test_videos))
        sampling = None if math.isnan(error) else error
    if len(seeds) == 1:
        return Verdict(claim, "undecided", 1, mean, sampling=sampling, reason="one seed shows no spread")
    half = t_quantile(len(seeds) - 1) * deviation(differences) / math.sqrt(len(seeds))
    low, high = mean - half, mean + half
    if low > 0 or (claim.operator == ">=" and low >= 0):
        status: Status = "reproduced"
    elif high < 0 or (claim.operator == ">" and high <= 0):
        status = "not reproduced"
    else:
        status = "undecided"
    return Verdict(claim, status, len(seeds), mean, low, high, sampling)


def deviation(values: list[float]) -> float:
    """Sample standard deviation (n - 1); 0 for values that are all equal."""
    mean = math.fsum(values) / len(values)
    if len(set(values)) == 1:
        return 0.0
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))


def sampling_error(share: float, count: int) -> float:
    """Half width of the 95 % interval (normal) of a share that was counted on ``count`` test videos; NaN if it is none."""
    return 1.96 * math.sqrt(share * (1 - share) / count) if 0 <= share <= 1 else math.nan


def t_quantile(freedom: int) -> float:
    """Two-sided 95 % quantile of Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.5 + LEVEL / 2))
