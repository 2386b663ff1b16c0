"""The shared set of awkward files goes through the stage, and every file is reported as its table says."""

from __future__ import annotations

import csv

import pyarrow.parquet as pq
import pytest

from stages.video.checks import checks_folder, load_checks


def test_the_awkward_set(data, tmp_path, make_clips_of):
    folder = data / "awkward"
    with open(folder / "expected.csv", newline="", encoding="utf-8") as file:
        expected = {row["file"]: row for row in csv.DictReader(file)}
    root = tmp_path / "set"
    (root / "awkward").mkdir(parents=True)
    for path in (folder / "files").iterdir():
        (root / "awkward" / path.name).symlink_to(path)

    result = make_clips_of(root, pack={"kind": "none"}, broken_limit=1.0, workers=2)

    listing = pq.read_table(tmp_path / "listing" / "listing.parquet").to_pylist()
    digests = {row["path"].removeprefix("awkward/"): row["digest"] for row in listing}
    found = load_checks(checks_folder(tmp_path / "store"), digests.values())
    rows = {
        r["path"].removeprefix("awkward/"): r for r in pq.read_table(result.out / "clips.parquet").to_pylist()
    }
    assert len(expected) == len(digests) == 80

    for name, want in expected.items():
        got = found[digests[name]]
        assert got.status == want["expect"], name
        assert got.frames == int(want["frames"] or 0), name
        assert got.audio == want["audio"], name
        assert (f"awkward/{name}" in result.problems) == (want["expect"] != "ok"), name
        assert (name in rows) == (want["expect"] in ("ok", "partial")), name
        if want["expect"] in ("ok", "partial"):
            assert (got.width, got.height, got.rotate) == tuple(
                int(want[k]) for k in ("width", "height", "rotate_cw")
            ), name
            row = rows[name]
            assert (row["width"], row["height"]) == (
                int(want["display_width"]),
                int(want["display_height"]),
            ), name
            assert row["frames"] == int(want["frames"]), name
            assert row["fps"] == pytest.approx(float(want["fps"]), abs=1e-3), name
            assert row["first"] == pytest.approx(float(want["first_pts"]), abs=1e-3), name
            assert row["last"] == pytest.approx(float(want["last_pts"]), abs=1e-3), name
            if want["duration"]:
                # FFmpeg's versions differ by half a frame in a program stream that states no duration
                assert row["duration"] == pytest.approx(float(want["duration"]), abs=0.03), name
        elif want["expect"] == "no_frames":
            assert (got.width, got.height) == (int(want["width"]), int(want["height"])), name

    reasons = result.problems
    for name, words in {
        "zero_bytes.webm": "empty",
        "text_named.mp4": "not a video",
        "trunc_moov_at_end.mp4": "moov",
        "mp3_with_cover.mp3": "cover picture",
        "wav_named.mp4": "only sound",
        "amr_audio_only.3gp": "only sound",
        "header_only_5544.mp4": "5544 of 5544",
        "encrypted_cenc.mp4": "no frame can be decoded",
        "corrupted.mp4": "28 frames decode; damaged after frame 28",
        "trunc_faststart.mp4": "41 frames decode; the file is cut off: 34 of 75",
        "trunc_half.mkv": "31 frames decode; the file is cut off",
        "trunc_no_index.avi": "37 frames decode",
    }.items():
        assert words in reasons[f"awkward/{name}"], name
    partial = sum(row["expect"] == "partial" for row in expected.values())
    usable = partial + sum(row["expect"] == "ok" for row in expected.values())
    assert (result.metrics["videos"], result.metrics["broken"], result.metrics["partial"]) == (
        usable,
        80 - usable,
        partial,
    )
