"""The kinds of data sets: how videos, labels and splits are found below a root folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from engine.spec.component import Name, StageConfig, Strict, neutral
from stages.video.spec import VideoData

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source

Split = Literal["train", "val", "test"]


class Limits(Strict):
    """What is tolerated in a data set."""

    leaks: Literal["fail", "report"] = Field(
        default="fail",
        description="A video, or a source of videos, that is in training and in test under two names: an error, or only reported. "
        "One path in two splits is always an error.",
    )
    missing_limit: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of the videos named by the split files that may be absent.",
    )


class FolderLayout(Limits):
    """One folder a class, below `train`, `val` and `test` folders where there are any."""

    kind: Literal["folder"]
    test_share: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Without a `train` folder: share of each class's videos that is held out for test.",
    )
    split_seed: int = Field(default=0, description="Chooses which videos are held out.")


class Ucf101Layout(Limits):
    """UCF101's files: `<Class>/v_<Class>_gXX_cYY.avi`, `classInd.txt`, `trainlist0N.txt`, `testlist0N.txt`."""

    kind: Literal["ucf101"]
    split: Literal[1, 2, 3] = 1
    lists: str | None = Field(
        default=None,
        description="Folder of the split files, relative to the root; else `splits`, `ucfTrainTestlist`, or the root itself.",
    )
    groups: Literal["of_class", "of_set"] = neutral(
        "of_class",
        description="Whether gXX counts the sources of each class, as in UCF101, or those of the whole set: then g01 of two "
        "classes is the same source, such as a person.",
    )


class Hmdb51Layout(Limits):
    """HMDB51's files: `<class>/<video>.avi` and `<class>_test_split<N>.txt` with 1 = train, 2 = test, 0 = unused."""

    kind: Literal["hmdb51"]
    split: Literal[1, 2, 3] = 1
    lists: str | None = Field(
        default=None,
        description="Folder of the split files, relative to the root; else `testTrainMulti_7030_splits`, `splits`, or the root itself.",
    )


class KineticsLayout(Limits):
    """Kinetics' csv files (label, youtube_id, time_start, time_end), or lists of `<path>,<label>` or `<path> <label>`."""

    kind: Literal["kinetics"]
    train: str | None = Field(
        default="train.csv", description="List of the training videos, relative to the root."
    )
    val: str | None = Field(default=None, description="List of videos for validation, if any.")
    test: str | None = Field(
        default="val.csv",
        description="List of the test videos. Kinetics' own test labels are not public; papers report on its validation list.",
    )
    classes: str | None = Field(
        default=None,
        description="File with the class names in order, one a line; else the labels found, sorted.",
    )
    missing_limit: float = Field(
        default=0.3, ge=0, le=1, description="Share of listed videos that may be absent (dead links)."
    )


class ManifestLayout(Limits):
    """A csv file with the columns path, label, split and, if sources are known, group."""

    kind: Literal["manifest"]
    file: str = Field(
        default="manifest.csv", description="The csv file, relative to the root. Paths in it are, too."
    )
    classes: str | None = Field(
        default=None,
        description="File with the class names in order, one a line; else the labels found, sorted.",
    )


Layout = Annotated[
    FolderLayout | Ucf101Layout | Hmdb51Layout | KineticsLayout | ManifestLayout, Field(discriminator="kind")
]


class Config(StageConfig):
    """dataset: name under which the root folder is found at run time."""

    dataset: Name
    layout: Layout
    pictures: bool = neutral(False, description="Whether videos are folders of numbered pictures.")


class Pictures(Strict):
    """Videos that were extracted before: a folder of numbered pictures (JPEG, PNG) each, called as the video file was.

    Splits and labels are found as those of video files. Other files beside the pictures, those of flow too, are left alone.
    """

    fps: float = Field(default=25.0, gt=0, description="Frames a second at which they were extracted.")


class Listed(VideoData):
    """A data set on this machine."""

    name: Name = Field(
        description="Name of the data set: its root folder is `datasets.<name>` in local.yaml or VIDSPEC_ROOT_<NAME>."
    )

    videos: dict[Split, Annotated[int, Field(ge=0)]] = Field(
        default={}, description="About how many videos each split has: `vidspec plan` estimates with it until they are listed."
    )

    pictures: Pictures | None = Field(
        default=None, description="Set where each video is a folder of pictures instead of a file."
    )

    def expected(self) -> Mapping[str, int]:
        return self.videos

    def frame_rate(self) -> float | None:
        return self.pictures.fps if self.pictures else None

    def root_name(self) -> str | None:
        return self.name

    def listing(self, plan: Plan) -> Source:
        fields = {name: getattr(self, name) for name in self.layout_class().model_fields}
        layout = self.layout_class()(**fields)
        config = Config(dataset=self.name, layout=layout, pictures=self.pictures is not None)
        return plan.add("listing", "listing", config, {}, always_changed=True)

    @classmethod
    def layout_class(cls) -> type[Limits]:
        """The layout whose fields this data set has."""
        return next(base for base in cls.__bases__ if issubclass(base, Limits))


class Folder(FolderLayout, Listed):
    """Your own videos: one folder a class."""


class Ucf101(Ucf101Layout, Listed):
    """UCF101, or a data set laid out like it."""

    name: Name = "ucf101"


class Hmdb51(Hmdb51Layout, Listed):
    """HMDB51, or a data set laid out like it."""

    name: Name = "hmdb51"


class Kinetics(KineticsLayout, Listed):
    """Kinetics-400, -600, -700, or lists in the form of the SlowFast family."""

    name: Name = "kinetics400"


class Manifest(ManifestLayout, Listed):
    """Videos listed in a csv file."""
