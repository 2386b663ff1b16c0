"""Untrimmed videos with annotated segments: the data kinds ``activitynet`` and ``thumos14``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from engine.spec.component import Name, StageConfig, Strict
from stages.listing.spec import Limits, Listed, Split
from stages.tal.durations import DurationSource

if TYPE_CHECKING:
    from engine.compile.plan import Plan, Source

Mild = Literal["keep", "skip", "fail"]
Grave = Literal["skip", "fail"]


class Policy(Strict):
    """What to do about each kind of trouble: skip what it concerns, fail, or keep it. All is listed in problems.csv.

    Ground truth is kept as published unless it cannot be used: the official evaluation counts its double and empty
    segments too, and a localization stage can clean them.
    """

    prefix: Mild = Field(
        default="keep",
        description="Videos whose files have `v_` before the name that the annotations lack, or the other way round.",
    )
    missing: Grave = Field(default="skip", description="Videos that are not on disk. See also `missing_limit`.")
    unreadable: Grave = Field(
        default="skip", description="Videos that cannot be opened, or whose length nothing tells."
    )
    duration: Mild = Field(
        default="keep", description="Videos whose annotated duration is not that of the file, see `duration_tolerance`."
    )
    too_short: Mild = Field(
        default="keep", description="Videos with fewer frames than one snippet spans, see `snippet`."
    )
    zero_length: Mild = Field(default="keep", description="Segments that end where they start.")
    reversed: Grave = Field(default="skip", description="Segments that end before they start.")
    duplicate: Mild = Field(
        default="keep", description="Segments of one class with equal start and end, to a millisecond."
    )
    outside: Literal["keep", "cut", "skip", "fail"] = Field(
        default="keep",
        description="Segments that begin before the video or end after it, see `end_tolerance`. cut: at its ends.",
    )
    unknown_label: Grave = Field(default="fail", description="Segments whose label is not in the list of classes.")
    empty_subset: Grave = Field(
        default="fail", description="Subsets without a video, or without a segment. skip: go on without."
    )


class AnnotatedLayout(Limits):
    """What annotated data sets have in common."""

    leaks: Literal["fail", "report"] = Field(
        default="report",
        description="A video that is in training and in test under two names: an error, or only reported.",
    )
    missing_limit: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Share of the annotated videos that may be absent (dead links), or unreadable; more is an error.",
    )
    classes: str | None = Field(
        default=None, description="File with the class names in order, one a line, relative to the root."
    )
    ignored_labels: tuple[str, ...] = Field(default=(), description="Labels whose segments are no ground truth.")
    blocked: str | None = Field(
        default=None,
        description="File with names of videos to leave out, relative to the root: one a line, or JSON (a list, or an "
        "object by name).",
    )
    left_out: tuple[str, ...] = Field(default=(), description="Names of more videos to leave out.")
    duration: DurationSource = Field(
        default="annotation",
        description="Which length of a video its segments are measured against. Where it is not known, the first "
        "of the others that is.",
    )
    duration_tolerance: float = Field(
        default=0.02,
        ge=0,
        description="Difference of annotated duration and file that is reported, as a share; under 0.1 s never.",
    )
    end_tolerance: float = Field(
        default=0.5, ge=0, description="Seconds that a segment may reach beyond its video unreported."
    )
    snippet: int = Field(
        default=57,
        ge=1,
        description="Frames that one snippet spans, (frames - 1) * stride + 1; LoFi: 8 frames at stride 8.",
    )
    policy: Policy = Policy()


class ActivityNetLayout(AnnotatedLayout):
    """A JSON file of ActivityNet's form: `database`, by video `subset`, `duration` and `annotations`."""

    kind: Literal["activitynet"]
    file: str = Field(default="activity_net.v1-3.min.json", description="The JSON file, relative to the root.")
    subsets: dict[str, Split] = Field(
        default={"training": "train", "validation": "test"},
        min_length=1,
        description="Split of each subset, whatever its case; others are left out. Labels of ActivityNet's `testing` "
        "are not public: papers report on `validation`.",
    )


class Thumos14Layout(AnnotatedLayout):
    """THUMOS14's annotations in one of the forms that go round, told by looking.

    A csv file with the columns video, type, start, end; one with video-name, t-init, t-end, label-idx; a JSON file of
    ActivityNet's form with subsets for training and test; a folder with `<Class>_val.txt` and `<Class>_test.txt`.
    """

    kind: Literal["thumos14"]
    train: str | None = Field(
        default="val_Annotation.csv", description="For training, relative to the root: THUMOS' validation set."
    )
    test: str | None = Field(default="test_Annotation.csv", description="For test, relative to the root.")
    classes: str | None = Field(
        default=None,
        description="File with the class names in order, one a line, relative to the root; else THUMOS' 20.",
    )
    ignored_labels: tuple[str, ...] = Field(
        default=("Ambiguous",),
        description="Labels whose segments are no ground truth. A detection there counts as wrong, as for peers.",
    )


class Config(StageConfig):
    """No inputs. dataset: name under which the root folder is found at run time. fps: of folders of pictures."""

    dataset: Name
    layout: Annotated[ActivityNetLayout | Thumos14Layout, Field(discriminator="kind")]
    pictures: bool
    fps: float | None = Field(default=None, gt=0)


class Untrimmed(Listed):
    """Untrimmed videos on this machine; their files may lie anywhere below the root."""

    def has_times(self) -> bool:
        return True

    def listing(self, plan: Plan) -> Source:
        fields = {name: getattr(self, name) for name in self.layout_class().model_fields}
        config = Config(
            dataset=self.name,
            layout=self.layout_class()(**fields),
            pictures=self.pictures is not None,
            fps=self.frame_rate(),
        )
        return plan.add("annotations", "annotations", config, {}, always_changed=True)


class ActivityNet(ActivityNetLayout, Untrimmed):
    """ActivityNet, HACS segments, or a data set with a JSON file of the same form."""

    name: Name = "activitynet"


class Thumos14(Thumos14Layout, Untrimmed):
    """THUMOS14, or a data set annotated like it."""

    name: Name = "thumos14"
