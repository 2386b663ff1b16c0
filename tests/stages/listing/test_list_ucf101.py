"""UCF101's split files and their traps."""

from __future__ import annotations

import pytest

from engine.errors import UserError


@pytest.fixture
def ucf(touch, root):
    """Four classes with the traps of the real set: a class whose files spell it otherwise, and an order of its own."""
    names = ("HandstandPushups", "Hammering", "HammerThrow", "ApplyEyeMakeup")
    files = {"HandstandPushups": "HandStandPushups"}
    for label in names:
        for group in ("01", "08"):
            touch(f"UCF-101/{label}/v_{files.get(label, label)}_g{group}_c01.avi")
    classes = "1 ApplyEyeMakeup\r\n2 Hammering\r\n3 HammerThrow\r\n4 HandstandPushups\r\n"
    order = ("ApplyEyeMakeup", "Hammering", "HammerThrow", "HandstandPushups")
    train = "".join(f"{c}/v_{files.get(c, c)}_g08_c01.avi {i} \r\n" for i, c in enumerate(order, 1))
    test = "".join(f"{c}/v_{files.get(c, c)}_g01_c01.avi\r\n" for c in order)
    touch("ucfTrainTestlist/classInd.txt", content=classes)
    touch("ucfTrainTestlist/trainlist01.txt", content=train)
    touch("ucfTrainTestlist/testlist01.txt", content=test)
    return root


def test_labels_splits_and_groups(ucf, listed):
    result = listed(kind="ucf101")
    assert len(result.rows) == 8
    path = "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi"
    assert result.rows[path] == ("HandstandPushups", "test", "HandstandPushups_g01")
    assert result.rows[path.replace("g01", "g08")] == ("HandstandPushups", "train", "HandstandPushups_g08")
    assert result.problems == [] and result.warnings == []


def test_groups_may_be_sources_of_the_whole_set(ucf, listed):
    """Where gXX is a speaker, all clips of a speaker are of one source, whatever their class."""
    groups = {row[2] for row in listed(kind="ucf101", groups="of_set").rows.values()}
    assert groups == {"g01", "g08"}


def test_classes_are_in_the_order_of_their_numbers(ucf, listed):
    """Sorted by bytes, HammerThrow would come before Hammering."""
    assert listed(kind="ucf101").listing.classes == (
        "ApplyEyeMakeup",
        "Hammering",
        "HammerThrow",
        "HandstandPushups",
    )


def test_a_copy_with_other_spelling_and_ending(ucf, listed):
    old = ucf / "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi"
    old.rename(old.with_name("v_HandstandPushups_g01_c01.mp4"))
    (ucf / "UCF-101/Hammering").rename(ucf / "UCF-101/hammering")
    rows = listed(kind="ucf101").rows
    assert rows["UCF-101/HandstandPushups/v_HandstandPushups_g01_c01.mp4"][0] == "HandstandPushups"
    assert rows["UCF-101/hammering/v_Hammering_g08_c01.avi"][0] == "Hammering"


def test_other_places(ucf, listed):
    for new in ("videos", "."):
        (ucf / "UCF-101").rename(ucf / "videos") if new == "videos" else [
            p.rename(ucf / p.name) for p in (ucf / "videos").iterdir()
        ]
        assert len(listed(kind="ucf101").rows) == 8
    (ucf / "ucfTrainTestlist").rename(ucf / "my lists")
    with pytest.raises(UserError, match="classInd.txt was not found in .*name its folder by `lists`"):
        listed(kind="ucf101")
    assert len(listed(kind="ucf101", lists="my lists").rows) == 8


def test_absent_videos_are_counted(ucf, listed):
    (ucf / "UCF-101/Hammering/v_Hammering_g01_c01.avi").unlink()
    result = listed(kind="ucf101", missing_limit=0.2)
    assert result.metrics["absent"] == 1 and result.metrics["videos"] == 7
    assert any(
        "1 of 8 videos" in w and "testlist01.txt:2: Hammering/v_Hammering_g01_c01.avi" in w
        for w in result.warnings
    )
    problem = "absent, but named in ucfTrainTestlist/testlist01.txt:2"  # no absolute path: it is part of the results
    assert ("Hammering/v_Hammering_g01_c01.avi", problem) in result.problems
    with pytest.raises(UserError, match=r"1 of 8 videos .* absent, more than missing_limit \(10%\)"):
        listed(kind="ucf101")


def test_all_mistakes_at_once_with_their_lines(ucf, listed, touch):
    lists = "ucfTrainTestlist/"
    train = "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi 2\nJuggling/v_Juggling_g08_c01.avi 5\n"
    touch(lists + "trainlist01.txt", content=train + "Hammering/v_Hammering_g01_c01.avi 2\n")
    with pytest.raises(UserError) as caught:
        listed(kind="ucf101")
    text = str(caught.value)
    assert "3 errors" in text
    assert "trainlist01.txt:1: ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi has class number 2" in text
    assert "trainlist01.txt:2: Juggling/v_Juggling_g08_c01.avi: its folder is no class" in text
    assert "testlist01.txt:2: UCF-101/Hammering/v_Hammering_g01_c01.avi is in test, and in train" in text


@pytest.mark.parametrize(
    "classes, reason",
    [
        ("1 A\n3 B\n", "not 1 to 2"),
        ("1 A\n1 B\n", "twice"),
        ("1 A\n2 A\n", "twice"),
        ("A\n", "expected `<number> <Class>`"),
    ],
)
def test_a_class_list_with_mistakes(classes, reason, ucf, listed, touch):
    touch("ucfTrainTestlist/classInd.txt", content=classes)
    with pytest.raises(UserError, match=reason):
        listed(kind="ucf101")


def test_a_split_file_that_is_not_there(ucf, listed):
    with pytest.raises(UserError, match="trainlist02.txt: No such file"):
        listed(kind="ucf101", split=2)


def test_a_shared_real_set(data, listed, root):
    root.rmdir()
    root.symlink_to(data / "lips20")
    result = listed(kind="ucf101", split=2)
    assert (result.metrics["train_videos"], result.metrics["test_videos"], result.metrics["classes"]) == (
        2000,
        1000,
        20,
    )
    assert result.problems == []
    assert {v.group[-3:] for v in result.listing.videos if v.split == "test"} == {
        "g06",
        "g07",
        "g08",
        "g09",
        "g10",
    }
    words = listed(kind="ucf101", lists="splits_words10")
    assert (words.metrics["videos"], words.metrics["classes"]) == (1500, 10)
