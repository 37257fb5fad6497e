"""Reads the bundle, the folder that holds everything that grading needs, and describes its bundle.json.

`manifest` checks the files before anything in them is parsed.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from .arguments import shown
from .errors import BundleError, BundleIncomplete, BundleUnsupported, SettingsError
from .files import is_file_name
from .grades import LABELS, NUM_GRADES
from .json_schema import schema_of
from .manifest import verify
from .typed_json import SCHEMA_VERSION, Length, Printable, Range, read_document, to_json

if TYPE_CHECKING:
    from .evidence import Evidence

GATE = "gate.onnx"
"""This network decides whether a film shows a knee. A bundle has it when bundle.json holds its limits."""
LOCATOR = "locator.onnx"
"""This network finds the joints. A bundle has it when bundle.json holds its settings."""
SEARCH_REPORT = "search.md"
"""This file reports the search that found the architecture, with pictures in figures/. A bundle may lack it."""
LEAST_WINDOW = 1.0
"""The percentiles that become black and white differ by at least 1."""

Line = Annotated[str, Length(1, 200), Printable()]
OptionalLine = Annotated[str, Length(0, 200), Printable()]
Side = Annotated[int, Range(32, 4096)]
Probability = Annotated[float, Range(0, 1)]
Thresholds = Annotated[tuple[float, ...], Length(NUM_GRADES, NUM_GRADES)]
Percentile = Annotated[float, Range(0, 100)]
AtLeastZero = Annotated[float, Range(0)]
Crop = Literal["fit", "band", "frame"]


@dataclass(frozen=True)
class InputConfig:
    """How a knee's pixels become a network's input."""

    height: Annotated[Side, "Height of the input in pixels."]
    width: Annotated[Side, "Width of the input in pixels."]
    low: Annotated[Percentile, "Percentile of the crop's grays that becomes black."] = 1.0
    high: Annotated[Percentile, "Percentile of the crop's grays that becomes white."] = 99.0
    crop: Annotated[
        Crop,
        "fit keeps the aspect and pads to the input's shape with the crop's mean; band first cuts a crop that is taller"
        " than that shape to its middle rows, where the joint line lies; frame takes the square about the joint, dark"
        " beyond the film, and takes the percentiles over the middle of the square.",
    ] = "fit"
    reach: Annotated[
        Annotated[float, Range(0.5, 1.5)], "Side of the square of frame over that of the joint's box; from 0.10.0."
    ] = 1.0


@dataclass(frozen=True)
class Decision:
    """How the reported grade follows from the probabilities."""

    rule: Annotated[
        Literal["argmax", "median", "expected"],
        "argmax reports the most probable grade; median the grade at which half of the probability is reached, counted"
        " from grade 0; expected counts the thresholds below the expected grade.",
    ] = "argmax"
    thresholds: Annotated[
        Annotated[tuple[float, ...], Length(NUM_GRADES - 1, NUM_GRADES - 1)],
        "Expected grades above which the next grade is reported, for the rule expected.",
    ] = (0.5, 1.5, 2.5, 3.5)


@dataclass(frozen=True)
class Conformal:
    """Contiguous prediction sets that hold the reader's grade with probability `level`.

    Starting at the reported grade, a set takes in its more probable neighbour while its mass stays at or under
    `threshold`, the ceil((n+1)*level)-th smallest mass of the n calibration films (ordinal APS: Lu et al., MICCAI
    2022). With `by_grade` a grade is taken in by its own threshold, that of the calibration films of this grade, so
    that the level holds within each grade too (Vovk, "Conditional validity of inductive conformal predictors",
    2012). A grade with too few of them has the common threshold, and no such promise. A film whose set holds the
    reader's grade at any threshold counts with mass 0; in bundles that releases up to 0.14.0 evaluated it counts as
    the others, and sets are wider.
    """

    level: Annotated[Probability, "Proportion of the knees whose set should hold the reader's grade."]
    threshold: Annotated[float, "Probability mass at which a set stops growing."]
    calibration_films: Annotated[int, Range(1, 10**9), "Number of knees that the threshold was fitted on."]
    others: Annotated[
        tuple[tuple[Probability, float], ...], "Level and threshold of each further level that a user may ask for."
    ] = ()
    by_grade: Annotated[
        tuple[tuple[Probability, Thresholds], ...],
        "For each level, the threshold of each grade; empty where one threshold serves all.",
    ] = ()
    always: Annotated[Probability, "A grade of at least this probability is never ruled out."] = 1.0

    def at(self, level: float | None) -> "Conformal":
        """Return the prediction sets of another level of the bundle. None means its own level.

        Raises SettingsError for an unknown level.
        """
        known = {self.level: self.threshold, **dict(self.others)}
        if level is None:
            return self
        if not isinstance(level, Real) or level not in known:
            raise SettingsError(
                f"The level {shown(level)} is not among those of this bundle: {', '.join(map(str, sorted(known)))}."
            )
        return replace(self, level=level, threshold=known[level])

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The threshold of each grade at this level."""
        return dict(self.by_grade).get(self.level, (self.threshold,) * NUM_GRADES)


