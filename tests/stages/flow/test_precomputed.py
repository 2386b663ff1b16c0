"""Flow that was extracted before: every layout comes back as it was written, and what is wrong is said."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from engine.errors import UserError
from stages.flow.precomputed import read_precomputed
from stages.flow.problem import FlowProblem
from stages.video.flow_spec import Precomputed

BOUND = 20.0
BYTE = 2 * BOUND / 255
SIZE = (16, 12)
VIDEO = "videos/Jump/v_Jump_g01_c01.avi"


def spec(layout: str) -> Precomputed:
    return Precomputed(kind="precomputed", root="flows", layout=layout)


def read(root: Path, layout: str, frames: int = 13, size=SIZE, video: str = VIDEO) -> np.ndarray:
    return read_precomputed(root, video, spec(layout), BOUND, frames, size)


def fields(count: int = 12, size=SIZE) -> np.ndarray:
    """Smooth fields, all different, u and v too: float32 [count, H, W, 2], within the bound."""
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    planes = [[8 * np.sin(x / 9 + n) + n - 5, 6 * np.cos(y / 7 - n) - n / 2] for n in range(count)]
    return np.moveaxis(np.array(planes, np.float32), 1, -1)


def as_bytes(flow: np.ndarray) -> np.ndarray:
    return np.rint((flow + BOUND) * 255 / (2 * BOUND)).astype(np.uint8)


def save(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"quality": 100, "subsampling": 0} if path.suffix in (".jpg", ".jpeg") else {}
    Image.fromarray(picture).save(path, **options)


def save_planes(root: Path, flows: np.ndarray, u: str, v: str, first: int = 1) -> None:
    for number, flow in enumerate(as_bytes(flows), first):
        for name, plane in ((u, flow[..., 0]), (v, flow[..., 1])):
            save(root / name.format(number), plane)


def write_flo(path: Path, flow: np.ndarray, tag: bytes = b"PIEH") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = flow.shape[:2]
    path.write_bytes(tag + struct.pack("<ii", width, height) + flow.astype("<f4").tobytes())


NAMES = [
    ("Jump/v_Jump_g01_c01/flow_x_{:05d}.jpg", "Jump/v_Jump_g01_c01/flow_y_{:05d}.jpg"),
    ("v_Jump_g01_c01/flow_x_{}.png", "v_Jump_g01_c01/flow_y_{}.png"),  # no zeros: 10 comes after 9
    ("videos/Jump/v_Jump_g01_c01/img_{:05d}_x.jpg", "videos/Jump/v_Jump_g01_c01/img_{:05d}_y.jpg"),
    ("v_Jump_g01_c01/v_Jump_g01_c01_u_{:03d}.jpg", "v_Jump_g01_c01/v_Jump_g01_c01_v_{:03d}.jpg"),
    ("v_Jump_g01_c01/flowx{:03d}.PNG", "v_Jump_g01_c01/flowy{:03d}.PNG"),
    ("v_Jump_g01_c01/x/{:05d}.jpg", "v_Jump_g01_c01/y/{:05d}.jpg"),
    ("Jump/v_Jump_g01_c01/u/frame{:06d}.jpg", "Jump/v_Jump_g01_c01/v/frame{:06d}.jpg"),
    ("v_Jump_g01_c01/flow_x/{:05d}.jpeg", "v_Jump_g01_c01/flow_y/{:05d}.jpeg"),
    ("u/v_Jump_g01_c01/frame{:06d}.jpg", "v/v_Jump_g01_c01/frame{:06d}.jpg"),
]


@pytest.mark.parametrize(("u", "v"), NAMES, ids=[u for u, _ in NAMES])
@pytest.mark.parametrize("first", [0, 1])
def test_planes(tmp_path, u, v, first):
    flows = fields()
    save_planes(tmp_path, flows, u, v, first)
    found = read(tmp_path, "planes")
    assert found.dtype == np.float32 and found.shape == flows.shape
    assert np.abs(found - flows).max() < (0.51 if u.lower().endswith("png") else 1.6) * BYTE


def test_other_files_beside_the_planes_are_left_alone(tmp_path):
    folder = "v_Jump_g01_c01"
    save_planes(tmp_path, fields(), f"{folder}/flow_x_{{}}.png", f"{folder}/flow_y_{{}}.png")
    for name in ("img_00001.jpg", "v_Jump_g01_c01_00001.jpg"):
        save(tmp_path / folder / name, np.zeros((12, 16, 3), np.uint8))
    for name in ("Thumbs.db", "._flow_x_1.png", "flow_x_2.txt"):
        (tmp_path / folder / name).write_bytes(b"?")
    (tmp_path / folder / "TSP_Flows").mkdir()
    assert np.abs(read(tmp_path, "planes") - fields()).max() < 0.51 * BYTE


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_three_channels_are_128_v_u_to_the_eye(tmp_path, suffix):
    flows = fields()
    for number, flow in enumerate(as_bytes(flows)):
        rgb = np.stack([np.full_like(flow[..., 0], 128), flow[..., 1], flow[..., 0]], axis=-1)
        save(tmp_path / "v_Jump_g01_c01" / f"flow_{number}.{suffix}", rgb)
    found = read(tmp_path, "three_channel")
    assert np.abs(found - flows).max() < (0.51 if suffix == "png" else 4.5) * BYTE


def test_flo(tmp_path):
    for number, flow in enumerate(fields()):
        write_flo(tmp_path / "Jump/v_Jump_g01_c01" / f"{number}.flo", flow)
    assert np.array_equal(read(tmp_path, "flo"), fields())


@pytest.mark.parametrize(
    "whole", ["videos/Jump/v_Jump_g01_c01.npy", "v_Jump_g01_c01.npy", "Jump/v_Jump_g01_c01/flow.npy", None]
)
@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_npy(tmp_path, whole, channels_first, dtype):
    flows = fields().astype(dtype)
    stored = np.moveaxis(flows, -1, 1) if channels_first else flows
    for name, array in [(whole, stored)] if whole else [(f"v_Jump_g01_c01/f{n}.npy", a) for n, a in enumerate(stored)]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / name, array)
    found = read(tmp_path, "npy")
    assert found.dtype == np.float32 and np.array_equal(found, flows.astype(np.float32))


@given(level=st.integers(0, 255), bound=st.floats(0.5, 100))
def test_bytes_are_linear_between_the_bounds(tmp_path_factory, level, bound):
    root = tmp_path_factory.mktemp("flows")
    for component in "xy":
        save(
            root / "a" / f"flow_{component}_1.png",
            np.full((3, 4), level if component == "x" else 255 - level, np.uint8),
        )
    (found,) = read_precomputed(root, "a.mp4", spec("planes"), bound, 2, (4, 3))
    assert np.allclose(found[..., 0], -bound + level * 2 * bound / 255, atol=1e-5 * bound)
    assert np.allclose(found[..., 1], -found[..., 0], atol=1e-5 * bound)


@pytest.mark.parametrize("size", [(32, 12), (8, 6), (16, 36), (5, 7)])
def test_flow_of_another_size_is_scaled_in_place_and_in_length(tmp_path, size):
    x = np.mgrid[:12, :16][1].astype(np.float32)
    flow = np.stack([np.full_like(x, 3.0), 0.5 * x], axis=-1)
    np.save(tmp_path / "a.npy", flow[None])
    (found,) = read(tmp_path, "npy", 2, size, "a.mp4")
    assert found.shape == (size[1], size[0], 2)
    assert np.allclose(found[..., 0], 3.0 * size[0] / 16, atol=1e-5)
    places = (np.arange(size[0]) + 0.5) * 16 / size[0] - 0.5
    middle = slice(size[0] // 4, -(size[0] // 4))
    assert np.allclose(found[:, middle, 1], (0.5 * places * size[1] / 12)[middle], atol=0.01)


def test_a_video_of_n_frames_has_n_fields_or_one_less(tmp_path):
    np.save(tmp_path / "v_Jump_g01_c01.npy", fields(12))
    assert np.array_equal(read(tmp_path, "npy", 13), fields(12))
    assert np.array_equal(read(tmp_path, "npy", 12), fields(12)[:11])
    for frames in (11, 14):
        with pytest.raises(
            FlowProblem, match=rf"12 flow fields for a video of {frames} frames, where {frames - 1} are"
        ):
            read(tmp_path, "npy", frames)


@pytest.mark.parametrize("layout", ["planes", "three_channel", "flo", "npy"])
def test_a_single_frame_needs_no_files_and_more_do(tmp_path, layout):
    assert read(tmp_path, layout, 1).shape == (0, 12, 16, 2)
    with pytest.raises(
        FlowProblem, match=r"videos/Jump/v_Jump_g01_c01: no such folder, and no v_Jump_g01_c01 in .*: extract"
    ):
        read(tmp_path, layout)
    (tmp_path / "v_Jump_g01_c01").mkdir()
    with pytest.raises(FlowProblem, match="0 flow fields for a video of 13 frames"):
        read(tmp_path, layout)


def _planes(root: Path) -> None:
    save_planes(root, fields(), "a/flow_x_{}.png", "a/flow_y_{}.png")


def _lost(root: Path) -> None:
    _planes(root)
    (root / "a/flow_y_4.png").unlink()


def _gap(root: Path) -> None:
    _planes(root)
    for component in "xy":
        (root / f"a/flow_{component}_4.png").unlink()


def _twice(root: Path) -> None:
    _planes(root)
    save(root / "a/flow_x_04.jpg", np.zeros((12, 16), np.uint8))


def _no_number(root: Path) -> None:
    _planes(root)
    save(root / "a/flow_x_mean.png", np.zeros((12, 16), np.uint8))


def _two_extractions(root: Path) -> None:
    _planes(root)
    save_planes(root, fields(), "a/u_{}.png", "a/v_{}.png")


def _other_size(root: Path) -> None:
    _planes(root)
    save(root / "a/flow_y_4.png", np.zeros((12, 15), np.uint8))


def _cut_off(root: Path) -> None:
    _planes(root)
    path = root / "a/flow_x_4.png"
    path.write_bytes(path.read_bytes()[:60])


def _no_picture(root: Path) -> None:
    _planes(root)
    (root / "a/flow_x_4.png").write_bytes(b"<html>404</html>")


def _rgb_frames(root: Path) -> None:
    for number in range(12):
        save(root / f"a/{number}.png", np.full((12, 16, 3), 40, np.uint8))


def _uint8(root: Path) -> None:
    np.save(root / "a.npy", np.zeros((12, 12, 16, 2), np.uint8))


def _shape(root: Path) -> None:
    np.save(root / "a.npy", np.zeros((12, 12, 16, 3), np.float32))


def _nan(root: Path) -> None:
    np.save(root / "a.npy", np.where(fields() > 7, np.nan, fields()))


def _pickle(root: Path) -> None:
    (root / "a.npy").write_bytes(pickle.dumps(fields()))  # which numpy would load, and run code from, if it were let


def _not_npy(root: Path) -> None:
    (root / "a.npy").write_bytes(b"")


def _flo(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for number, flow in enumerate(fields()):
            write_flo(root / "a" / f"{number}.flo", flow)
        path = root / "a/4.flo"
        path.write_bytes(change(path.read_bytes()))

    return make


WRONG = [
    ("planes", _lost, r"12 pictures of u and 11 of v; number 4 has u but not v"),
    ("planes", _gap, r"a: flow 3 is followed by 5"),
    ("planes", _twice, r"flow_x_4.png: has the same number as flow_x_04.jpg"),
    ("planes", _no_number, r"flow_x_mean.png: has no number"),
    ("planes", _two_extractions, r"pictures of x and y and of u and v"),
    ("planes", _other_size, r"flow_x_4.png and flow_y_4.png: are not of one size"),
    ("planes", _cut_off, r"flow_x_4.png: cannot be read as a picture"),
    ("planes", _no_picture, r"flow_x_4.png: cannot be read as a picture"),
    ("three_channel", _rgb_frames, r"0.png: is not flow as CoCLR's .* 88 away"),
    ("npy", _uint8, r"a.npy: is uint8 \(12, 12, 16, 2\), not floats"),
    ("npy", _shape, r"a.npy: is float32 \(12, 12, 16, 3\), not floats"),
    ("npy", _nan, r"a.npy: has vectors that are not known or not finite"),
    ("npy", _pickle, r"a.npy: cannot be read as an array"),
    ("npy", _not_npy, r"a.npy: cannot be read as an array"),
    ("flo", _flo(lambda content: b"HEIP" + content[4:]), r"4.flo: is not a .flo file"),
    ("flo", _flo(lambda content: b""), r"4.flo: is not a .flo file"),
    ("flo", _flo(lambda content: content[:-1]), r"4.flo: is damaged: 1547 bytes, but 16 x 12 pixels take 1548"),
    ("flo", _flo(lambda content: content + b"\0"), r"4.flo: is damaged: 1549 bytes"),
    (
        "flo",
        _flo(lambda content: content[:4] + struct.pack("<i", -16) + content[8:]),
        r"4.flo: is damaged: .* -16 x 12",
    ),
    ("flo", _flo(lambda content: content[:-4] + struct.pack("<f", 1.6e9)), r"4.flo: has vectors that are not known"),
]


@pytest.mark.parametrize(("layout", "make", "message"), WRONG, ids=[f"{w[0]}-{i}" for i, w in enumerate(WRONG)])
def test_what_is_wrong_is_said_and_where(tmp_path, layout, make, message):
    make(tmp_path)
    with pytest.raises(FlowProblem, match=message) as problem:
        read(tmp_path, layout, video="a.mp4")
    assert isinstance(problem.value, UserError), "a stage lists it with the video's other problems"
