"""The mathematics of the toy."""

OFFSET = 0.5


def mean_power(values, power):
    """Mean of the powers."""
    return sum(v**power for v in values) / len(values) + OFFSET
