"""Linear classifiers that learn side by side from the same features: one for each seed and setting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Task:
    """One classifier to be trained. seed: position of its encoder; lr, weight_decay: its setting.

    whole: whether it learns from all training videos, or leaves out those on which the setting is chosen.
    """

    seed: int
    lr: float
    weight_decay: float
    whole: bool


class Head(nn.Module):
    """L2 norm, batch norm and a linear layer: [B, width] -> [B, classes]."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.linear = nn.Linear(width, classes)

    def forward(self, features: Tensor) -> Tensor:
        return self.linear(self.norm(F.normalize(features, dim=-1)))


class Heads:
    """The heads of some tasks and their optimiser; each has its own loss and setting, so none knows of the others.

    starts: seed of the initial weights, for each position of an encoder; heads of one encoder start alike.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        width: int,
        classes: int,
        starts: Sequence[int],
        momentum: float,
        device: torch.device,
    ) -> None:
        self.tasks = tuple(tasks)
        self.classes = classes
        self.modules = nn.ModuleList(_new_head(width, classes, starts[task.seed]) for task in tasks).to(
            device
        )
        groups = [
            {"params": list(head.parameters()), "lr": task.lr, "weight_decay": task.weight_decay}
            for task, head in zip(self.tasks, self.modules)
        ]
        self.optimizer = torch.optim.SGD(groups, lr=self.tasks[0].lr, momentum=momentum)
        self._losses = torch.zeros(
            2, dtype=torch.float64, device=device
        )  # sum of the losses and their number

    def learn(self, features: Tensor, labels: Tensor, held: Tensor, rate: float) -> None:
        """One step. features: [encoders, B, width]; labels: [B]; rate: factor of all learning rates.

        held: bool [B] on the CPU, the samples that heads which are not ``whole`` leave out. Such a head waits when it
        has less than two samples in the batch, since batch norm needs two.
        """
        rest = torch.nonzero(~held)[:, 0].to(features.device)
        losses = []
        for task, head, group in zip(self.tasks, self.modules.train(), self.optimizer.param_groups):
            group["lr"] = task.lr * rate
            if task.whole:
                losses.append(F.cross_entropy(head(features[task.seed]), labels))
                self._losses += torch.stack([losses[-1].detach(), torch.ones_like(losses[-1])])
            elif len(rest) > 1:
                losses.append(F.cross_entropy(head(features[task.seed][rest]), labels[rest]))
        self.optimizer.zero_grad(set_to_none=True)
        torch.stack(losses).sum().backward()
        self.optimizer.step()

    @torch.no_grad()
    def probabilities(self, features: Tensor, chosen: Sequence[int]) -> Tensor:
        """Class probabilities [chosen, B, classes] by some of the heads. features: [encoders, B, width]."""
        self.modules.eval()
        return torch.stack([self.modules[i](features[self.tasks[i].seed]).softmax(-1) for i in chosen])

    def pop_loss(self) -> float:
        """Mean loss of the heads that learn from everything, since the last call."""
        total, count = self._losses.tolist()
        self._losses.zero_()
        return total / count

    def state_dict(self) -> dict[str, Any]:
        return {
            "modules": self.modules.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "losses": self._losses,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.modules.load_state_dict(state["modules"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._losses.copy_(state["losses"])


def _new_head(width: int, classes: int, seed: int) -> Head:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return Head(width, classes)
