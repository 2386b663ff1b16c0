"""The picture of queries and keys."""

from __future__ import annotations

import torch

from stages.video.grid import pair_grid


def test_queries_left_keys_right_one_pair_a_row():
    queries = torch.zeros(3, 3, 7, 5, 5, dtype=torch.uint8)
    queries[:, 0] = (10 * torch.arange(3).view(3, 1, 1, 1) + torch.arange(7).view(1, 7, 1, 1)).to(torch.uint8)
    keys = torch.full_like(queries, 99)
    picture = pair_grid(queries, keys, rows=2, columns=4)
    assert picture.shape == (5 + 4 + 5, 4 * 5 + 12 + 4 * 5, 3)
    assert [picture[0, 5 * i, 0] for i in range(4)] == [0, 2, 4, 6]  # frames spread over the clip
    assert picture[9, 0, 0] == 10 and (picture[:5, 32:] == 99).all() and (picture[:, 20:32] == 255).all()


def test_few_frames_are_not_repeated():
    clip = torch.zeros(1, 3, 2, 5, 5, dtype=torch.uint8)
    assert pair_grid(clip, clip).shape == (5, 2 * 5 + 12 + 2 * 5, 3)
