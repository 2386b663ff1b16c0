"""Files of weights that a person has put on the machine."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.errors import UserError
from engine.run.home import home
from engine.run.local import Local


def weights_file(name: str, local: Local) -> Path:
    """The file ``name`` in ``local.yaml``'s folder ``weights``.

    Raises UserError when no folder is set, or the file is not there: nothing is downloaded.
    """
    settings = home() / "local.yaml"
    if local.weights is None:
        raise UserError(
            f"{name}: no folder for weights is set. Write `weights: /path/to/folder` into {settings} and put "
            f"{name} there; nothing is downloaded by itself"
        )
    folder = Path(local.weights).expanduser()
    folder = folder if folder.is_absolute() else home() / folder
    if not (folder / name).is_file():
        raise UserError(
            f"{folder / name}: no such file. Put {name} into {folder} (`weights` in {settings}); nothing is "
            "downloaded by itself"
        )
    return folder / name


def checked_digest(path: Path, expected: str | None) -> str:
    """SHA-256 of the file, in hexadecimal digits. Raises UserError when another one is ``expected``."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if expected is not None and digest != expected:
        raise UserError(
            f"{path} is another file than the spec means: its sha256 is {digest}, where the spec says {expected}. "
            "Fetch it anew if it is damaged, or correct the spec"
        )
    return digest
