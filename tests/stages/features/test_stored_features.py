"""Features on disk, and the splits an evaluation reads from them."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import UserError
from stages.features.splits import train_and_test
from stages.features.stored import read_features, write_features


def test_what_is_written_is_read_in_order_of_seeds(tmp_path) -> None:
    tables = {10: np.ones((3, 2), np.float32), 2: np.arange(6, dtype=np.float32).reshape(2, 3).T}
    write_features(tmp_path, tables)
    found = read_features(tmp_path, 3)
    assert list(found) == [2, 10]
    assert all((found[seed] == tables[seed]).all() for seed in tables)


def test_features_of_other_videos_are_refused(tmp_path) -> None:
    write_features(tmp_path, {0: np.ones((3, 2), np.float32)})
    with pytest.raises(UserError, match="3 videos, but there are 4"):
        read_features(tmp_path, 4)


def test_nan_names_the_model(tmp_path) -> None:
    folder = tmp_path / "features.infonce-rgb"
    folder.mkdir()
    table = np.ones((3, 2), np.float32)
    table[1, 0] = np.nan
    write_features(folder, {0: np.ones((3, 2), np.float32), 7: table})
    with pytest.raises(UserError, match=r"infonce-rgb, seed 7: the features of 1 of 3 videos are NaN"):
        read_features(folder, 3)


@pytest.mark.parametrize("content", [None, b"not a tensor"])
def test_a_file_that_cannot_be_read_is_a_users_matter(tmp_path, content) -> None:
    if content:
        (tmp_path / "features.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="features.safetensors"):
        read_features(tmp_path, 3)


def test_train_and_test(make_clips, make_context) -> None:
    clips = make_clips([(0, "train"), (1, "test"), (1, "val"), (1, "train"), (0, "test")])
    train, test = train_and_test(clips, make_context())
    assert train.rows.tolist() == [0, 3] and train.targets.tolist() == [0, 1]
    assert test.rows.tolist() == [1, 4] and test.targets.tolist() == [1, 0]


@pytest.mark.parametrize("there, missing", [("train", "test"), ("test", "train")])
def test_an_empty_split_says_what_to_do(make_clips, make_context, there: str, missing: str) -> None:
    with pytest.raises(UserError, match=f"no video has split '{missing}'.*split"):
        train_and_test(make_clips([(0, there), (1, "val")]), make_context())


def test_a_class_without_training_videos_is_named(make_clips, make_context, capsys) -> None:
    train_and_test(make_clips([(0, "train"), (1, "test"), (1, "test"), (0, "test")]), make_context())
    assert "2 test videos are of classes without a training video" in capsys.readouterr().err
    train_and_test(make_clips([(0, "train"), (0, "test")], classes=3), make_context())
    assert not capsys.readouterr().err
