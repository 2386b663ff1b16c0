"""Average numbers with a little noise."""

from engine.errors import UserError
from stages.average.maths import mean_power


def run(config, context):
    if config.fail:
        raise UserError("this model was told to fail")
    values = [float(v) for v in (context.input("numbers") / "numbers.txt").read_text().split()]
    result = mean_power(values, config.power) + float(context.rng("noise").normal()) * 1e-3
    for step in range(5):
        context.log(step, value=result * step / 4)
    (context.out / "average.txt").write_text(repr(result))
    return {"value": result}
