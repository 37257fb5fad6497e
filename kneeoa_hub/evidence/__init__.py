"""Describes the evidence: every number of the model card, as evidence.json holds it.

The dataclasses are the format, and `docs/schemas/evidence.schema.json` is derived from them. A set of films is named
``DATASET_SPLIT``, such as ``oai_test``. An optional field is absent if it was not measured.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from ..errors import BundleError
from ..json_schema import schema_of
from ..typed_json import SCHEMA_VERSION, Length, read_document, to_json
from .finding import FindingEvidence, GateEvidence, GateKnees, Grader, Outcomes, RefusalEvidence
from .making import (
    BaseModel,
    CalibrationEvidence,
    DataEvidence,
    ExportEvidence,
    LaterSearch,
    Overlap,
    SearchEvidence,
    ShortcutEvidence,
    TrainedMember,
    TrainingEvidence,
    TrialOfNetwork,
)
from .measures import (
    Agreement,
    CrossDomainRow,
    Estimate,
    GradeEvidence,
    JointEvidence,
    LevelEvidence,
    MapPeaks,
    MaskEvidence,
    MasksEvidence,
    MemberEvidence,
    SetEvidence,
    StripEvidence,
    SubgroupEvidence,
    UnseenEvidence,
)
from .robustness import ChangeEvidence, RobustnessEvidence

__all__ = [
    "Agreement",
    "BaseModel",
    "CalibrationEvidence",
    "ChangeEvidence",
    "CrossDomainRow",
    "DataEvidence",
    "Estimate",
    "Evidence",
    "ExportEvidence",
    "FindingEvidence",
    "GateEvidence",
    "GateKnees",
    "GradeEvidence",
    "Grader",
    "JointEvidence",
    "LaterSearch",
    "LevelEvidence",
    "MapPeaks",
    "MaskEvidence",
    "MasksEvidence",
    "MemberEvidence",
    "Outcomes",
    "Overlap",
    "RefusalEvidence",
    "RobustnessEvidence",
    "SearchEvidence",
    "SetEvidence",
    "ShortcutEvidence",
    "StripEvidence",
    "SubgroupEvidence",
    "TrainedMember",
    "TrainingEvidence",
    "TrialOfNetwork",
    "UnseenEvidence",
    "evidence_schema",
    "read_evidence",
]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Every number of the model card."""

    schema_version: Annotated[Literal[1], "Version of this format."] = SCHEMA_VERSION
    metrics: Annotated[dict[str, SetEvidence], Length(1), "By set of films, the main measures."]
    by_grade: Annotated[dict[str, GradeEvidence], "By set of films, the measures of each grade."]
    subgroups: Annotated[
        dict[str, dict[str, SubgroupEvidence]],
        "By set of films and by subgroup of 50 knees or more: the patient's side, and thirds by the mean gray of the"
        " decoded film (film gray); up to 0.7.0, thirds by the mean gray of the stretched input (exposure).",
    ] = field(default_factory=dict)
    members: Annotated[tuple[MemberEvidence, ...], "Each network alone; from 0.3.0."] = ()
    joint: Annotated[JointEvidence | None, "Whether the model uses the joint; absent where no joint is marked."] = None
    other_joints: Annotated[
        tuple[JointEvidence, ...], "The same for each further dataset, whose films are framed alike; from 0.15.0."
    ] = ()
    calibration: Annotated[CalibrationEvidence, "What was fitted on validation films."]
    refusal: Annotated[RefusalEvidence, "The limits beyond which a film is refused."]
    data: Annotated[DataEvidence, "The films."]
    search: Annotated[SearchEvidence, "How the architecture was found."]
    training: Annotated[TrainingEvidence, "How the networks were trained."]
    export: Annotated[ExportEvidence | None, "Facts of the exported graph; absent before the export."] = None
    test_looks: Annotated[Estimate, "Number of evaluations on the test films for this version."]
    test_looks_before: Annotated[
        Estimate | None,
        "Number of earlier evaluations on the test films, for choices of networks of which some are in this version.",
    ] = None
    versions: Annotated[dict[str, str], "Versions of the packages that made it."]
    base: Annotated[BaseModel | None, "Of an adapted bundle: the bundle that it was made from."] = None
    before: Annotated[
        dict[str, SetEvidence], "Of an adapted bundle: the measures of the bundle it was made from, on the same films."
    ] = field(default_factory=dict)
    finding: Annotated[FindingEvidence | None, "The locator's measures; absent where the bundle has no locator."] = None
    without_seen: Annotated[
        dict[str, UnseenEvidence],
        "By set of films, where a newer audit found more copies than the one that the networks were trained on.",
    ] = field(default_factory=dict)
    two_knee_strips: Annotated[
        dict[str, StripEvidence],
        "By set of strips of two knees under one grade, which all other measures leave out; absent under ten strips.",
    ] = field(default_factory=dict)
    cross_domain: Annotated[
        tuple[CrossDomainRow, ...],
        "One network trained on one dataset, or on all, measured on the validation films of each.",
    ] = ()
    robustness: Annotated[
        RobustnessEvidence | None, "Validation films under changes; absent where that was not measured."
    ] = None

    @property
    def test_evaluations(self) -> int:
        """Evaluations on the test films so far, those before this version included."""
        return int(self.test_looks.value + (self.test_looks_before.value if self.test_looks_before else 0))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of evidence.json as parsed JSON."""
        return to_json(self)


def read_evidence(path: Path) -> Evidence:
    """Return the evidence that a file holds. Raises BundleError kinds that name the file and the field."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path} can't be read ({error.strerror}); check its permissions.") from None
    return read_document(Evidence, content, str(path))


def evidence_schema() -> dict[str, Any]:
    """Return the JSON schema of evidence.json."""
    return schema_of(Evidence, "evidence.json")
