"""Encoders, schedules and the base of trained models, as a spec names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, Mapping, Union

from pydantic import Field

from engine.spec.component import Method, Name, Problem, Strict, neutral
from engine.spec.explain import choices, nearest
from stages.video.spec import Clip, View

if TYPE_CHECKING:
    from stages.study import Study


class Narrow(Strict):
    """A small separable 3D network for studies on a CPU: 1x3x3 and 3x1x1 convolutions, four blocks."""

    kind: Literal["narrow"]
    width: int = Field(default=16, ge=4, le=128, description="Channels of the first block; features are 8 times as wide.")

    def refuses(self, clip: Clip, view: View) -> str | None:
        """Why the network cannot take such clips; None when it can."""
        return None


class Torchvision(Strict):
    """A video network of torchvision, as it is."""

    kind: Literal["s3d", "r3d_18", "r2plus1d_18"]
    weights: Literal["KINETICS400_V1"] | None = Field(
        default=None,
        description="Supervised weights of torchvision, read from `local.yaml`'s `weights` folder or "
        "torchvision's own cache; makes the encoder one for RGB only.",
    )
    bn_eps: float | None = neutral(
        None,
        gt=0,
        description="What BatchNorm adds to the variance. Without it, as in torchvision: 1e-3 in s3d, 1e-5 in the "
        "others. CoCLR's public code has 1e-5.",
    )

    def refuses(self, clip: Clip, view: View) -> str | None:
        """Why the network cannot take such clips; None when it can."""
        if self.kind == "s3d" and (clip.frames < 5 or clip.size < 17):
            return f"s3d needs clips of 5 frames and 17 pixels at least, not {clip.frames} at {clip.size}"
        if self.weights and (view.kind != "rgb" or view.channels != 3):
            return f"{self.kind} with weights {self.weights} is an encoder for RGB, not for a view of kind {view.kind!r}"
        return None


class TsmResnet(Strict):
    """TSM: a ResNet of pictures whose residual blocks exchange channels between neighbouring frames of a clip."""

    kind: Literal["tsm_resnet18", "tsm_resnet34", "tsm_resnet50"]
    weights: Literal["IMAGENET1K_V1", "IMAGENET1K_V2"] | None = Field(
        default=None,
        description="Supervised weights of torchvision for pictures (V2: ResNet-50 only), read from `local.yaml`'s "
        "`weights` folder or torchvision's own cache; makes the encoder one for RGB only.",
    )

    @property
    def depth(self) -> int:
        """Layers of the ResNet."""
        return int(self.kind.removeprefix("tsm_resnet"))

    def refuses(self, clip: Clip, view: View) -> str | None:
        """Why the network cannot take such clips; None when it can."""
        if self.weights == "IMAGENET1K_V2" and self.depth != 50:
            return f"torchvision has weights IMAGENET1K_V2 of ResNet-50 only: use IMAGENET1K_V1 for {self.kind}"
        if self.weights and (view.kind != "rgb" or view.channels != 3):
            return f"{self.kind} with weights {self.weights} is an encoder for RGB, not for a view of kind {view.kind!r}"
        return None


class Mvit(Strict):
    """Base of multiscale vision transformers. They take clips of any size that their patches tile."""

    last_stride: bool = neutral(
        True,
        description="Whether the last stage halves the map of tokens, as for classification. Without it a token is "
        "half as wide: MaskFeat's form for pre-training, on the same weights.",
    )

    @property
    def patch_side(self) -> int:
        """Pixels from one patch to the next; in time it is always two frames."""
        return 4

    @property
    def stages(self) -> int:
        """Each later stage halves the map, but for the last one without ``last_stride``."""
        return 4

    @property
    def token_side(self) -> int:
        """Pixels that a token of the last block is wide; it spans two frames."""
        return self.patch_side * 2 ** (self.stages - 1 - (not self.last_stride))

    def refuses(self, clip: Clip, view: View) -> str | None:
        """Why the network cannot take such clips; None when it can."""
        if clip.frames % 2 or clip.size % self.patch_side:
            return (
                f"{self.kind} takes clips of an even number of frames and a multiple of {self.patch_side} pixels, "
                f"since its patches are 2 frames long and {self.patch_side} pixels wide, not {clip.frames} frames at "
                f"{clip.size}: change clip"
            )
        return None


Pool = Annotated[
    Literal["class_token", "mean"],
    Field(description="A clip's vector: the class token's, or the mean over all others (as MaskFeat is finetuned)."),
]


class MvitV2(Mvit):
    """torchvision's MViTv2-S, 34.5 M parameters."""

    kind: Literal["mvit_v2_s"]
    weights: Literal["KINETICS400_V1"] | None = Field(
        default=None,
        description="Supervised weights of torchvision, read from `local.yaml`'s `weights` folder or "
        "torchvision's own cache; makes the encoder one for RGB only.",
    )
    pool: Pool = neutral("class_token")

    def refuses(self, clip: Clip, view: View) -> str | None:
        """Why the network cannot take such clips; None when it can."""
        if self.weights and (view.kind != "rgb" or view.channels != 3):
            kind = f"{self.kind} with weights {self.weights}"
            return f"{kind} is an encoder for RGB, not for a view of kind {view.kind!r}"
        return super().refuses(clip, view)


