"""The bundle: a folder with everything that grading needs. Its schema, reading, checking and writing.

Nothing is parsed before every file of the manifest has been found and hashed.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from .errors import BundleChanged, BundleError, BundleIncomplete, BundleUnsupported, SettingsError
from .evidence import Evidence, read_evidence
from .grades import LABELS, NUM_GRADES
from .inside import leaving
from .json_schema import schema_of
from .typed_json import SCHEMA_VERSION, Length, Printable, Range, json_object, read_document, to_json

REQUIRED = ("bundle.json", "model.onnx", "evidence.json", "config.json", "metadata.json", "model.weights.h5")
"""Files that every bundle has."""
GATE = "gate.onnx"
"""The network that decides whether a film shows a knee; a bundle has it when bundle.json holds its limits."""
LOCATOR = "locator.onnx"
"""The network that finds the joints; a bundle has it when bundle.json holds its settings."""
NOT_LISTED = ("manifest.json", "README.md", ".gitattributes")
"""Files that the manifest does not list."""
NOT_LISTED_FOLDERS = ("figures", ".cache", ".git")
"""Folders whose files the manifest does not list."""
WEIGHTS = "model.weights.h5"
"""The only file of a bundle that may end like a whole Keras model; within Keras's folder layout it holds arrays."""
_DATA = ".json .jsonl .md .txt .csv .tsv .yaml .yml .toml .cff .bib .onnx .png .jpg .jpeg .svg .webp"
HARMLESS = frozenset(["", *_DATA.split()])
"""Endings of what a bundle may list beside its weights. No program runs or unpickles these, while code and pickles have
more endings than a list can hold.
"""
_PYTHON = ".py .pyc .pyd .pyo .pyw .pyz .pth .ipynb .whl"
_BINARIES = ".so .dll .dylib .exe .com .scr .msi .lnk .app .desktop .a .o .node .wasm .jar .class"
_PICKLES = ".p .pk .pkl .pickle .pck .dill .cloudpickle .sav .joblib .npy .npz .msgpack"
_MODELS = ".pt .pt2 .pts .bin .ckpt .pb .keras .h5 .hdf5"
_SHELLS = ".sh .bash .zsh .csh .ksh .fish .command .bat .cmd .ps1 .psm1 .vbs .vbe .wsf .wsh .hta"
_LANGUAGES = ".js .mjs .cjs .ts .rb .pl .php .lua .r .jl"
CODE = frozenset(" ".join([_PYTHON, _BINARIES, _PICKLES, _MODELS, _SHELLS, _LANGUAGES]).split())
"""Endings that even an unlisted file of a bundle may not have: Python, a shell or a model's loader would run them."""
PROGRAMS = (b"#!", b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""First bytes of scripts, and of programs for Windows, Linux and macOS, whatever their name."""
MOST_CARD = 256 * 1024
"""Bytes of the longest file, figures left out, that the manifest does not list; a model card takes 30 kB."""
MOST_FIGURE = 8 * 1024**2
"""Bytes of the largest figure of a card."""
MOST_UNLISTED = 100
"""Files that a bundle may hold beside those that the manifest lists."""
LEAST_WINDOW = 1.0
"""Least distance of the percentiles that become black and white."""
_PLAIN_NAME = re.compile(r"(?!.*\.\.)[\w.-]{1,100}(/[\w.-]{1,100}){0,5}", re.ASCII)

Line = Annotated[str, Length(1, 200), Printable()]
Side = Annotated[int, Range(32, 4096)]
Probability = Annotated[float, Range(0, 1)]
Percentile = Annotated[float, Range(0, 100)]
AtLeastZero = Annotated[float, Range(0)]


@dataclass(frozen=True)
class InputConfig:
    """How a knee's pixels become a network's input."""

    height: Annotated[Side, "Height of the input in pixels."]
    width: Annotated[Side, "Width of the input in pixels."]
    low: Annotated[Percentile, "Percentile of the crop's grays that becomes black."] = 1.0
    high: Annotated[Percentile, "Percentile of the crop's grays that becomes white."] = 99.0
    crop: Annotated[
        Literal["fit", "band"],
        "fit keeps the aspect and pads to the input's shape with the crop's mean; band first cuts a crop that is taller"
        " than that shape to its middle rows, where the joint line lies.",
    ] = "fit"


@dataclass(frozen=True)
class Decision:
    """How the reported grade follows from the probabilities."""

    rule: Annotated[
        Literal["argmax", "expected"],
        "argmax reports the most probable grade; expected counts the thresholds below the expected grade.",
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
    2022).
    """

    level: Annotated[Probability, "Proportion of the knees whose set should hold the reader's grade."]
    threshold: Annotated[float, "Probability mass at which a set stops growing."]
    calibration_films: Annotated[int, Range(1, 10**9), "Number of knees that the threshold was fitted on."]
    others: Annotated[
        tuple[tuple[Probability, float], ...], "Level and threshold of each further level that a user may ask for."
    ] = ()

    def at(self, level: float | None) -> "Conformal":
        """Returns the sets of another level of the bundle; None is its own. Raises SettingsError for an unknown one."""
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
    schema_version: Annotated[
        Literal[1], "Version of this format; a library that does not know it refuses the bundle."
    ] = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Returns the content of bundle.json as parsed JSON."""
        return to_json(self)

    def to_json(self) -> str:
        """Returns the text of bundle.json."""
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
    """Verifies and parses a bundle.

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


def verify(folder: Path) -> bytes:
    """Checks every listed file by its hash, and every other file by its kind; returns the manifest's bytes.

    Raises BundleIncomplete for a missing file, and BundleChanged for one that differs or could run code.
    """
    if not folder.is_dir():
        raise BundleIncomplete(f"{folder} is not a folder; a bundle is a folder with manifest.json in it.")
    refuse_links(folder)
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
    _refuse_unlisted([path for path in everything if path.relative_to(folder).as_posix() not in files], folder)
    for path in everything:
        with path.open("rb") as file:
            if file.read(4).startswith(PROGRAMS):
                raise BundleChanged(
                    f"{folder}: {path.relative_to(folder)} begins like a program and has no place in a bundle; do not"
                    " use this copy."
                )
    return content


def refuse_links(folder: Path) -> None:
    """Raise BundleChanged for the first link below the folder that leads out of the bundle: see `inside.leaving`."""
    for path in leaving(folder):
        raise BundleChanged(f"{path} is a link that leads out of the bundle; put the file in its place, or pull again.")


def most_bytes(name: str) -> int:
    """Return how long a file may be that the manifest does not list."""
    return MOST_FIGURE if name.startswith("figures/") else MOST_CARD


def _refuse_unlisted(paths: list[Path], folder: Path) -> None:
    """Raise BundleChanged for more or longer files than a card needs, where no manifest says what they are."""
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    kept = {name: path for name, path in named.items() if not name.startswith(".cache/")}
    if len(kept) > MOST_UNLISTED:
        raise BundleChanged(
            f"{folder} holds {len(kept)} files that manifest.json does not list; at most {MOST_UNLISTED} may be there."
        )
    for name, path in kept.items():
        if path.stat().st_size > most_bytes(name):
            raise BundleChanged(
                f"{folder}: {name} has {path.stat().st_size} bytes, and manifest.json does not list it; at most"
                f" {most_bytes(name)} are read of such a file."
            )


def refuse_code(names: Iterable[str], place: str, listed: Iterable[str] = ()) -> None:
    """Raises BundleChanged for the first file that could run code.

    Args:
        names: All files of a bundle, relative to its folder.
        place: Where the bundle is, for the error.
        listed: The files that its manifest lists. Each of these must be known as mere data.
    """
    unknown = [name for name in listed if Path(name.rstrip(".")).suffix.lower() not in HARMLESS]
    code = [name for name in names if CODE.intersection(suffix.lower() for suffix in Path(name).suffixes)]
    for name in (*unknown, *code):
        if name != WEIGHTS:
            raise BundleChanged(f"{place}: {name} could run code and has no place in a bundle; do not use this copy.")


def read_manifest(folder: Path) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """Returns the manifest's bytes and its `files`: sha256 and size by name.

    Raises BundleError kinds for a manifest that is missing or wrong, or lists a name that could leave the folder.
    """
    path = folder / "manifest.json"
    try:
        if path.stat().st_size > MOST_CARD:
            raise BundleChanged(f"{path} has {path.stat().st_size} bytes; at most {MOST_CARD} are read of a manifest.")
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleIncomplete(f"{folder}: manifest.json is missing; this is not a whole bundle.") from None
    except OSError as error:
        raise BundleError(f"{path} can't be read ({error.strerror}); check its permissions.") from None
    document = json_object(content, str(path))
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
    """Writes manifest.json, which lists every file of the folder with its sha256 and size."""
    files = {}
    for path in bundle_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in NOT_LISTED:
            files[name] = {"sha256": sha256_of(path), "size": path.stat().st_size}
    document = {"schema_version": SCHEMA_VERSION, "files": files}
    (folder / "manifest.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")


def bundle_files(folder: Path) -> list[Path]:
    """Returns every file of a bundle in the order of their names, without figures and caches."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in NOT_LISTED_FOLDERS
    )


def sha256_of(path: Path) -> str:
    """Returns the sha256 of a file as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_config(content: bytes, source: str) -> BundleConfig:
    """Returns bundle.json's bytes as a BundleConfig.

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
        if not (isinstance(member.get("name", ""), str) and isinstance(member.get("architecture", {}), dict)):
            raise BundleError(
                f"{source}: `members[{number}]` needs a text `name` and an object `architecture`; export it again."
            )
    if not config.refusal.components:
        raise BundleError(f"{source}: `refusal.components` is empty, so no film could be refused; export it again.")
    if config.locator and config.locator.threshold <= 0:
        raise BundleError(f"{source}: `locator.threshold` is 0, so every pixel would be a joint; export it again.")
    if any(len(row) != len(config.refusal.mean) for row in config.refusal.components):
        raise BundleError(f"{source}: a row of `refusal.components` has another length than `refusal.mean`.")
    return config


def bundle_schema() -> dict[str, Any]:
    """Returns the JSON schema of bundle.json."""
    return schema_of(BundleConfig, "bundle.json")
