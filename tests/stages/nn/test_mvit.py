"""MViTs: any clip size on the same weights, tokens, masks, and weights that go from one form to another."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torchvision.models import video

from stages.nn.encoders import TokenEncoder, build_encoder
from stages.nn.mvit import MViT, fit_tables, resize_table, set_drop_path, spread, transfer
from stages.nn.mvit_layouts import Layout, mvit_v2_s
from stages.nn.spec import MvitV2, SmallMvit

TINY = Layout(width=8, heads=1, stages=(1, 2), grow="mlp", frames=4, size=32)


def tiny(seed: int = 0, **changes) -> MViT:
    torch.manual_seed(seed)
    return MViT(replace(TINY, **changes)).eval()


def on(layout: Layout, state: dict[str, torch.Tensor]) -> MViT:
    """A network of torchvision's blocks with the weights of ``state``, none of which are copied."""
    with torch.device("meta"):
        network = MViT(layout).eval()
    network.load_state_dict(fit_tables(state, network.state_dict()), assign=True)
    return network


@pytest.fixture(scope="module")
def stock() -> video.MViT:
    """torchvision's network without its classifier, with weights of seed 5."""
    torch.manual_seed(5)
    network = video.mvit_v2_s().eval()
    network.head = torch.nn.Identity()
    return network


def test_a_seed_gives_torchvisions_weights_and_stochastic_depth(stock):
    ours = build_encoder(MvitV2(kind="mvit_v2_s"), 3, seed=5).body
    assert all(torch.equal(tensor, ours.state_dict()[name]) for name, tensor in stock.state_dict().items())
    assert [b.stochastic_depth.p for b in ours.blocks] == [b.stochastic_depth.p for b in stock.blocks]


def test_nothing_differs_from_torchvision_at_its_own_size(stock):
    clip = torch.randn(1, 3, 16, 224, 224)
    with torch.no_grad():
        assert torch.equal(on(mvit_v2_s(), stock.state_dict())(clip), stock(clip))


def test_another_size_is_as_if_the_tables_had_been_resized_up_front(stock):
    network = on(mvit_v2_s(), stock.state_dict())
    small = on(replace(mvit_v2_s(), frames=8, size=64), stock.state_dict())
    resized = [k for k, t in small.state_dict().items() if t.shape != network.state_dict()[k].shape]
    assert len(resized) == 48 and all(".rel_pos_" in name for name in resized)
    clip = torch.randn(2, 3, 8, 64, 64)
    with torch.no_grad():
        expected = video.MViT.forward(small, clip)  # torchvision's own, which reads the grid from the constructor
        assert torch.equal(network(clip), expected) and torch.equal(small(clip), expected)


@pytest.mark.parametrize(
    "shape, grid",
    [((4, 32, 32), (2, 4, 4)), ((2, 16, 48), (1, 2, 6)), ((6, 20, 36), (3, 3, 5)), ((2, 4, 4), (1, 1, 1))],
)
def test_any_clip_of_whole_patches(shape, grid):
    clips = torch.randn(2, 3, *shape)
    assert tiny().tokens(clips).shape == (2, *grid, 16)
    assert tiny()(clips).shape == (2, 16)


@pytest.mark.parametrize("shape", [(1, 3, 3, 32, 32), (1, 3, 4, 30, 32), (1, 3, 4, 32, 33), (3, 4, 32, 32)])
def test_clips_that_patches_do_not_tile(shape):
    with pytest.raises(ValueError, match=r"multiples of \(2, 4, 4\) frames and pixels are wanted"):
        tiny()(torch.randn(*shape))


def test_without_the_last_stride_tokens_are_half_as_wide():
    clips = torch.randn(1, 3, 4, 32, 32)
    assert tiny().tokens(clips).shape == (1, 2, 4, 4, 16)
    assert tiny(last_stride=False).tokens(clips).shape == (1, 2, 8, 8, 16)


def test_what_a_clips_vector_is():
    network, clips = tiny(), torch.randn(2, 3, 4, 32, 32)
    seen = {}
    network.blocks[-1].register_forward_hook(lambda module, given, out: seen.update(last=out[0]))
    class_token = network(clips)
    assert torch.equal(class_token, network.norm(seen["last"][:, 0]))
    network.pool = "mean"
    mean = network.tokens(clips).flatten(1, 3).mean(1)
    torch.testing.assert_close(network(clips), network.norm(mean))


def masked_encoder() -> TokenEncoder:
    spec = SmallMvit(kind="mvit_small", width=8, blocks=(1, 1), last_stride=False, table_frames=4, table_size=32)
    return build_encoder(spec, 3, seed=0).eval()


