"""Packed pictures (frames, or flow fields): files in the store, and the index that says where those of each video lie.

One folder a packing (``frames/raw-144-v1``), shared by all data sets and studies. It holds pairs of files ``<unique>.bin`` (pictures of some
videos, one after another) and ``<unique>.parquet`` (their digests and places). Files are only added and become visible
by a rename, the index last: a killed or a concurrent run can neither show half a shard nor harm another one.
"""

from __future__ import annotations

import io
import mmap
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from stages.video.listing import write_parquet

SHARD_BYTES = 1_000_000_000
"""A shard that has reached this size is closed, and another one begun."""


class Shelf(Protocol):
    """A kind of packed pictures. kind: ``raw`` or ``jpeg``; channels: of a picture; quality: of JPEGs."""

    kind: str
    quality: int
    channels: ClassVar[int]

    def folder(self, store: Path) -> Path:
        """Where the shards lie."""
        ...


def encode(picture: np.ndarray, kind: str, quality: int) -> bytes:
    """Bytes of one picture, uint8 [H, W, 3] or [H, W, 2]. JPEG of two channels: each a grey picture, which shares no colours."""
    if kind == "raw":
        return picture.tobytes()
    from PIL import Image

    parts = [picture] if picture.shape[-1] == 3 else [picture[..., 0], picture[..., 1]]
    encoded = []
    for part in parts:
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(part)).save(buffer, "JPEG", quality=quality)
        encoded.append(buffer.getvalue())
    if len(encoded) == 1:
        return encoded[0]
    return len(encoded[0]).to_bytes(4, "little") + encoded[0] + encoded[1]


def decode_jpeg(data: bytes, channels: int) -> np.ndarray:
    """The picture of ``encode`` with kind ``jpeg``: uint8 [H, W, channels]."""
    if channels == 3:
        return _decode(data)
    first = 4 + int.from_bytes(data[:4], "little")
    return np.concatenate([_decode(data[4:first]), _decode(data[first:])], axis=-1)


def _decode(data: bytes) -> np.ndarray:
    """uint8 [H, W, 1 or 3], as Pillow would, which takes half as long again."""
    import torch
    from torchvision.io import decode_jpeg

    return decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8)).permute(1, 2, 0).numpy()


@dataclass(frozen=True)
class Packing:
    """How frames are packed: ``raw`` (uint8 RGB) or ``jpeg``, the short side they are scaled to, and JPEG's quality."""

    kind: str
    short_side: int
    quality: int = 0
    channels: ClassVar[int] = 3

    @property
    def key(self) -> str:
        """Name of the folder; the version changes when equal settings come to mean different pixels."""
        return f"{self.kind}-{self.short_side}" + (f"-q{self.quality}" if self.kind == "jpeg" else "") + "-v1"

    @staticmethod
    def from_key(key: str) -> Packing:
        """The packing that has this key."""
        kind, short_side, *quality, _ = key.split("-")
        return Packing(kind, int(short_side), int(quality[0][1:]) if quality else 0)

    def folder(self, store: Path) -> Path:
        return store / "frames" / self.key


