"""Squash averages into (0, 1)."""


def run(config, context):
    values = [float((folder / "average.txt").read_text()) for folder in context.inputs["models"]]
    (context.out / "scores.txt").write_text("\n".join(map(repr, values)))
    scores = {str(s): {"top1": abs(v) / (1 + abs(v))} for s, v in zip(config.seeds, values)}
    return {"seeds": scores, "test_videos": 100, "chance": {"top1": 0.1}}
