"""A pack is one small file of an audit's films, for a machine that sees nothing else: with grades and joints.

    python -m tuning.training.pack --audit runs/audit --backbone lite0 --out runs/pack

The weights that trainings begin with, and the answers of a published bundle that teaches them, go beside it. Test films
are never packed. The file holds films, so it stays on the user's own disk.
"""

import argparse
import io
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from kneeoa_hub.errors import DataError
from kneeoa_hub.escaping import CommandParser
from kneeoa_hub.files import is_file_name
from kneeoa_hub.grades import NUM_GRADES
from kneeoa_hub.imaging.film import Limits

from ..data.cut import cut_borders
from ..data.table import AuditedFilm, read_films
from ..data.variation import gray_bytes
from ..run import console, steps
from ..run.arrays import read_arrays, write_arrays
from ..run.content import sha256

QUALITY = 82
"""WebP of this quality has 42 dB of the peak to the error; trainings change films by far more."""
SPLITS = ("train", "val")
FILMS, AUDIT = "films.npz", "audit.json"
"""The first file of a pack holds its films, and the second says of which audit they are."""
COLUMNS = {
    "lengths": "iu",
    "joints": "f",
    "grades": "iu",
    "collections": "U",
    "splits": "U",
    "names": "U",
    "groups": "U",
}
"""These arrays of a pack have a row for each film; NumPy types of these kinds are read for each."""
ANSWERS = "answers-"
"""The name of the file of a bundle's answers is this, and then the name of the bundle."""
SUM_ERROR = 0.01
"""Probabilities of a teacher may miss their sum of 1 by 0.01."""


@dataclass(frozen=True)
class Packed:
    """The N films of a pack lie in arrays of one size.

    Attributes:
        films: [N,S,S] uint8, bright bone, from the top left.
        joints: [N,3], x, y and side of each joint's box in pixels of the array.
        content: [N,4], left, top, right and bottom of each film in pixels of the array.
        grades: [N] int, the readers' grades.
        collections: [N] names.
        splits: [N], each one of SPLITS.
        names: [N] file names, as the audit has them.
        groups: [N] leakage groups.
        fingerprint: Fingerprint of the audit.
    """

    films: np.ndarray
    joints: np.ndarray
    content: np.ndarray
    grades: np.ndarray
    collections: np.ndarray
    splits: np.ndarray
    names: np.ndarray
    groups: np.ndarray
    fingerprint: str = ""


@dataclass(frozen=True)
class PackedAudit:
    """This record says where the audit of a pack lies, and has its fingerprints by part."""

    input: str
    content: dict[str, str]


@dataclass(frozen=True)
class Teacher:
    """A network that is taught learns a teacher's answers beside the labels.

    Attributes:
        name: Name of a bundle, or of a job.
        answers: [N,P,5] for the films of a pack by each protocol, NaN where they are not known.
        test_evaluations: How often the bundle, or the bundles that taught the job, were measured on test films.
    """

    name: str
    answers: np.ndarray
    test_evaluations: int = 0


