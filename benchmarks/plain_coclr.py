"""CoCLR's half-cycle written plainly, as the paper's public code works: what ``training_step.py`` measures against.

Loader: every frame of two clips in both views is decoded from a JPEG and passes through Pillow one by one, flow as
pictures of three channels with RGB's augmentation; flow of the query's clip is never used. Step: fp32, contiguous
memory, a pass each for query, key and miner, one for the whole batch; Adam weight by weight, and so the slow copy.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Self

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from torchvision.transforms import functional as pil

from benchmarks.packed_clips import PackedClips, PackedFlows
from stages.nn.encoders import build_encoder
from stages.nn.head import Embedder, Projection
from stages.nn.spec import Encoder
from stages.video.augment import Augmentation, Crop, draw_pair
from stages.video.loader import Epochs
from stages.video.sampling import frame_numbers, random_start
from stages.video.spec import IMAGENET_DEVIATION, IMAGENET_MEAN, Clip

QUALITY = 92
ADJUST = (pil.adjust_brightness, pil.adjust_contrast, pil.adjust_saturation, pil.adjust_hue)


class PlainPairs(Dataset):
    """Step -> (RGB [N, 2, 3, T, S, S], flow of the same shape, sources [N]), float32 and normalised.

    The choices are those of ``stages.video.loader.Pairs`` with the same seed: the same clips, crops and colours.
    """

    def __init__(self, clips: PackedClips, flows: PackedFlows, clip: Clip, epochs: Epochs, seed: int) -> None:
        self.clip, self.epochs, self.seed = clip, epochs, seed
        self.frames, self.sources = clips.frames, clips.groups
        self.rgb = [_jpegs(clips.read(row, np.arange(n))) for row, n in enumerate(clips.frames)]
        self.flow = [_jpegs(_three(flows.read(row, np.arange(n)))) for row, n in enumerate(clips.frames)]

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        epoch, rows = self.epochs.at(step)
        samples = [self._sample(epoch, int(row)) for row in rows]
        rgb, flow = (torch.stack(view) for view in zip(*samples))
        return rgb, flow, torch.from_numpy(self.sources[rows])

    def _sample(self, epoch: int, row: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng((self.seed, epoch, row))
        pair = draw_pair(rng)
        length = int(self.frames[row])
        numbers = [frame_numbers(random_start(length, self.clip, rng), length, self.clip) for _ in range(2)]
        views = []
        for jpegs in (self.rgb[row], self.flow[row]):
            decoded = [[_decode(jpegs[n]) for n in chosen] for chosen in numbers]  # both, whether used or not
            sides = [
                torch.stack([augmented(frame, choices, self.clip.size) for frame in decoded[which]], dim=1)
                for which, choices in zip(pair.clips, (pair.query, pair.key))
            ]
            views.append(torch.stack(sides))
        return views[0], views[1]


def augmented(frame: Image.Image, choices: Augmentation, size: int) -> Tensor:
    """One frame through all steps of its clip's augmentation: float32 [3, size, size], normalised."""
    left, top, width, height = window(choices.crop, *frame.size)
    frame = frame.crop((left, top, left + width, top + height)).resize((size, size), Image.Resampling.BICUBIC)
    if choices.flip:
        frame = frame.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    colour = choices.colour
    for number in colour.order if colour.factors else ():
        frame = ADJUST[number](frame, colour.factors[number])
    if colour.grey is not None:
        frame = Image.merge("RGB", [frame.getchannel(colour.grey)] * 3)
    if colour.sigma is not None:
        frame = frame.filter(ImageFilter.GaussianBlur(colour.sigma * size / 128))
    return pil.normalize(pil.to_tensor(frame), IMAGENET_MEAN, IMAGENET_DEVIATION)


def window(crop: Crop, width: int, height: int) -> tuple[int, int, int, int]:
    """left, top, width, height of the first window if it fits, else of the whole frame: there is no second try."""
    w = round((crop.areas[0] * width * height * crop.aspects[0]) ** 0.5)
    h = round((crop.areas[0] * width * height / crop.aspects[0]) ** 0.5)
    if not (0 < w <= width and 0 < h <= height):
        return 0, 0, width, height
    return int(crop.right * (width - w + 1)), int(crop.down * (height - h + 1)), w, h


