"""What the containers of videos say of their length, kept in the store by digest, so that a file is opened once."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from stages.video.container import VideoError, duration, frame_rate, open_video, stated_frames
from stages.video.picture_folder import open_pictures
from stages.video.shards import publish_parquet

VERSION = 1
"""Raised when the same file would be read differently by newer code."""


@dataclass(frozen=True)
class Header:
    """duration [s] and fps: 0 if not stated; frames: as stated, else a guess. problem: why it does not open, or ""."""

    duration: float = 0.0
    fps: float = 0.0
    frames: int = 0
    problem: str = ""


def read_headers(
    root: Path, digests: Mapping[str, str], store: Path, fps: float | None = None
) -> Iterator[tuple[str, Header]]:
    """Path and header of each video below ``root``; digests: by path. fps: of videos that are folders of pictures.

    Nothing is decoded beyond what FFmpeg needs to know the format. Headers that could be read are added to the store.
    """
    import av

    versions = av.library_versions
    codec, container = versions["libavcodec"], versions["libavformat"]
    key = f"v{VERSION}-avcodec{codec[0]}.{codec[1]}-avformat{container[0]}.{container[1]}"
    folder = store / "headers" / key
    known = {} if fps else _load(folder, digests.values())
    yield from ((path, known[digest]) for path, digest in digests.items() if digest in known)
    unknown = [path for path, digest in digests.items() if digest not in known]
    found: dict[str, Header] = {}
    with ThreadPoolExecutor(8) as pool:  # waits for the disk, which may be far away
        for path, header in zip(unknown, pool.map(lambda name: _header(root / name, fps), unknown)):
            if not header.problem:
                found[digests[path]] = header
            yield path, header
    if found and not fps:
        _save(folder, found)


def _header(path: Path, fps: float | None) -> Header:
    try:
        if fps:
            frames = len(open_pictures(path).names)
            return Header(frames / fps, fps, frames)
        with open_video(path) as (container, stream):
            return Header(duration(container, stream), frame_rate(stream), stated_frames(container, stream))
    except VideoError as error:
        return Header(problem=str(error))


def _save(folder: Path, found: Mapping[str, Header]) -> None:
    import pyarrow as pa

    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"digest": digest, **asdict(header)} for digest, header in sorted(found.items())]
    publish_parquet(pa.Table.from_pylist(rows), folder / f"{uuid.uuid4().hex}.parquet")


def _load(folder: Path, digests: Iterable[str]) -> dict[str, Header]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    wanted = pa.array(sorted(set(digests)), pa.string())
    found = {}
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        for row in table.filter(pc.is_in(table["digest"], value_set=wanted)).to_pylist():
            digest = row.pop("digest")
            found[digest] = Header(**row)
    return found
