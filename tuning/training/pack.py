"""Films of an audit as one small file, for a machine that sees nothing else: compressed, with grades and joints.

    python -m tuning.training.pack --audit runs/audit --backbone lite0 --out runs/pack

The weights that trainings begin with, and the answers of a published bundle that teaches them, go beside it. Test films
are never packed. The file holds films, so it stays on the user's own disk.
"""

import argparse
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from kneeoa_hub.errors import DataError
from kneeoa_hub.grades import NUM_GRADES

from ..data.table import AuditedFilm, read_films
from ..data.variation import gray_bytes
from ..run import steps
from ..run.content import sha256

QUALITY = 82
"""Quality of WebP: 42 dB of the peak to the error; trainings change films by far more."""
SPLITS = ("train", "val")
FILMS, AUDIT = "films.npz", "audit.json"
"""The films of a pack, and which audit they are of."""
ANSWERS = "answers-"
"""Before a bundle's name in the name of the file of its answers."""


@dataclass(frozen=True)
class Packed:
    """The films of a pack, in arrays of one size.

    films: [N,S,S] uint8, bright bone, from the top left. joints: [N,3] x, y and side; content: [N,4] left, top, right
    and bottom of the film, both in pixels of the array. grades: [N] int. collections: [N] names. splits: [N] of SPLITS.
    names: [N] file names, as the audit has them. groups: [N] leakage groups. fingerprint: of the audit.
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
class Teacher:
    """What taught networks learn beside the labels.

    name: of a bundle, or of a job. answers: [N,P,5] for the films of a pack by each protocol, NaN where unknown.
    test_evaluations: how often the bundle, or those that taught the job, was measured on test films.
    """

    name: str
    answers: np.ndarray
    test_evaluations: int = 0


def unpack(path: Path) -> Packed:
    """Read what `write` wrote. Raises DataError for the pack of an earlier release."""
    with np.load(path) as arrays:
        if "groups" not in arrays.files:
            raise DataError(f"{path} was packed by an earlier release; pack the audit again.")
        content, ends = arrays["bytes"].tobytes(), np.cumsum(arrays["lengths"])
        pictures = [
            np.asarray(Image.open(io.BytesIO(content[end - length : end])).convert("L"))
            for end, length in zip(ends, arrays["lengths"], strict=True)
        ]
        side = -(-max(max(picture.shape) for picture in pictures) // 8) * 8
        films = np.zeros((len(pictures), side, side), np.uint8)
        for film, picture in zip(films, pictures, strict=True):
            film[: picture.shape[0], : picture.shape[1]] = picture
        edges = np.array([(0, 0, picture.shape[1], picture.shape[0]) for picture in pictures], np.float32)
        return Packed(
            films,
            arrays["joints"],
            edges,
            arrays["grades"],
            arrays["collections"],
            arrays["splits"],
            arrays["names"],
            arrays["groups"],
            str(arrays["fingerprint"]),
        )


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
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
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
    np.savez(path, allow_pickle=False, **arrays)


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
    """Write a teacher to a pack, or where the outcome of a training lies."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{ANSWERS}{teacher.name}.npz"
    np.savez(path, allow_pickle=False, answers=teacher.answers, test_evaluations=np.array(teacher.test_evaluations))


def teachers_of(folder: Path) -> dict[str, Teacher]:
    """Return the teachers of a pack by their names."""
    teachers = {}
    for path in sorted(folder.glob(f"{ANSWERS}*.npz")):
        with np.load(path) as arrays:
            name, looks = path.stem.removeprefix(ANSWERS), int(arrays["test_evaluations"])
            teachers[name] = Teacher(name, arrays["answers"], looks)
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
    path = folder / f"{name}.npz"
    if not path.exists():
        raise DataError(f"{folder} has no weights of {name}; pack it again with --backbone or --start.")
    layers: dict[str, list[np.ndarray]] = {}
    with np.load(path) as arrays:
        for key in arrays.files:
            layers.setdefault(key.partition("/")[0], []).append(arrays[key].astype(np.float32))
    return layers


def pack(audit: Path, path: Path) -> int:
    """Pack the films that `audit` gives to training and validation, with the joints that it has located.

    Returns their number.
    """
    from ..data.datasets import bright_bone
    from ..data.sources import FilmReader
    from ..data.summary import read_summary

    films = read_rows(audit)
    with FilmReader() as reader:
        pictures = [gray_bytes(bright_bone(reader, film)) for film in films]
    joints = np.array([(film.place.x, film.place.y, film.place.side) for film in films])
    rows = [(film.grade, film.dataset, film.split, film.file, film.leakage_group) for film in films]
    write(path, pictures, joints, rows, fingerprint=read_summary(audit).fingerprint)
    steps.write_json(path.parent / AUDIT, {"input": str(audit.absolute()), "content": steps.input_content(audit)})
    return len(rows)


def is_pack(folder: Path) -> bool:
    """Return whether a folder is a pack."""
    return (folder / FILMS).is_file()


def audit_of(pack: Path) -> tuple[Path, dict[str, str]]:
    """Return where the audit of a pack lies, on the machine that packed it, and its fingerprints by part."""
    kept = steps.read_json(pack / AUDIT)
    return Path(kept["input"]), kept["content"]


def content_of(pack: Path) -> dict[str, str]:
    """Return the fingerprints of what trainings read of a pack, by file."""
    return {path.name: sha256(path) for path in sorted(pack.glob("*.npz"))}


def read_rows(audit: Path) -> list[AuditedFilm]:
    """Return the films of an audit that are packed, in the order of the pack."""
    return [film for film in read_films(audit) if film.split in SPLITS and film.usable]


def protocols_of(films: Sequence[AuditedFilm]) -> tuple[str, ...]:
    """Return the datasets of films, the first one first: the order of a job's classifiers."""
    return tuple(dict.fromkeys(film.dataset for film in films))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", type=Path, required=True)
    parser.add_argument(
        "--backbone", action="append", default=[], help="whose ImageNet weights go beside the films; may be repeated"
    )
    parser.add_argument("--start", help="bundle whose members go beside the films; a job names one as its `start`")
    parser.add_argument("--members", default="", help="names of these members, comma separated; default: all")
    parser.add_argument("--teacher", help="bundle whose answers go beside the films; a job names it in `teachers`")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    path = arguments.out / FILMS
    count = pack(arguments.audit, path)
    write_starts(arguments.out, arguments.backbone)
    if arguments.start:
        names = [name for name in arguments.members.split(",") if name]
        write_members(arguments.out, arguments.start, names, arguments.audit)
    if arguments.teacher:
        write_answers(arguments.out, arguments.teacher, arguments.audit)
    print(f"{path}: {count} films, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
