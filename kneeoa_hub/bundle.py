"""The bundle: a folder with everything that grading needs. Its schema, reading, checking and writing.

Nothing is parsed before every file of the manifest has been found and hashed.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .errors import BundleChanged, BundleError, BundleIncomplete, BundleUnsupported, SettingsError
from .evidence import Evidence, read_evidence
from .grades import LABELS, NUM_GRADES

SCHEMA_VERSION = 1
MOST_LETTERS = 200
"""Of a line in bundle.json."""
REQUIRED = ("bundle.json", "model.onnx", "evidence.json", "config.json", "metadata.json", "model.weights.h5")
GATE = "gate.onnx"
"""Whether a film is a knee: a bundle has it when its bundle.json has limits for it."""
LOCATOR = "locator.onnx"
"""The network that finds the joints; a bundle without a `locator` in bundle.json has none."""
NOT_LISTED = ("manifest.json", "README.md", ".gitattributes")
NOT_LISTED_FOLDERS = ("figures", ".cache", ".git")
WEIGHTS = "model.weights.h5"
HARMLESS = frozenset(
    [
        *("", ".json", ".jsonl", ".md", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".cff", ".bib", ".onnx"),
        *(".png", ".jpg", ".jpeg", ".svg", ".webp"),
    ]
)
"""Endings of what a bundle may list beside its weights: no program runs or unpickles it, while code and pickles go by
more names than can be told."""
CODE = frozenset(
    [
        *(
            ".py",
            ".pyc",
            ".pyd",
            ".pyo",
            ".pyw",
            ".pyz",
            ".pth",
            ".ipynb",
            ".so",
            ".dll",
            ".dylib",
            ".exe",
            ".sh",
            ".bat",
            ".cmd",
            ".ps1",
        ),
        *(
            ".js",
            ".jar",
            ".whl",
            ".p",
            ".pk",
            ".pkl",
            ".pickle",
            ".dill",
            ".sav",
            ".pt",
            ".bin",
            ".ckpt",
            ".joblib",
            ".npy",
            ".npz",
            ".pb",
        ),
        *(".keras", ".h5", ".hdf5", ".pt2", ".pts", ".cloudpickle", ".pck", ".msgpack"),
        *(
            ".bash",
            ".zsh",
            ".csh",
            ".ksh",
            ".fish",
            ".command",
            ".vbs",
            ".vbe",
            ".wsf",
            ".wsh",
            ".hta",
            ".com",
            ".scr",
            ".msi",
            ".lnk",
            ".psm1",
        ),
        *(
            ".mjs",
            ".cjs",
            ".ts",
            ".node",
            ".wasm",
            ".rb",
            ".pl",
            ".php",
            ".lua",
            ".r",
            ".jl",
            ".class",
            ".a",
            ".o",
            ".app",
            ".desktop",
        ),
    ]
)
"""Endings that files beside a bundle may not have either: what Python, the shell or the loader of a model would run."""
PROGRAMS = (b"#!", b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""How scripts, and programs of Windows, Linux and macOS, begin, whatever their name."""
INPUT_SIDES = 32, 4096
"""Pixels of a network's input."""
LEAST_WINDOW = 1.0
"""Between the percentiles that become black and white."""
TEMPERATURES = 1e-3, 1e3
WARNED = ("far_distance", "max_clipped")
"""Limits that a bundle may leave out."""
_PLAIN_NAME = re.compile(r"(?!.*\.\.)[\w.-]{1,100}(/[\w.-]{1,100}){0,5}", re.ASCII)


@dataclass(frozen=True)
class InputConfig:
    """How a knee's pixels become the network's input.

    height, width: pixels of the input. low, high: percentiles of the crop that are mapped to black and white.
    crop: "fit" keeps the aspect and pads to the input's shape with the crop's own mean; "band" first cuts what is
    taller than the input's shape to the rows in the middle, where the joint line lies.
    """

    height: int
    width: int
    low: float = 1.0
    high: float = 99.0
    crop: str = "fit"