@dataclass(frozen=True)
class RefusalConfig:
    """Limits beyond which a film is refused or gets a warning: see `imaging.gate`."""

    min_contrast: Annotated[
        AtLeastZero, "Least spread of the grays: 1st to 99th percentile, over their largest magnitude."
    ]
    max_colour: Annotated[AtLeastZero, "Largest mean difference of a film's channels, 0 (gray) to 1."]
    max_distance: Annotated[
        AtLeastZero, "Greatest distance from the training films, in the embedding's whitened space."
    ]
    mean: Annotated[tuple[float, ...], "Mean of the training films' embeddings."] = ()
    components: Annotated[
        tuple[tuple[float, ...], ...], "Principal axes of the embeddings, each divided by its spread."
    ] = ()
    far_distance: Annotated[AtLeastZero | None, "Distance from which a film gets a warning."] = None
    max_clipped: Annotated[
        AtLeastZero | None, "Proportion of black and white pixels from which a film gets a warning."
    ] = None


@dataclass(frozen=True)
class GateConfig:
    """Limits of gate.onnx: see `imaging.gate.verdict`."""

    size: Annotated[Side, "Side of its square input in pixels."]
    min_upright: Annotated[Probability, "Least probability of an upright frontal knee that lets a film be graded."]
    min_certain: Annotated[Probability, "Least probability of another position that lets a film be turned back."]


@dataclass(frozen=True)
class LocatorConfig:
    """How a film becomes the input of locator.onnx, and what counts as a joint: see `imaging.locate`."""

    input: Annotated[InputConfig, "How a film becomes the network's input."]
    threshold: Annotated[Probability, "Least value of a peak of the heatmap that counts as a joint."]