def unpack(path: Path) -> Packed:
    """Read what `write` wrote. Raises DataError for a pack that is damaged, or of an earlier release."""
    arrays = read_arrays(path, ("bytes", "fingerprint", *COLUMNS))
    if problem := _problem_of(arrays):
        raise DataError(f"{path} is no pack of films ({problem}); pack the audit again.")
    content, ends = arrays["bytes"].tobytes(), np.cumsum(arrays["lengths"])
    try:
        pictures = [_picture(content[end - length : end]) for end, length in zip(ends, arrays["lengths"], strict=True)]
        side = -(-max(max(picture.shape) for picture in pictures) // 8) * 8
        films = np.zeros((len(pictures), side, side), np.uint8)
    except (OSError, ValueError, MemoryError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} holds a film that can't be read ({error}); pack the audit again.") from None
    for film, picture in zip(films, pictures, strict=True):
        film[: picture.shape[0], : picture.shape[1]] = picture
    edges = np.array([(0, 0, picture.shape[1], picture.shape[0]) for picture in pictures], np.float32)
    columns = (arrays[name] for name in COLUMNS if name not in ("lengths", "joints"))
    return Packed(films, arrays["joints"], edges, *columns, fingerprint=str(arrays["fingerprint"]))


def _problem_of(arrays: Mapping[str, np.ndarray]) -> str:
    """Return why arrays are not those of a pack; "" where they are."""
    count = arrays["lengths"].size
    shapes = {name: (count, 3) if name == "joints" else (count,) for name in COLUMNS}
    for name, kinds in COLUMNS.items():
        if arrays[name].shape != shapes[name] or arrays[name].dtype.kind not in kinds:
            return f"{name} are {arrays[name].dtype} of shape {arrays[name].shape}, of {count} films"
    lengths, joints, grades = (arrays[name] for name in ("lengths", "joints", "grades"))
    problems = {
        "it holds no film": not count,
        "the lengths of its films are not those of its bytes": (lengths <= 0).any()
        or lengths.sum() != arrays["bytes"].size,
        "a joint has no place": not np.isfinite(joints).all() or (joints[:, 2:] <= 0).any(),
        f"a grade is not from 0 to {NUM_GRADES - 1}": ((grades < 0) | (grades >= NUM_GRADES)).any(),
        f"a film is not of {' or '.join(SPLITS)}": not np.isin(arrays["splits"], SPLITS).all(),
    }
    return next((problem for problem, found in problems.items() if found), "")


def _picture(content: bytes) -> np.ndarray:
    """Return a film of a pack. Raises OSError or ValueError for bytes that are none, or of too many pixels."""
    with Image.open(io.BytesIO(content), formats=["WEBP"]) as picture:
        if picture.width * picture.height > Limits().max_pixels:
            raise ValueError(f"it has {picture.width}x{picture.height} pixels")
        return np.asarray(picture.convert("L"))


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    joints: np.ndarray,
    rows: Sequence[tuple[int, str, str, str, str]],
    quality: int = QUALITY,
    fingerprint: str = "",
) -> None:
    """Write pictures with their joints and grades into one file.

    Args:
        path: The file.
        pictures: The films, uint8 [H,W] each.
        joints: The middle x, y and the side of each joint's box [N,3], in pixels.
        rows: Grade, collection, split, name and leakage group of each film.
        quality: Quality of the compression by WebP, 1 to 100.
        fingerprint: The audit's.

    Raises:
        DataError: A film is of another split than training and validation.
    """
    if strange := {split for _, _, split, _, _ in rows} - set(SPLITS):
        raise DataError(f"Films of {', '.join(sorted(strange))} are not packed; only {' and '.join(SPLITS)} are.")
    coded = []
    for picture in pictures:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=6)
        coded.append(stream.getvalue())
    grades, collections, splits, names, groups = (np.array(column) for column in zip(*rows, strict=True))
    write_arrays(
        path,
        bytes=np.frombuffer(b"".join(coded), np.uint8),
        lengths=np.array([len(one) for one in coded]),
        joints=joints.astype(np.float32),
        grades=grades,
        collections=collections,
        splits=splits,
        names=names,
        groups=groups,
        fingerprint=np.array(fingerprint),
    )


def write_starts(folder: Path, names: Iterable[str]) -> None:
    """Write the published weights of backbones beside the films, kernels as float16."""
    from ..networks.backbones import published_arrays

    for name in names:
        _write(folder / f"{name}.npz", published_arrays(name))