@dataclass(frozen=True)
class Decision:
    """From probabilities to a grade: "argmax", or "expected": how many `thresholds` lie below sum of i * p_i."""

    rule: str = "argmax"
    thresholds: tuple[float, ...] = (0.5, 1.5, 2.5, 3.5)


@dataclass(frozen=True)
class Conformal:
    """Contiguous prediction sets that hold the reader's grade with probability `level`.

    Starting at the reported grade, the set takes in its likelier neighbour as long as its mass stays at or under
    `threshold`, the ceil((n+1)*level)-th smallest of the calibration films' masses (ordinal APS: Lu et al., MICCAI
    2022). others: (level, threshold) of the further levels that may be asked for.
    """

    level: float
    threshold: float
    calibration_films: int
    others: tuple[tuple[float, float], ...] = ()

    def at(self, level: float | None) -> "Conformal":
        """The sets of another of the bundle's levels; None is its own. Raises SettingsError for one that it has not."""
        known = {self.level: self.threshold, **dict(self.others)}
        if level is None:
            return self
        if level not in known:
            raise SettingsError(
                f"The level {level} is not among those of this bundle: {', '.join(map(str, sorted(known)))}."
            )
        return replace(self, level=level, threshold=known[level])


@dataclass(frozen=True)
class RefusalConfig:
    """Limits beyond which a film is refused, and from which it is warned of: see `imaging.gate`.

    Distances are in the embedding's whitened space. Warned of: far_distance; max_clipped, share of black and white
    pixels.
    """

    min_contrast: float
    max_colour: float
    max_distance: float
    mean: tuple[float, ...] = ()
    components: tuple[tuple[float, ...], ...] = ()
    far_distance: float | None = None
    max_clipped: float | None = None


@dataclass(frozen=True)
class GateConfig:
    """Limits of gate.onnx, see `imaging.gate.verdict`. size: pixels of its square input.

    min_upright: least probability of an upright knee to be graded. min_certain: of another position, to be put right.
    """

    size: int
    min_upright: float
    min_certain: float


@dataclass(frozen=True)
class LocatorConfig:
    """How a film becomes the input of locator.onnx, and the heat, 0..1, from which a peak is a joint: see
    `imaging.locate`.
    """

    input: InputConfig
    threshold: float


@dataclass(frozen=True)
class BundleConfig:
    """The parsed bundle.json."""

    name: str
    version: str
    grades: tuple[str, ...]
    input: InputConfig
    members: tuple[dict[str, Any], ...]
    decision: Decision
    temperature: float
    conformal: Conformal
    refusal: RefusalConfig
    gate: GateConfig | None = None
    locator: LocatorConfig | None = None
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """bundle.json as values; what a bundle does not have is left out."""
        document = asdict(self)
        document["refusal"] = {name: value for name, value in document["refusal"].items() if value is not None}
        if not self.conformal.others:
            del document["conformal"]["others"]
        return {name: value for name, value in document.items() if value is not None}

    def to_json(self) -> str:
        """The content of bundle.json."""
        return json.dumps(self.to_dict(), indent=1) + "\n"


@dataclass(frozen=True)
class Bundle:
    """A verified bundle on disk."""

    folder: Path
    config: BundleConfig
    digest: str
    """First 12 hex digits of the sha256 of manifest.json: the revision of a folder."""

    @property
    def evidence(self) -> Evidence:
        """The numbers of evidence.json; `to_dict()` gives them as JSON. Raises BundleError kinds that name a field."""
        return read_evidence(self.folder / "evidence.json")


def read_bundle(folder: Path | str) -> Bundle:
    """Verify and parse a bundle.

    Raises BundleIncomplete, BundleChanged or BundleUnsupported, naming the file, before anything but the
    manifest has been parsed; BundleError when bundle.json does not follow its schema.
    """
    folder = Path(folder)
    manifest = verify(folder)
    digest = hashlib.sha256(manifest).hexdigest()[:12]
    config = parse_config((folder / "bundle.json").read_bytes(), str(folder / "bundle.json"))
    if config.gate and GATE not in json.loads(manifest)["files"]:
        raise BundleIncomplete(
            f"{folder}: bundle.json has limits for {GATE}, and manifest.json does not list it; pull the bundle again."
        )
    if config.locator and LOCATOR not in json.loads(manifest)["files"]:
        raise BundleIncomplete(
            f"{folder}: bundle.json has a locator, and manifest.json does not list {LOCATOR}; export or pull the bundle"
            " again."
        )
    return Bundle(folder, config, digest)


