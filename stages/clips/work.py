"""Checking and packing some videos: what one worker does with one portion. Each video is decoded once for both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stages.video.checks import checks_folder, save_checks
from stages.video.container import VideoError
from stages.video.decode import fit, to_rgb
from stages.video.index import Checked, check
from stages.video.picture_folder import open_pictures
from stages.video.shards import SHARD_BYTES, Packing, ShardWriter

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclass(frozen=True)
class Item:
    """A video to be done: its file or folder, the digest and size it was listed with, and whether its frames are to be packed."""

    path: Path
    digest: str
    size: int
    pack: bool


@dataclass(frozen=True)
class Portion:
    """Videos that one worker does in one go, see ``stages.video.workers``."""

    items: tuple[Item, ...]
    store: Path
    packing: Packing | None

    def do(self, alive: Callable[[], None]) -> Iterator[tuple[str, Checked]]:
        """Check and pack the videos of a portion, in order; yields digest and result of each.

        Shards and results are published at the end and whenever a shard is full. alive() is called at every frame.
        """
        writer = _new_writer(self)
        unsaved: dict[str, Checked] = {}
        try:
            for item in self.items:
                checked, lasting = _do_video(item, writer, alive)
                if lasting:
                    unsaved[item.digest] = checked
                if item is self.items[-1] or (writer is not None and writer.bytes > SHARD_BYTES):
                    _publish(self, writer, unsaved)
                    writer, unsaved = _new_writer(self), {}
                yield item.digest, checked
        finally:
            if writer is not None:
                writer.abandon()

    def lost(self, item: Item, reason: str) -> tuple[str, Checked]:
        return item.digest, Checked("error", reason)


def _new_writer(portion: Portion) -> ShardWriter | None:
    return ShardWriter(portion.packing.folder(portion.store), portion.packing) if portion.packing else None


def _publish(portion: Portion, writer: ShardWriter | None, found: dict[str, Checked]) -> None:
    if writer is not None:
        writer.publish()
    save_checks(checks_folder(portion.store), found)


def _do_video(item: Item, writer: ShardWriter | None, alive: Callable[[], None]) -> tuple[Checked, bool]:
    """What the check found, and whether it would find the same at another time."""

    def each(found: Checked, frame: VideoFrame) -> None:
        if item.pack and writer is not None:
            writer.add(to_rgb(frame, fit(*found.display_size, writer.packing.short_side), found.rotate))
        alive()

    folder = item.path.is_dir()
    try:
        size = sum(open_pictures(item.path).sizes()) if folder else item.path.stat().st_size
        if size != item.size:
            return Checked("error", "has changed since it was listed; run again"), False
        if not folder:
            with open(item.path, "rb"):
                pass
    except OSError as error:
        return Checked("error", f"cannot be read: {error.strerror}"), False
    except VideoError as error:
        return Checked(error.status, str(error)), False
    found = check(item.path, each)
    if item.pack and writer is not None:
        writer.finish(item.digest) if found.usable else writer.discard()
    return found, not (folder and found.status == "error")  # that was the disk