class MaskFeatMvit(Mvit):
    """The MViTs of MaskFeat's paper, 36 M and 218 M parameters, whose channels double in the MLP before a stage."""

    kind: Literal["maskfeat_s", "maskfeat_l"]
    pool: Pool = "mean"


class SmallMvit(Mvit):
    """A small MViT of the same form for studies on a CPU."""

    kind: Literal["mvit_small"]
    width: int = Field(
        default=32, ge=8, le=192, multiple_of=8, description="Channels of the first stage, and of each head."
    )
    blocks: tuple[Annotated[int, Field(ge=1, le=16)], ...] = Field(
        default=(1, 2, 2), min_length=2, max_length=4, description="Of each stage; each is twice as wide as the last."
    )
    patch: Literal[2, 4, 8] = Field(default=4, description="Pixels from one patch to the next.")
    pool: Pool = "mean"
    table_frames: int = Field(
        default=8,
        ge=2,
        multiple_of=2,
        description="Clips that the tables of relative positions are made for; for others they are stretched.",
    )
    table_size: int = Field(default=64, ge=8, multiple_of=8, description="The same, in pixels.")

    @property
    def patch_side(self) -> int:
        return self.patch

    @property
    def stages(self) -> int:
        return len(self.blocks)

    def refuses(self, clip: Clip, view: View) -> str | None:
        """Why the network cannot take such clips; None when it can."""
        least = self.patch * 2 ** (self.stages - 1)
        if self.table_size < least:
            return (
                f"{self.stages} stages over patches of {self.patch} pixels halve {self.table_size} pixels to nothing: "
                f"table_size is {least} at least"
            )
        return super().refuses(clip, view)


Encoder = Annotated[Union[Narrow, Torchvision, TsmResnet, MvitV2, MaskFeatMvit, SmallMvit], Field(discriminator="kind")]


def untrained(encoder: Encoder) -> Encoder:
    """The same network without pretrained weights: for when all weights come from elsewhere, or none are needed."""
    return encoder.model_copy(update={"weights": None}) if getattr(encoder, "weights", None) else encoder


class Schedule(Strict):
    """Length, optimiser and learning rate of a training. Defaults: CoCLR's InfoNCE stage."""

    epochs: int = Field(default=300, ge=1)
    batch: int = Field(default=32, ge=2)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-5, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1, description="SGD only.")
    warmup_epochs: float = Field(default=0, ge=0, description="Linear warm-up from 0.")
    decay: Literal["step", "cosine", "none"] = "step"
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(250 / 300, 280 / 300), description="`step`: fractions of the training at which lr falls tenfold."
    )
    final_share: float = neutral(0.0, ge=0, le=1, description="`cosine`: what lr falls to, as a share of it.")

    def at_once(self, clips: int) -> int:
        """How many of the ``clips`` of a batch are in memory together."""
        return clips


