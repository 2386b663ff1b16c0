"""Forecasts of trainings, against counts by hand."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.nn.cost import EncoderCost, encoder_cost, train_videos, training_forecast, training_line
from stages.nn.spec import Narrow, Schedule, Torchvision, TransformerSchedule
from stages.video.spec import Clip, Rgb


def test_s3d_has_the_papers_size():
    cost = encoder_cost(Torchvision(kind="s3d"), 3, Clip())
    assert cost.parameters == pytest.approx(7.91e6, rel=1e-3)
    assert cost.forward_flops / 2 == pytest.approx(11.74e9, rel=1e-3)  # multiply-adds of 32 x 128 x 128


def test_a_narrow_network_by_hand():
    """Width 4, one frame of 8 x 8: stem to 4 x 4, blocks at 4, 2, 1 and 1 pixels; each a 1x3x3 and a 3x1x1 convolution."""
    stem = 16 * 4 * 3 * 25
    first = 16 * 4 * 4 * 9 + 16 * 4 * 4 * 3
    second = 4 * 8 * 4 * 9 + 4 * 8 * 8 * 3
    third = 1 * 16 * 8 * 9 + 1 * 16 * 16 * 3
    fourth = 1 * 32 * 16 * 9 + 1 * 32 * 32 * 3
    cost = encoder_cost(Narrow(kind="narrow", width=4), 3, Clip(frames=1, size=8))
    assert cost.forward_flops == 2 * (stem + first + second + third + fourth)


def test_activations_grow_with_the_clip():
    small, large = (encoder_cost(Narrow(kind="narrow"), 3, Clip(frames=8, size=s)).activation_bytes for s in (32, 64))
    assert large == pytest.approx(4 * small, rel=0.05)


def test_the_line_by_hand():
    cost = EncoderCost(forward_flops=1e12, activation_bytes=1e9, parameters=10**8)
    line = training_line(cost, steps=3600, epochs=9, batch=10, passes=4, bf16=True)
    # 10 clips of 4 TFLOP; 5 GB of activations and 2 GB of weights and optimiser; 3600 * 40 / 40 seconds
    assert line == "3,600 steps, 40 TFLOP a step, 7 GB of GPU memory, 1 GPU-hours at an assumed 40 TFLOP/s"
    assert "9 epochs in batches of 10" in training_line(cost, None, 9, 10, 4, True)
    assert "12 GB" in training_line(cost, 1, 1, 10, 4, bf16=False)
    assert "5 GB" in training_line(cost, 1, 1, 10, 4, bf16=False, at_once=3)
    assert "9 GB" in training_line(cost, 1, 1, 10, 4, bf16=False, at_once=3, waiting=4 * 10**9)


def test_the_batch_itself_takes_memory():
    """1,000 clips of 3 x 8 x 64 x 64: 0.1 GB as bytes, 0.9 GB as bytes and two copies in fp32."""
    schedule, clip = TransformerSchedule(batch=1000, micro_batch=1), Clip(frames=8, size=64)

    def gigabytes(held_as: int) -> float:
        given = (Narrow(kind="narrow", width=4), Rgb(), clip, schedule, "fp32", 3, None, {})
        return float(re.search(r"([\d.e-]+) GB", training_forecast(*given, held_as=held_as))[1])

    assert gigabytes(1) == pytest.approx(0.1, abs=0.02) and gigabytes(9) == pytest.approx(0.9, abs=0.02)


def test_videos_that_are_there_count_before_those_expected(tmp_path):
    pq.write_table(pa.table({"split": ["train"] * 70 + ["test"] * 9}), tmp_path / "clips.parquet")
    assert train_videos(tmp_path) == 70
    schedule, encoder = Schedule(epochs=3, batch=32), Narrow(kind="narrow", width=4)
    given = (encoder, Rgb(), Clip(frames=2, size=16), schedule, "auto", 4)
    assert training_forecast(*given, tmp_path, {"train": 1000}).startswith("6 steps")
    assert training_forecast(*given, None, {"train": 1000}).startswith("93 steps")
    assert training_forecast(*given, None, {}).startswith("3 epochs in batches of 32")