def verify(folder: Path) -> bytes:
    """Hash every listed file and look for what is missing or unlisted; returns the manifest's bytes."""
    if not folder.is_dir():
        raise BundleIncomplete(f"{folder} is not a folder; a bundle is a folder with manifest.json in it.")
    content, files = read_manifest(folder)
    for name in REQUIRED:
        if name not in files:
            raise BundleIncomplete(f"{folder}: manifest.json does not list {name}; export or pull the bundle again.")
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            raise BundleIncomplete(f"{folder}: {name} is missing; pull the bundle again.")
        if path.stat().st_size != entry["size"] or sha256_of(path) != entry["sha256"]:
            raise BundleChanged(
                f"{folder}: {name} differs from the manifest's sha256; pull the bundle again and do not use this copy."
            )
    everything = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.relative_to(folder).parts[0] != ".git"
    ]
    refuse_code([path.relative_to(folder).as_posix() for path in everything], str(folder), files)
    for path in everything:
        with path.open("rb") as file:
            if file.read(4).startswith(PROGRAMS):
                raise BundleChanged(
                    f"{folder}: {path.relative_to(folder)} begins like a program and has no place in a bundle; do not"
                    " use this copy."
                )
    return content


def refuse_code(names: Iterable[str], place: str, listed: Iterable[str] = ()) -> None:
    """Raises BundleChanged that names the first file that could run code: of those that a manifest lists, the first
    that is not known to be mere data.
    """
    unknown = [name for name in listed if Path(name.rstrip(".")).suffix.lower() not in HARMLESS]
    code = [name for name in names if CODE.intersection(suffix.lower() for suffix in Path(name).suffixes)]
    for name in (*unknown, *code):
        if name != WEIGHTS:
            raise BundleChanged(f"{place}: {name} could run code and has no place in a bundle; do not use this copy.")


def read_manifest(folder: Path) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """The manifest's bytes and its `files`, with names that can't leave the folder."""
    path = folder / "manifest.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleIncomplete(f"{folder}: manifest.json is missing; this is not a whole bundle.") from None
    except OSError as error:
        raise BundleError(f"{path} can't be read ({error.strerror}); check its permissions.") from None
    document = _json_object(content, str(path))
    _check_schema_version(document, str(path))
    files = document.get("files")
    if not isinstance(files, dict):
        raise BundleError(f"{path} has no object `files`; pull the bundle again.")
    for name, entry in files.items():
        if not _PLAIN_NAME.fullmatch(name):
            raise BundleChanged(
                f"{path} lists {name[:100]!r}, which is not a plain relative name; do not use this copy."
            )
        if not (
            isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("size"), int)
        ):
            raise BundleError(f"{path}: the entry of {name} needs a `sha256` and a `size`; pull the bundle again.")
    return content, files


def write_manifest(folder: Path) -> None:
    """List every file of the folder with its sha256 and size in manifest.json."""
    files = {}
    for path in bundle_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in NOT_LISTED:
            files[name] = {"sha256": sha256_of(path), "size": path.stat().st_size}
    document = {"schema_version": SCHEMA_VERSION, "files": files}
    (folder / "manifest.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")