class PlainInTurns:
    """The plain half-cycle in a process of its own, which has none of our settings and does one step when asked to.

    Use it as a context manager.
    """

    def __init__(self, recipe: Recipe) -> None:
        spawn = get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_answer, args=(recipe, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._ours.recv()  # ready

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ours.close()  # at which it ends
        self._process.join()

    def step(self, step: int) -> tuple[float, float]:
        """Do a step and wait for it; returns its seconds, and how many of these went into loading the batch."""
        self._ours.send(step)
        return self._ours.recv()


@dataclass(frozen=True)
class Recipe:
    """All that a plain half-cycle needs. clip: frames and size of what is cut from ``clips`` and ``flows``."""

    clips: PackedClips
    flows: PackedFlows
    clip: Clip
    batch: int
    encoder: Encoder
    dim: int
    queue: int
    temperature: float
    momentum: float
    topk: int
    device: str
    threads: int
    clock: Callable[[], float] = time.perf_counter


def _answer(recipe: Recipe, connection: Connection) -> None:
    torch.set_num_threads(recipe.threads)
    epochs = Epochs(recipe.clips.split("train"), recipe.batch, seed=0)
    pairs = PlainPairs(recipe.clips, recipe.flows, recipe.clip, epochs, seed=0)
    training = PlainTraining(recipe)
    connection.send("ready")
    while True:
        try:
            step = connection.recv()
        except EOFError:
            return
        started = recipe.clock()
        batch = [tensor.to(recipe.device) for tensor in pairs[step]]
        loaded = recipe.clock()
        training.step(*batch).item()  # which waits for the device
        connection.send((recipe.clock() - started, loaded - started))


class PlainTraining:
    """Query, key and mining network, the dual queue, and the step. The queue counts as filled from the start."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.query, self.miner = (_embedder(recipe.encoder, recipe.dim, seed).to(recipe.device) for seed in (1, 2))
        self.key = deepcopy(self.query).requires_grad_(False)
        self.miner.requires_grad_(False).eval()
        shape = (recipe.dim, recipe.queue)
        self.keys, self.others = (F.normalize(torch.randn(shape), dim=0).to(recipe.device) for _ in range(2))
        self.sources = torch.full((recipe.queue,), -1, device=recipe.device)
        self.pointer = 0
        self.adam = torch.optim.Adam(
            self.query.parameters(), lr=1e-3, weight_decay=1e-5, foreach=False, fused=False
        )

    def step(self, rgb: Tensor, flow: Tensor, sources: Tensor) -> Tensor:
        """One step on the batch of ``PlainPairs``; returns the loss."""
        queries = self.query(rgb[:, 0].contiguous())
        with torch.no_grad():
            for slow, fast in zip(self.key.parameters(), self.query.parameters()):
                slow.data = slow.data * self.recipe.momentum + fast.data * (1 - self.recipe.momentum)
            order = torch.randperm(len(rgb), device=rgb.device)
            keys = self.key(rgb[:, 1].contiguous()[order])[order.argsort()]
            others = self.miner(flow[:, 1].contiguous())
        logits, positives = self.contrast(queries, keys, others, sources)
        self.enqueue(keys, others, sources)
        loss = plain_loss(logits, positives)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return loss.detach()

    def contrast(self, queries: Tensor, keys: Tensor, others: Tensor, sources: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, 1 + K] and bool mask of the positives: own key, entries of the same source, and what is mined."""
        own = torch.einsum("nd,nd->n", queries, keys).unsqueeze(1)
        rest = torch.einsum("nd,dk->nk", queries, self.keys.clone().detach())
        positives = sources.unsqueeze(1) == self.sources.unsqueeze(0)
        alike = others.matmul(self.others.clone().detach())
        alike[positives] = -torch.inf
        _, best = alike.topk(self.recipe.topk, dim=1)
        mined = torch.zeros_like(alike).scatter_(1, best, 1)
        positives = torch.cat([torch.ones_like(positives[:, :1]), positives | mined.bool()], dim=1)
        return torch.cat([own, rest], dim=1) / self.recipe.temperature, positives

    @torch.no_grad()
    def enqueue(self, keys: Tensor, others: Tensor, sources: Tensor) -> None:
        """Write over the oldest entries; the batch divides the queue."""
        end = self.pointer + len(keys)
        self.keys[:, self.pointer : end] = keys.T
        self.others[:, self.pointer : end] = others.T
        self.sources[self.pointer : end] = sources
        self.pointer = end % self.recipe.queue


def plain_loss(logits: Tensor, positives: Tensor) -> Tensor:
    """Share of the softmax that falls on positives, minus its logarithm, averaged over the batch."""
    return -(F.softmax(logits, dim=1) * positives.float()).sum(1).log().mean()


def _embedder(encoder: Encoder, dim: int, seed: int) -> nn.Module:
    network = build_encoder(encoder, 3, seed)
    return Embedder(network, Projection(network.features, dim, seed))


def _three(flow: np.ndarray) -> np.ndarray:
    """(u, v) as the pictures of three channels that are stored: (128, v, u)."""
    return np.concatenate([np.full_like(flow[..., :1], 128), flow[..., ::-1]], axis=-1)


def _jpegs(pictures: np.ndarray) -> list[bytes]:
    encoded = []
    for picture in pictures:
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "JPEG", quality=QUALITY)
        encoded.append(buffer.getvalue())
    return encoded


def _decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")