@dataclass
class Place:
    """Where the pictures of one video lie. ends: end of each relative to ``offset``, int64 [frames]; empty for raw.

    note: what the writer had to say of the video, as JSON, or "".
    """

    file: Path
    offset: int
    frames: int
    height: int
    width: int
    ends: np.ndarray
    channels: int = 3
    note: str = ""

    @property
    def bytes(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else self.frames * self.height * self.width * self.channels


@dataclass
class ShardWriter:
    """Writes one shard. Nothing of it can be seen before ``publish``; ``discard`` forgets the current video."""

    folder: Path
    packing: Shelf
    _rows: list[dict] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _shape: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._name = uuid.uuid4().hex
        self._partial = self.folder / f"{self._name}.partial"
        self._file = open(self._partial, "wb")  # noqa: SIM115 - open until it is published
        self._start = 0

    def add(self, frame: np.ndarray) -> bytes:
        """Append one picture, uint8 [H, W, channels], to the current video; returns its bytes as they are stored."""
        data = encode(frame, self.packing.kind, self.packing.quality)
        self._file.write(data)
        self._ends.append(self._file.tell() - self._start)
        self._shape = (frame.shape[0], frame.shape[1])
        return data

    @property
    def bytes(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def finish(self, digest: str, note: str = "") -> None:
        """The current video is complete; ``note`` is kept with it."""
        height, width = self._shape
        ends = self._ends if self.packing.kind == "jpeg" else []
        place = {
            "offset": self._start,
            "frames": len(self._ends),
            "height": height,
            "width": width,
            "ends": ends,
            "note": note,
        }
        self._rows.append({"digest": digest, **place})
        self._begin()

    def discard(self) -> None:
        """Forget the frames of the current video."""
        self._file.seek(self._start)
        self._file.truncate()
        self._begin()

    def publish(self) -> None:
        """Make the finished videos visible; an empty shard leaves nothing behind."""
        import pyarrow as pa

        self.discard()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if not self._rows:
            self._partial.unlink()
            return
        os.replace(self._partial, self.folder / f"{self._name}.bin")
        table = pa.Table.from_pylist(self._rows, schema=_schema())
        publish_parquet(table, self.folder / f"{self._name}.parquet")

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def _begin(self) -> None:
        self._start, self._ends = self._file.tell(), []


def publish_parquet(table: object, path: Path) -> None:
    """Write a Parquet file that appears whole or not at all."""
    partial = path.with_suffix(".partial-index")
    write_parquet(table, partial)
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, path)


def places(store: Path, packing: Shelf, digests: Iterable[str]) -> dict[str, Place]:
    """Where the frames of the videos with these digests lie; videos that are not packed are left out.

    A video that two runs packed at the same time has two copies with the same content: the one in the first file counts.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pa.array(sorted(set(digests)), pa.string())
    found: dict[str, Place] = {}
    for index in sorted(packing.folder(store).glob("*.parquet")):
        table = pq.read_table(index)
        table = table.filter(pc.is_in(table["digest"], value_set=wanted)).combine_chunks()
        if not len(table):
            continue
        lists = table["ends"].chunk(0)
        ends, bounds = lists.flatten().to_numpy(), lists.offsets.to_numpy() - lists.offsets[0].as_py()
        file = index.with_suffix(".bin")
        columns = (table[name].to_pylist() for name in ("digest", "offset", "frames", "height", "width"))
        notes = table["note"].to_pylist() if "note" in table.column_names else [""] * len(table)
        for i, (digest, *place) in enumerate(zip(*columns)):
            found.setdefault(digest, Place(file, *place, ends[bounds[i] : bounds[i + 1]], packing.channels, notes[i]))
    return found


class ShardReader:
    """Reads packed pictures through memory maps, which are opened when first needed (in every worker anew)."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)
        self._maps: dict[Path, mmap.mmap] = {}

    def __getstate__(self) -> dict:
        return {"_places": self._places, "_maps": {}}

    def read(self, digest: str, numbers: np.ndarray) -> np.ndarray:
        """Pictures ``numbers`` (int [T]) of a video: uint8 [T, H, W, channels], a copy. Raises IndexError beyond its frames."""
        place = self._places[digest]
        first, last = int(numbers.min()), int(numbers.max())
        if first < 0 or last >= place.frames:
            raise IndexError(f"frames {first}..{last} of a video of {place.frames} frames")
        data = self._map(place.file)
        if len(place.ends):
            return self._read_jpeg(data, place, numbers)
        frame = place.height * place.width * place.channels
        run = np.frombuffer(data, np.uint8, (last - first + 1) * frame, place.offset + first * frame)
        run = run.reshape(-1, place.height, place.width, place.channels)
        return run.take(numbers - first, axis=0)

    def _read_jpeg(self, data: mmap.mmap, place: Place, numbers: np.ndarray) -> np.ndarray:
        out = np.empty((len(numbers), place.height, place.width, place.channels), np.uint8)
        for i, number in enumerate(numbers.tolist()):
            begin = place.offset + (int(place.ends[number - 1]) if number else 0)
            out[i] = decode_jpeg(data[begin : place.offset + int(place.ends[number])], place.channels)
        return out

    def _map(self, path: Path) -> mmap.mmap:
        if path not in self._maps:
            with open(path, "rb") as file:
                self._maps[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return self._maps[path]


def _schema() -> object:
    import pyarrow as pa

    fields = {
        "digest": pa.string(),
        "offset": pa.int64(),
        "frames": pa.int64(),
        "height": pa.int32(),
        "width": pa.int32(),
    }
    return pa.schema([*fields.items(), ("ends", pa.list_(pa.int64())), ("note", pa.string())])