def _write(path: Path, layers: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write the arrays of layers, kernels as float16."""
    arrays = {
        f"{layer}/{number:04}": array.astype(np.float16 if array.ndim > 1 else np.float32)
        for layer, of_layer in layers.items()
        for number, array in enumerate(of_layer)
    }
    write_arrays(path, **arrays)


def write_members(folder: Path, address: str, names: Collection[str], audit: Path) -> None:
    """Write members of a bundle, with a classifier for each dataset of the audit, as weights that a job begins with.

    Args:
        folder: Where the files go.
        address: The bundle's.
        names: Names of the members; none takes all.
        audit: The folder of the audit.

    Raises:
        DataError: The bundle may have been trained on films that the audit holds out.
        SettingsError: A name is not among the bundle's members.
    """
    from ..networks.architecture import with_heads
    from .starting import start_from

    protocols = protocols_of(read_rows(audit))
    for member in start_from(address, names, audit).members:
        network = with_heads(member.network, replace(member.architecture, crop="frame"), protocols)
        _write(folder / f"{member.name}.npz", {"weights": network.get_weights()})


def write_answers(folder: Path, address: str, audit: Path) -> None:
    """Write a bundle's probabilities for the training films, as a teacher of jobs that name it.

    They are [N,P,5], NaN where unknown. The bundle answers for the protocol of a film's own dataset alone.

    Args:
        folder: Where the file goes.
        address: The bundle's.
        audit: The folder of the audit.

    Raises:
        DataError: The bundle may have been trained on films that the audit holds out.
    """
    from kneeoa_hub.bundle import read_bundle
    from kneeoa_hub.hub.pull_push import pull

    from ..data.datasets import load_knees
    from .distillation import check_films, probabilities

    bundle, films = read_bundle(pull(address)), read_rows(audit)
    check_films(address, bundle, audit)
    protocols = protocols_of(films)
    train = np.array([row for row, film in enumerate(films) if film.split == "train"])
    answers = np.full((len(films), len(protocols), NUM_GRADES), np.nan, np.float32)
    heads = [protocols.index(films[row].dataset) for row in train]
    answers[train, heads] = probabilities(pull(address), load_knees(audit, "train", bundle.config.input))
    keep_teacher(folder, Teacher(bundle.config.name, answers, bundle.evidence.test_evaluations))


def keep_teacher(folder: Path, teacher: Teacher) -> None:
    """Write a teacher to a pack, or where the outcome of a training lies.

    Raises DataError for a name that can't name a file.
    """
    path = _file(folder, f"{ANSWERS}{teacher.name}")
    write_arrays(path, answers=teacher.answers, test_evaluations=np.array(teacher.test_evaluations))


def teachers_of(folder: Path) -> dict[str, Teacher]:
    """Return the teachers of a pack by their names. Raises DataError for answers that are none."""
    teachers = {}
    for path in sorted(folder.glob(f"{ANSWERS}*.npz")):
        name, arrays = path.stem.removeprefix(ANSWERS), read_arrays(path, ("answers", "test_evaluations"))
        answers, looks = arrays["answers"], arrays["test_evaluations"]
        sums = answers.sum(-1) if answers.dtype.kind == "f" and answers.ndim == 3 else np.zeros(1)
        if answers.shape[-1:] != (NUM_GRADES,) or not np.allclose(sums[~np.isnan(sums)], 1, atol=SUM_ERROR):
            raise DataError(f"{path} holds no probabilities of {NUM_GRADES} grades; pack the audit again.")
        if looks.shape or looks.dtype.kind not in "iu" or looks < 0:
            raise DataError(f"{path} does not say how often its teacher was measured; pack the audit again.")
        teachers[name] = Teacher(name, answers, int(looks))
    return teachers


def mean_answers(answers: Sequence[np.ndarray]) -> np.ndarray:
    """Return [N,protocols,5]: the mean answer of the teachers for a film by a protocol, NaN where there is none."""
    stacked = np.stack(answers)
    known = ~np.isnan(stacked)
    total = np.where(known, stacked, 0.0).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan).astype(np.float32)


def starts(folder: Path, name: str) -> dict[str, list[np.ndarray]]:
    """Return the weights that a job begins with, float32.

    They are the arrays of each layer of a backbone, or those of a member under the one name "weights". Raises DataError
    when they are not in the pack.
    """
    path = _file(folder, name)
    if not path.exists():
        raise DataError(f"{folder} has no weights of {name}; pack it again with --backbone or --start.")
    layers: dict[str, list[np.ndarray]] = {}
    for key, array in read_arrays(path).items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise DataError(f"{path} holds weights that are not numbers; pack it again.")
        layers.setdefault(key.partition("/")[0], []).append(array.astype(np.float32))
    return layers


def _file(folder: Path, name: str) -> Path:
    """Return the file of a name in a pack. Raises DataError for a name that leads elsewhere."""
    if not is_file_name(name):
        raise DataError(f"{name!r} can't name a file; use letters, digits, dots and dashes.")
    return folder / f"{name}.npz"


def pack(audit: Path, path: Path) -> int:
    """Pack the films that `audit` gives to training and validation, with the joints that it has located.

    Returns their number. Raises DataError where those of a split have one grade.
    """
    from ..data.datasets import bright_bone, check_grades
    from ..data.sources import FilmReader
    from ..data.summary import read_summary

    films = read_rows(audit)
    check_grades(*(np.array([film.grade for film in films if film.split == split]) for split in SPLITS))
    with FilmReader() as reader:
        cut = [cut_borders(gray_bytes(bright_bone(reader, film)), film.place) for film in films]
    pictures, joints = [pixels for pixels, _ in cut], np.array([astuple(place) for _, place in cut])
    rows = [(film.grade, film.dataset, film.split, film.file, film.leakage_group) for film in films]
    write(path, pictures, joints, rows, fingerprint=read_summary(audit).fingerprint)
    steps.write_json(path.parent / AUDIT, PackedAudit(str(audit.absolute()), steps.input_content(audit)))
    return len(rows)


def is_pack(folder: Path) -> bool:
    """Return whether a folder is a pack."""
    return (folder / FILMS).is_file()


def audit_of(pack: Path) -> tuple[Path, dict[str, str]]:
    """Return where the audit of a pack lies, on the machine that packed it, and its fingerprints by part."""
    kept = steps.typed(PackedAudit, steps.read_json(pack / AUDIT), pack / AUDIT)
    return Path(kept.input), kept.content


def content_of(pack: Path) -> dict[str, str]:
    """Return the fingerprints of what trainings read of a pack, by file."""
    return {path.name: sha256(path) for path in sorted(pack.glob("*.npz"))}


def read_rows(audit: Path) -> list[AuditedFilm]:
    """Return the films of an audit that are packed, in the order of the pack."""
    return [film for film in read_films(audit) if film.split in SPLITS and film.usable]


def protocols_of(films: Sequence[AuditedFilm]) -> tuple[str, ...]:
    """Return the datasets of films, the first one first: the order of a job's classifiers."""
    return tuple(dict.fromkeys(film.dataset for film in films))


def main(given: Sequence[str] | None = None) -> int:
    """Run the command line; returns 0, or 1 when it fails for a reason that the message gives, or 2 for an option."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", type=Path, required=True)
    parser.add_argument(
        "--backbone", action="append", default=[], help="whose ImageNet weights go beside the films; may be repeated"
    )
    parser.add_argument("--start", help="bundle whose members go beside the films; a job names one as its `start`")
    parser.add_argument("--members", default="", help="names of these members, comma separated; default: all")
    parser.add_argument("--teacher", help="bundle whose answers go beside the films; a job names it in `teachers`")
    parser.add_argument("--out", type=Path, required=True)
    return console.exit_code(lambda: _pack(parser.parse_args(given)))


def _pack(options: argparse.Namespace) -> None:
    audit, path = steps.find_input(options.audit, "audit"), options.out / FILMS
    count = pack(audit, path)
    write_starts(options.out, options.backbone)
    if options.start:
        names = [name for name in options.members.split(",") if name]
        write_members(options.out, options.start, names, audit)
    if options.teacher:
        write_answers(options.out, options.teacher, audit)
    print(f"{path}: {count} films, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
