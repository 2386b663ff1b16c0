"""The method ``checkpoint``: an encoder that somebody else has trained, read from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, StringConstraints

from engine.spec.component import Name, Problem, StageConfig
from stages.nn.spec import Encoder, Mvit, Torchvision, Trained, untrained, view_problem
from stages.video.spec import Clip, View

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source
    from engine.run.local import Local
    from stages.study import Study

Format = Literal["coclr", "slowfast", "plain"]

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

PUBLIC_S3D = Torchvision(kind="s3d", bn_eps=1e-5)
"""The network of CoCLR's public code."""


class Checkpoint(Trained):
    """Weights from a file in ``local.yaml``'s folder ``weights``; the same for every seed."""

    method: Literal["checkpoint"]
    view: Name = "rgb"
    file: str = Field(min_length=1, description="Name of the file, below that folder.")
    format: Format = Field(
        description="coclr: a checkpoint of CoCLR's public code (InfoNCE, UberNCE, CoCLR or a classifier on top), "
        "whose network is s3d with bn_eps 1e-5, whatever the study's own is; its query encoder is read, with its "
        "head. slowfast: a .pyth file of SlowFast's public code, MaskFeat's or another MViT's, read into `encoder`. "
        "plain: the weights of `encoder` under torchvision's names or ours, below any prefix."
    )
    sha256: Digest | None = Field(
        default=None,
        description="Digest that the file must have. Without it the file is read anew in every run, so that a "
        "change is noticed.",
    )

    def network(self, study: Study) -> Encoder:
        """The encoder that is read; pretrained ``weights`` of the study's own mean nothing here."""
        if self.format == "coclr":
            return PUBLIC_S3D
        return untrained(super().network(study))

    def output_views(self) -> Mapping[str, str]:
        return {"": self.view}

    def problems(self, study: Study) -> list[Problem]:
        problems = []
        if found := view_problem(study, self, self.view, ("view",)) or self._view_problem(study):
            problems.append(found)
        if found := self._encoder_problem(study):
            problems.append(found)
        path = PurePosixPath(self.file)
        if path.is_absolute() or ".." in path.parts or self.file.startswith("~"):
            message = (
                f"{self.file!r} is a place on one machine: give the file's name below the folder that `weights` in "
                "local.yaml names"
            )
            problems.append(Problem(path=("file",), message=message))
        return problems

    def _view_problem(self, study: Study) -> Problem | None:
        """A view that CoCLR's networks were never shown."""
        view = study.views[self.view]
        if self.format != "coclr" or view.kind == "rgb" or (view.kind == "flow" and view.faithful):
            return None
        message = (
            f"CoCLR's checkpoints encode RGB, or flow as pictures of three channels, and view {self.view!r} of kind "
            f"{view.kind!r} is neither: use a view {{kind: flow, faithful: true}} for a flow checkpoint"
        )
        return Problem(path=("view",), message=message)

    def _encoder_problem(self, study: Study) -> Problem | None:
        message, network = None, self.network(study)
        if self.format == "coclr" and self.encoder not in (None, PUBLIC_S3D):
            message = "CoCLR's checkpoints hold {kind: s3d, bn_eps: 1.0e-5}, and no other encoder: drop `encoder`"
        elif self.format == "slowfast" and not isinstance(network, Mvit):
            message = (
                f"SlowFast's checkpoints that can be read are of MViTs, not of {network.kind}: set `encoder` to "
                "maskfeat_s, maskfeat_l or mvit_v2_s"
            )
        elif getattr(self.encoder, "weights", None):
            message = f"{self.file} would overwrite the pretrained weights of this encoder: drop `weights`"
        return Problem(path=("encoder",), message=message) if message else None

    def plan(self, plan: Plan, name: str, seed: int) -> Mapping[str, Source]:
        study = plan.study
        config = Config(
            view_name=self.view,
            view=study.views[self.view],
            clip=study.clip,
            encoder=self.network(study),
            file=self.file,
            format=self.format,
            sha256=self.sha256,
        )
        always = self.sha256 is None
        return {"": plan.add("checkpoint", f"{name}.s{seed}", config, {}, seed=seed, always_changed=always)}


class Config(StageConfig):
    """No inputs."""

    view_name: Name
    view: View
    clip: Clip
    encoder: Encoder
    file: str
    format: Format
    sha256: Digest | None

    def forecast(self, inputs: Mapping[str, Path], local: Local, expected: Mapping[str, int]) -> str | None:
        from stages.checkpoint.file import weights_file

        return f"reads {self.file} ({weights_file(self.file, local).stat().st_size / 1e6:.0f} MB)"
