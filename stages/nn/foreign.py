"""Weights that others trained: found on the machine, matched by name and shape, and never loaded half."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Collection, Mapping

import torch
from torch import Tensor, nn

from engine.errors import UserError


@dataclass(frozen=True)
class Match:
    """How the weights of a checkpoint fit a network; keys are the network's, those of ``unexpected`` the file's."""

    prefix: str
    matched: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]
    unexpected: tuple[str, ...]


def load_foreign(path: Path, network: nn.Module, allow_missing: Collection[str] = ()) -> Match:
    """Load ``path`` (.pt, .pth or .safetensors) into ``network`` and say what matched.

    Names may stand below any prefix (``module.``, ``encoder_q.0.``): the one under which most weights fit is taken,
    the query encoder's where several fit alike. Weights that the file has beyond the network's (a classifier) are
    left aside and reported. Pickled code in the file is never run.
    Raises UserError when the file cannot be read, or lacks a weight that is not in ``allow_missing``.
    """
    state = read_tensors(path)
    wanted = network.state_dict()
    match = match_names(state, wanted, path)
    require_fit(match, len(wanted), path, allow_missing)
    network.load_state_dict({key: state[match.prefix + key] for key in match.matched}, strict=False)
    return match


def require_fit(
    match: Match,
    wanted: int,
    path: Path,
    allow_missing: Collection[str] = (),
    advice: str = "Choose the encoder that the file was made with.",
) -> None:
    """Raise UserError, which names the weights, when some of the ``wanted`` are missing or have another shape."""
    absent = [key for key in match.missing if key not in allow_missing]
    if absent or match.misshapen:
        what = [f"lacks {some(absent)}"] if absent else []
        what += [f"has another shape for {some(match.misshapen)}"] if match.misshapen else []
        raise UserError(
            f"{path}: these weights do not fit the network: the file {' and '.join(what)} "
            f"({len(match.matched)} of {wanted} weights matched, prefix {match.prefix!r}; the file also has "
            f"{some(match.unexpected) or 'nothing else'}). {advice}"
        )


def match_names(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path | str = "checkpoint") -> Match:
    """Compare the tensors of a checkpoint with those of a network. Raises UserError when two prefixes fit alike."""
    counts: Counter[str] = Counter()
    for key, tensor in state.items():
        parts = key.split(".")
        for i in range(len(parts)):
            name = ".".join(parts[i:])
            if name in wanted and wanted[name].shape == tensor.shape:
                counts[key[: len(key) - len(name)]] += 1
    best = max(counts.values(), default=0)
    prefixes = sorted(prefix for prefix, count in counts.items() if count == best)
    if len(prefixes) > 1:
        queries = [prefix for prefix in prefixes if "encoder_q." in prefix]
        if len(queries) != 1:
            raise UserError(f"{path}: the network fits equally well under {some(prefixes)}: keep only one of them in the file")
        prefixes = queries
    prefix = prefixes[0] if prefixes else ""
    # Files from before BatchNorm counted its batches lack the counter; nothing reads it where momentum is set.
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    found = {key for key in wanted if prefix + key in state}
    matched = {key for key in found if state[prefix + key].shape == wanted[key].shape}
    return Match(
        prefix=prefix,
        matched=tuple(key for key in wanted if key in matched),
        missing=tuple(key for key in wanted if key not in found and key not in counters),
        misshapen=tuple(key for key in wanted if key in found - matched),
        unexpected=tuple(key for key in state if key[len(prefix) :] not in found or not key.startswith(prefix)),
    )


def torchvision_file(kind: str, weights: str, folder: Path | None) -> Path:
    """File of torchvision's weights, in ``folder`` or torch's own cache, its content checked against its name.

    Raises UserError when it is in neither (nothing is downloaded) or damaged.
    """
    from torchvision.models import get_model_weights

    url = get_model_weights(kind)[weights].url
    name = url.rsplit("/", 1)[-1]
    places = [*([folder] if folder else []), Path(torch.hub.get_dir()) / "checkpoints"]
    for place in places:
        if (place / name).is_file():
            path = place / name
            digest = name.rsplit(".", 1)[0].rsplit("-", 1)[-1]
            with path.open("rb") as file:
                if not hashlib.file_digest(file, "sha256").hexdigest().startswith(digest):
                    raise UserError(f"{path} is damaged: its digest is not the {digest} of its name. Fetch it anew from {url}")
            return path
    raise UserError(
        f"weights {weights} of {kind} are not on this machine. Put {url} into "
        f"{' or '.join(str(place) for place in places)} (the folder is `weights` in local.yaml); nothing is downloaded by itself."
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint by dotted name, whatever dictionaries they lie in; pickled code is never run.

    Raises UserError when the file cannot be read so, or holds none.
    """
    from pickle import UnpicklingError

    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        saved = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors, and is not loaded since that would run code from it "
            f"({str(error).splitlines()[0]}). Save its state_dict alone."
        ) from None
    except SafetensorError as error:
        raise UserError(f"{path} cannot be read as safetensors: {error}") from None
    except Exception as error:  # torch's reader fails in any way on a file that is none of its own
        raise UserError(f"{path} cannot be read as a checkpoint ({type(error).__name__}: {error})") from None
    found: dict[str, Tensor] = {}
    _collect(saved, "", found)
    if not found:
        raise UserError(f"{path} holds no tensors")
    return found


def _collect(value: Any, prefix: str, into: dict[str, Tensor]) -> None:
    if isinstance(value, Tensor):
        into[prefix.removesuffix(".")] = value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _collect(item, f"{prefix}{key}.", into)


def some(names: Collection[str], limit: int = 6) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(list(names)[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
