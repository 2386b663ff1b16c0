"""Write numbers."""


def run(config, context):
    rng = context.rng("numbers")
    values = [config.scale * float(v) for v in rng.normal(size=config.count)]
    (context.out / "numbers.txt").write_text("\n".join(map(repr, values)))
    return {"count": config.count}