def bundle_files(folder: Path) -> list[Path]:
    """Every file of the bundle, figures and caches left out, in the order of their names."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in NOT_LISTED_FOLDERS
    )


def sha256_of(path: Path) -> str:
    """The file's sha256 as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_config(content: bytes, source: str) -> BundleConfig:
    """bundle.json's bytes as a BundleConfig; BundleUnsupported for another schema, BundleError for a wrong one."""
    document = _json_object(content, source)
    _check_schema_version(document, source)
    try:
        config = BundleConfig(
            name=line(document["name"]),
            version=line(document["version"]),
            grades=tuple(document["grades"]),
            input=_input(document["input"]),
            members=tuple(document["members"]),
            decision=Decision(document["decision"]["rule"], tuple(map(real, document["decision"]["thresholds"]))),
            temperature=real(document["temperature"], *TEMPERATURES),
            conformal=_conformal(**document["conformal"]),
            refusal=_refusal(document["refusal"]),
            gate=_gate(document.get("gate")),
            locator=_locator(document.get("locator")),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BundleError(f"{source} does not follow schema version {SCHEMA_VERSION} ({error}).") from None
    if config.grades != LABELS or config.decision.rule not in ("argmax", "expected"):
        raise BundleError(
            f"{source} has grades or a decision rule that this release does not know; upgrade kneeoa-hub."
        )
    if config.input.crop not in ("fit", "band") or len(config.decision.thresholds) != NUM_GRADES - 1:
        raise BundleError(f"{source} has a crop or thresholds that this release does not know; upgrade kneeoa-hub.")
    return config


def _input(entry: dict[str, Any]) -> InputConfig:
    config = InputConfig(**entry)
    for side in (config.height, config.width):
        whole(side, *INPUT_SIDES)
    real(config.high, real(config.low, 0, 100) + LEAST_WINDOW, 100)
    return config


def _conformal(
    level: float, threshold: float, calibration_films: int, others: Sequence[Sequence[float]] = ()
) -> Conformal:
    known = tuple((real(one, 0, 1), real(limit)) for one, limit in others)
    return Conformal(real(level, 0, 1), real(threshold), whole(calibration_films, 1, 10**9), known)


def _refusal(entry: dict[str, Any]) -> RefusalConfig:
    mean = tuple(map(real, entry["mean"]))
    components = tuple(tuple(map(real, row)) for row in entry["components"])
    if any(len(row) != len(mean) for row in components):
        raise ValueError("refusal: a row of components has another length than mean")
    limits = {name: real(entry[name], 0) for name in ("min_contrast", "max_colour", "max_distance")}
    return RefusalConfig(
        **limits, mean=mean, components=components, **{name: real(entry[name], 0) for name in WARNED if name in entry}
    )


def _gate(entry: dict[str, Any] | None) -> GateConfig | None:
    if not entry:
        return None
    return GateConfig(
        whole(entry["size"], *INPUT_SIDES), *(real(entry[name], 0, 1) for name in ("min_upright", "min_certain"))
    )


def _locator(entry: dict[str, Any] | None) -> LocatorConfig | None:
    return LocatorConfig(_input(entry["input"]), real(entry["threshold"], 0, 1)) if entry else None


def _check_schema_version(document: dict[str, Any], source: str) -> None:
    version = document.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise BundleUnsupported(
            f"{source} has schema_version {version!r}; this release reads {SCHEMA_VERSION}. Upgrade kneeoa-hub or pull"
            " an older revision."
        )


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _json_object(content: bytes, source: str) -> dict[str, Any]:
    try:
        document = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BundleError(f"{source} is not JSON; pull the bundle again.") from None
    if not isinstance(document, dict):
        raise BundleError(f"{source} is not a JSON object; pull the bundle again.")
    return document


def real(value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """A finite number of that range. Raises ValueError."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not math.isfinite(value)
        or not low <= value <= high
    ):
        raise ValueError(f"{str(value)[:40]} is no number of {low:g} to {high:g}")
    return float(value)


def whole(value: Any, low: int, high: int) -> int:
    """A whole number of that range. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValueError(f"{str(value)[:40]} is no whole number of {low} to {high}")
    return value


def line(value: Any) -> str:
    """Some printable letters. Raises ValueError."""
    if not isinstance(value, str) or not 0 < len(value) <= MOST_LETTERS or not value.isprintable():
        raise ValueError(f"{str(value)[:40]!r} is no line of 1 to {MOST_LETTERS} printable letters")
    return value