class TransformerSchedule(Schedule):
    """A schedule with what transformers are trained with besides; without effect unless it is asked for."""

    gradient_clip: float | None = neutral(
        None, gt=0, description="Greatest length of all gradients together; longer ones are scaled down to it."
    )
    decay_vectors: bool = neutral(
        True,
        description="Whether weight decay applies to biases, norms and other vectors too; transformers leave them out.",
    )
    micro_batch: int | None = neutral(
        None,
        ge=1,
        description="Clips that the network is given at a time, over which gradients add up to those of the batch; by "
        "default all. BatchNorm, which these transformers have not, would see no more than them.",
    )

    def at_once(self, clips: int) -> int:
        return min(self.micro_batch or clips, clips)


Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    Field(description="auto: bf16 where the hardware multiplies it fast (GPUs since Ampere, CPUs with AVX512-BF16)."),
]


class Card(Strict):
    """What a file of encoder weights says of itself."""

    encoder: Encoder
    view_name: Name
    view: View
    clip: Clip
    stage: str = Field(description="Stage that made it.")


class Trained(Method):
    """Base of methods whose models are encoders of views."""

    encoder: Encoder | None = Field(default=None, description="The network; the study's own by default.")

    def output_views(self) -> Mapping[str, str]:
        """Output of the model (see ``outputs``) -> name of the view that it encodes."""
        raise NotImplementedError

    def network(self, study: Study) -> Encoder:
        """The encoder that is trained."""
        return self.encoder or study.encoder

    def outputs(self) -> tuple[str, ...]:
        return tuple(self.output_views())


def view_problem(study: Study, model: Trained, view: str, path: tuple[str | int, ...]) -> Problem | None:
    """What is wrong with ``model`` encoding ``view``: unknown to the study, or not for its network."""
    if view not in study.views:
        message = f"no view {view!r}.{nearest(view, study.views)} Views of this study: {choices(study.views)}"
        return Problem(path=path, message=message)
    refusal = model.network(study).refuses(study.clip, study.views[view])
    if refusal:
        return Problem(path=("encoder",) if model.encoder else path, message=refusal)
    return None


def init_problem(study: Study, model: Trained, view: str, ref: str, path: tuple[str | int, ...]) -> Problem | None:
    """What is wrong with starting the encoder of ``view`` from model ``ref``: another view or another network."""
    other: Any = study.model_outputs()[ref]
    if not isinstance(other, Trained):
        return Problem(path=path, message=f"model {ref!r} is no encoder of a view that another could start from")
    other_view = encoded_view(study, ref)
    if other_view != view:
        message = f"model {ref!r} encodes view {other_view!r}, this one {view!r}: start from a model of the same view"
        return Problem(path=path, message=message)
    ours, theirs = _shape(model.network(study)), _shape(other.network(study))
    if ours != theirs:
        message = f"model {ref!r} has encoder {theirs}, this one {ours}: weights fit the same network only"
        return Problem(path=path, message=message)
    return None


def encoded_view(study: Study, ref: str) -> str:
    """Name of the view that ``ref`` (a trained model, or one output of it) encodes."""
    views = {
        f"{name}.{output}" if output else name: view
        for name, model in study.models.items()
        if isinstance(model, Trained)
        for output, view in model.output_views().items()
    }
    return views[ref]


def _shape(encoder: Encoder) -> str:
    """The encoder, without where its weights come from: what two networks share if one can go on from the other."""
    if isinstance(encoder, Narrow):
        return f"{encoder.kind} {encoder.width}"
    if isinstance(encoder, Torchvision) and encoder.bn_eps is not None:
        return f"{encoder.kind} with bn_eps {encoder.bn_eps}"
    if isinstance(encoder, Mvit):
        fields = encoder.model_dump(exclude={"kind", "weights"}, exclude_defaults=True)
        words = ", ".join(f"{key} {value}" for key, value in fields.items())
        return f"{encoder.kind} with {words}" if words else encoder.kind
    return encoder.kind
