"""SlowFast's checkpoints of MaskFeat and MViTs: read into encoders, which then compute what the public code would."""

from __future__ import annotations

import json
import re

import pytest
import torch

from engine.errors import UserError
from stages.checkpoint.reading import read_slowfast
from stages.checkpoint.spec import Config
from stages.checkpoint.stage import run
from stages.nn.encoders import build_encoder
from stages.nn.mvit_names import public_name
from stages.nn.spec import MaskFeatMvit, MvitV2, Narrow, SmallMvit
from stages.nn.weights import load_encoder
from stages.study import Study
from stages.video.spec import Clip, Rgb
from tests.stages.checkpoint.public_mvit import forward, shapes, weights

STAGES = (1, 2, 1)
SMALL = SmallMvit(kind="mvit_small", width=8, blocks=STAGES, last_stride=False, table_frames=4, table_size=32)
TABLE = (2, 8)  # 4 frames of 32 pixels in patches of 2 and 4


def apart(seed: int = 0, last_stride: bool = False, stages: tuple[int, ...] = STAGES) -> dict[str, torch.Tensor]:
    return weights(shapes(8, stages, TABLE, last_stride, apart=True), seed)


def together(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As later files have it: queries, keys and values in one layer."""
    apart = [name for name in state if re.search(r"\.attn\.[qkv]\.", name)]
    stems = {re.sub(r"\.[qkv]\.(weight|bias)$", r".qkv.\1", name) for name in apart}
    joined = {name: torch.cat([state[name.replace("qkv", p)] for p in "qkv"]) for name in stems}
    return {name: t for name, t in state.items() if name not in apart} | joined


def whole(state: dict[str, torch.Tensor]) -> dict:
    """A file as trainings write it; HOG's kernels are buffers of the model."""
    optimizer = {"state": {0: {"step": 5, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    model = state | {"hogs.0.weight_x": torch.zeros(3, 1, 3, 3)}
    return {"epoch": 299, "model_state": model, "optimizer_state": optimizer, "cfg": "TASK: ssl\n", "scaler_state": {}}


@pytest.fixture
def saved(tmp_path):
    def save(content):
        torch.save(content, tmp_path / "theirs.pyth")
        return tmp_path / "theirs.pyth"

    return save


@pytest.mark.parametrize("last_stride", [True, False])
@pytest.mark.parametrize(
    "spec, width, stages, other",
    [
        (MaskFeatMvit(kind="maskfeat_s"), 96, (1, 2, 11, 2), {}),
        (MaskFeatMvit(kind="maskfeat_l"), 144, (2, 6, 36, 4), {"heads": 2}),
        (MvitV2(kind="mvit_v2_s"), 96, (1, 2, 11, 2), {"in_attention": True}),
    ],
    ids=["maskfeat_s", "maskfeat_l", "mvit_v2_s"],
)
def test_every_weight_has_its_public_name_and_shape(spec, width, stages, other, last_stride):
    with torch.device("meta"):
        ours = build_encoder(spec.model_copy(update={"last_stride": last_stride}), 3, seed=0).body.state_dict()
    theirs = shapes(width, stages, (8, 56), last_stride, **other)
    left = {name: tuple(t.shape) for name, t in ours.items() if not name.startswith(("norm.", "pos_encoding."))}
    assert {public_name(name): shape for name, shape in left.items()} == {
        name: shape for name, shape in theirs.items() if not name.startswith(("pred_head.", "cls_token", "mask_token"))
    }
    assert ours["pos_encoding.class_token"].shape == (width,) and theirs["cls_token"] == (1, 1, width)


@pytest.mark.parametrize(
    "form",
    [lambda s: s, together, whole, lambda s: whole(together(s))],
    ids=["bare", "joined", "file", "file joined"],
)
def test_the_encoder_computes_what_the_public_code_would(form, saved):
    state = apart()
    encoder = build_encoder(SMALL, 3, seed=9).eval()
    reading = read_slowfast(saved(form(state)), encoder)
    for shape in ((2, 16, 16), (4, 32, 8)):
        clips = torch.randn(1, 3, *shape)
        with torch.no_grad():
            expected = forward(state, clips, STAGES, last_stride=False)
            torch.testing.assert_close(encoder.tokens(clips).flatten(1, 3), expected[:, 1:], rtol=1e-4, atol=1e-4)
    assert set(reading.missing) == {"norm.weight", "norm.bias"} and reading.unexpected == ()
    assert reading.aside["mask token"] == 1 and reading.aside["prediction head"] == 4


def test_what_a_file_has_besides_is_counted(saved):
    reading = read_slowfast(saved(whole(apart())), build_encoder(SMALL, 3, seed=0))
    assert reading.prefix == "model_state."
    assert reading.aside == {"mask token": 1, "prediction head": 4, "HOG layer": 1, "optimiser": 1}


def test_pre_trained_weights_in_the_form_for_finetuning(saved):
    """Of the last block, whose map is half as wide now, two tables become shorter; all else is as it was."""
    state = apart(stages=(1, 1, 2))
    finetuned = SMALL.model_copy(update={"blocks": (1, 1, 2), "last_stride": True})
    encoder = build_encoder(finetuned, 3, seed=0)
    read_slowfast(saved(together(state)), encoder)
    named = {public_name(name): tensor for name, tensor in encoder.body.state_dict().items()}
    ours = {name: tensor for name, tensor in named.items() if name.startswith(("blocks.", "patch_embed."))}
    kept, changed = together(state), ["blocks.3.attn.rel_pos_h", "blocks.3.attn.rel_pos_w"]
    assert [(len(kept[name]), len(ours[name])) for name in changed] == [(7, 3), (7, 3)]
    torch.testing.assert_close(ours[changed[0]][1], kept[changed[0]][3])  # no distance is in the middle of both
    assert all(torch.equal(t, kept[name]) for name, t in ours.items() if name not in changed)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda s: s.pop("blocks.1.mlp.fc1.bias"), "lacks blocks.1.mlp.fc1.bias"),
        (lambda s: s.pop("blocks.1.attn.k.bias"), "lacks blocks.1.attn.qkv.bias"),
        (lambda s: s.update({"pos_embed_spatial": torch.zeros(1, 64, 8)}), "the encoder has not, .*: pos_embed_spatial"),
        (lambda s: s.update({"blocks.9.norm1.bias": torch.zeros(8)}), "the encoder has not, .*: blocks.9.norm1.bias"),
        (lambda s: s.update({"blocks.0.norm1.weight": torch.zeros(9)}), "another shape for blocks.0.norm1.weight"),
    ],
)
def test_files_that_do_not_fit_are_refused(change, words, saved):
    state = apart()
    change(state)
    with pytest.raises(UserError, match=words):
        read_slowfast(saved(state), build_encoder(SMALL, 3, seed=0))


def test_the_stage_writes_an_encoder(make_context, local, tmp_path):
    torch.save(whole(together(apart())), tmp_path / "weights" / "maskfeat.pyth")
    look = {"view_name": "rgb", "view": Rgb(), "clip": Clip(frames=4, size=32)}
    config = Config(**look, encoder=SMALL, file="maskfeat.pyth", format="slowfast", sha256=None)
    context = make_context(local=local)
    found = run(config, context)
    assert found["weights"]["unexpected"] == 0 and found["features"] == 32 and not found["head"]
    encoder, card = load_encoder(context.out)
    assert card.encoder == SMALL and torch.equal(encoder.body.blocks[0].mlp[0].bias, apart()["blocks.0.mlp.fc1.bias"])


def test_a_spec_for_another_network_is_refused():
    def problems(encoder: dict) -> list[str]:
        content = {
            "spec": 1,
            "name": "demo",
            "data": {"kind": "synthetic_actions"},
            "encoder": encoder,
            "clip": {"frames": 8, "size": 48},
            "models": {"m": {"method": "checkpoint", "file": "theirs.pyth", "format": "slowfast"}},
        }
        study = Study.model_validate_json(json.dumps(content))
        return [problem.message for problem in study.models["m"].problems(study)]

    assert problems({"kind": "maskfeat_s"}) == []
    (found,) = problems(Narrow(kind="narrow").model_dump())
    assert "are of MViTs, not of narrow: set `encoder` to maskfeat_s" in found