def test_what_is_masked_is_not_seen():
    """The right half is masked and changed; of the left half, no patch reads further than 3 pixels beyond its own."""
    encoder = masked_encoder()
    clip = torch.randn(1, 3, 4, 32, 32)
    mask = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    mask[..., 1] = True
    other = clip.clone()
    other[..., 16:] = torch.randn(1, 3, 4, 32, 16)
    assert torch.equal(encoder.tokens(clip, mask), encoder.tokens(other, mask))
    assert not torch.equal(encoder.tokens(clip), encoder.tokens(other))
    assert not torch.equal(encoder.tokens(clip, mask), encoder.tokens(clip, ~mask))


def test_the_mask_token_stands_after_the_patch_embedding():
    encoder = masked_encoder()
    clip = torch.randn(2, 3, 4, 32, 32)
    mask = torch.rand(2, 2, 4, 4) < 0.5
    body = encoder.body
    given = {}
    body.pos_encoding.register_forward_pre_hook(lambda module, args: given.update(tokens=args[0]))
    encoder.tokens(clip, mask)
    patches = body.conv_proj(clip).permute(0, 2, 3, 4, 1)
    fine = mask.repeat_interleave(2, 2).repeat_interleave(2, 3).unsqueeze(4)
    expected = patches * ~fine + encoder.mask_token.view(-1) * fine
    torch.testing.assert_close(given["tokens"], expected.flatten(1, 3))
    encoder.tokens(clip, mask).sum().backward()
    assert encoder.mask_token.grad.shape == (1, 1, 8) and encoder.mask_token.grad.abs().sum() > 0


def test_a_mask_that_hides_nothing_changes_nothing():
    encoder, clip = masked_encoder(), torch.randn(1, 3, 4, 32, 32)
    assert torch.equal(encoder.tokens(clip, torch.zeros(1, 2, 8, 8, dtype=torch.bool)), encoder.tokens(clip))


def test_a_mask_on_a_finer_grid_by_hand():
    mask = torch.tensor([[[[True, False]]], [[[False, True]]]])
    assert spread(mask, (1, 2, 4))[0, 0].tolist() == [[True, True, False, False]] * 2
    assert spread(mask, (2, 1, 2))[1].tolist() == [[[False, True]]] * 2
    with pytest.raises(ValueError, match=r"\(1, 1, 2\) cells does not divide .* \(2, 2, 3\)"):
        spread(mask, (2, 2, 3))


def test_a_table_resized_by_hand():
    table = torch.tensor([[0.0, 10], [3, 10], [6, 10]])
    assert resize_table(table, 3) is table
    longer = resize_table(table, 6)  # centres of the new rows at -1/4, 1/4, 3/4, ... of the old, clamped
    assert longer[:, 0].tolist() == [0.0, 0.75, 2.25, 3.75, 5.25, 6.0] and longer[:, 1].tolist() == [10.0] * 6


def test_weights_go_from_pre_training_to_finetuning_and_back():
    """Only the tables of the last block change their length."""
    before, after = tiny(0, last_stride=False), tiny(1)
    transfer(before, after)
    ours, theirs = before.state_dict(), after.state_dict()
    changed = [name for name in ours if ours[name].shape != theirs[name].shape]
    assert changed == ["blocks.2.attn.rel_pos_h", "blocks.2.attn.rel_pos_w"]
    assert [len(ours[changed[0]]), len(theirs[changed[0]])] == [15, 7]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name not in changed)
    again = tiny(2, last_stride=False)
    transfer(after, again)
    torch.testing.assert_close(again.state_dict()[changed[0]], resize_table(theirs[changed[0]], 15))


def test_only_the_same_blocks_take_weights():
    with pytest.raises(RuntimeError, match="Missing key"):
        transfer(tiny(), tiny(stages=(1, 3)))


def test_tables_below_a_prefix_and_nothing_else():
    wanted = {"blocks.0.attn.rel_pos_h": torch.zeros(5, 2), "blocks.0.norm1.weight": torch.zeros(2)}
    state = {"m.blocks.0.attn.rel_pos_h": torch.ones(3, 2), "m.blocks.0.norm1.weight": torch.ones(4)}
    fitted = fit_tables(state, wanted, prefix="m.")
    assert [tuple(t.shape) for t in fitted.values()] == [(5, 2), (4,)] and fitted.keys() == state.keys()


def test_stochastic_depth_grows_from_the_first_block_to_the_last():
    network = tiny()
    set_drop_path(network, 0.3)
    assert [block.stochastic_depth.p for block in network.blocks] == pytest.approx([0, 0.15, 0.3])
    assert masked_encoder().body.blocks[-1].stochastic_depth.p == 0