@dataclass(frozen=True)
class BundleConfig:
    """What the library needs to know to grade with model.onnx: the content of bundle.json."""

    name: Annotated[Line, "Name of the model."]
    version: Annotated[Line, "Version of the model."]
    grades: Annotated[tuple[str, ...], "Names of the grades 0 to 4."]
    input: Annotated[InputConfig, "How a crop of a film becomes the input of model.onnx."]
    members: Annotated[
        tuple[dict[str, Any], ...], "The networks whose answers are averaged: name, seed, epochs and architecture."
    ]
    decision: Annotated[Decision, "How the reported grade follows from the probabilities."]
    temperature: Annotated[float, Range(1e-3, 1e3), "The temperature that model.onnx applies, for the record."]
    conformal: Annotated[Conformal, "How prediction sets are made."]
    refusal: Annotated[RefusalConfig, "Limits beyond which a film is refused or gets a warning."]
    gate: Annotated[GateConfig | None, "Limits of gate.onnx; absent where the bundle has none."] = None
    locator: Annotated[
        LocatorConfig | None, "Settings of locator.onnx; absent where the bundle has none, and a rule finds the knees."
    ] = None
    protocol: Annotated[
        OptionalLine,
        "The reading protocol that the grades follow: the dataset of its readers; empty where several are mixed.",
    ] = ""
    schema_version: Annotated[
        Literal[1], "Version of this format; a library that does not know it refuses the bundle."
    ] = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Return the content of bundle.json as parsed JSON."""
        return to_json(self)

    def to_json(self) -> str:
        """Return the text of bundle.json."""
        return json.dumps(self.to_dict(), indent=1) + "\n"


@dataclass(frozen=True)
class Bundle:
    """Holds a verified bundle on disk."""

    folder: Path
    config: BundleConfig
    digest: str
    """First 12 hex digits of the sha256 of manifest.json: the revision of a folder."""

    @property
    def evidence(self) -> "Evidence":
        """The numbers of evidence.json; `to_dict()` gives them as JSON. Raises BundleError kinds that name a field."""
        from .evidence import read_evidence  # takes as long to import as all else that a grading needs of a bundle

        return read_evidence(self.folder / "evidence.json")


def read_bundle(folder: Path | str) -> Bundle:
    """Verify and parse a bundle.

    Raises BundleIncomplete, BundleChanged or BundleUnsupported, naming the file, before anything but the manifest has
    been parsed; BundleError kinds that name the field when bundle.json does not follow its schema.
    """
    folder = Path(folder)
    manifest = verify(folder)
    digest = hashlib.sha256(manifest).hexdigest()[:12]
    config = parse_config((folder / "bundle.json").read_bytes(), str(folder / "bundle.json"))
    listed = json.loads(manifest)["files"]
    for name, settings in {GATE: config.gate, LOCATOR: config.locator}.items():
        if settings and name not in listed:
            raise BundleIncomplete(
                f"{folder}: bundle.json has settings for {name}, and manifest.json does not list it; export or pull the"
                " bundle again."
            )
    return Bundle(folder, config, digest)


def parse_config(content: bytes, source: str) -> BundleConfig:
    """Return bundle.json's bytes as a BundleConfig.

    Raises BundleUnsupported for another schema version and for grades of another scale; BundleError kinds that name the
    field for one that is missing, unknown or wrong.
    """
    config = read_document(BundleConfig, content, source, closed=True)
    if config.grades != LABELS:
        raise BundleUnsupported(
            f"{source}: `grades` are {', '.join(config.grades)[:200]}; this release knows {', '.join(LABELS)}. Upgrade"
            " kneeoa-hub."
        )
    for name, one in {"input": config.input, "locator.input": config.locator and config.locator.input}.items():
        if one and one.high - one.low < LEAST_WINDOW:
            raise BundleError(f"{source}: `{name}.high` is {one.high}; {LEAST_WINDOW} more than `low` is needed.")
    for number, member in enumerate(config.members):
        name = member.get("name", f"winner-{number}")
        if not (isinstance(name, str) and is_file_name(name) and isinstance(member.get("architecture", {}), dict)):
            raise BundleError(
                f"{source}: `members[{number}]` needs a `name` that can name a file and an object `architecture`;"
                " export it again."
            )
    if not config.refusal.components:
        raise BundleError(f"{source}: `refusal.components` is empty, so no film could be refused; export it again.")
    if config.locator and config.locator.threshold <= 0:
        raise BundleError(f"{source}: `locator.threshold` is 0, so every pixel would be a joint; export it again.")
    if any(len(row) != len(config.refusal.mean) for row in config.refusal.components):
        raise BundleError(f"{source}: a row of `refusal.components` has another length than `refusal.mean`.")
    return config


def bundle_schema() -> dict[str, Any]:
    """Return the JSON schema of bundle.json."""
    return schema_of(BundleConfig, "bundle.json")
