"""HMDB51's split files and their traps."""

from __future__ import annotations

import pytest

from engine.errors import UserError

NAME = "[Kids]_(see)_how!_to;_&_run#1_f_nm_np1_ba_med_0.avi"


@pytest.fixture
def hmdb(touch, root):
    touch(
        f"brush_hair/{NAME}",
        "brush_hair/b.avi",
        "brush_hair/c.avi",
        "wave/d.avi",
        "wave/e.avi",
        "wave/unlisted.avi",
    )
    touch(
        "testTrainMulti_7030_splits/brush_hair_test_split1.txt",
        content=f"{NAME} 1 \r\nb.avi 2 \r\nc.avi 0 \r\n",
    )
    touch("testTrainMulti_7030_splits/wave_test_split1.txt", content="d.avi 1\ne.avi 2\n")
    touch("testTrainMulti_7030_splits/wave_test_split2.txt", content="d.avi 2\ne.avi 1\n")
    return root


def test_labels_and_splits(hmdb, listed):
    """Names with brackets are found (as patterns they would match nothing), unused videos are left out."""
    result = listed(kind="hmdb51")
    assert result.rows == {
        f"brush_hair/{NAME}": ("brush_hair", "train", ""),
        "brush_hair/b.avi": ("brush_hair", "test", ""),
        "wave/d.avi": ("wave", "train", ""),
        "wave/e.avi": ("wave", "test", ""),
    }
    assert result.listing.classes == ("brush_hair", "wave")


def test_only_the_split_asked_for(hmdb, listed):
    assert listed(kind="hmdb51", split=2).rows == {
        "wave/d.avi": ("wave", "test", ""),
        "wave/e.avi": ("wave", "train", ""),
    }


def test_a_line_with_a_mistake(hmdb, listed, touch):
    touch("testTrainMulti_7030_splits/wave_test_split1.txt", content="d.avi 1\ne.avi 3\nf.avi\n")
    with pytest.raises(UserError) as caught:
        listed(kind="hmdb51")
    assert "wave_test_split1.txt:2" in str(caught.value) and "wave_test_split1.txt:3" in str(caught.value)


def test_no_split_files(hmdb, listed):
    with pytest.raises(UserError, match="no files like <class>_test_split3.txt"):
        listed(kind="hmdb51", split=3)
