"""Films of an audit as one small file, for a machine that sees nothing else: compressed, with grades and joints.

    python -m tuning.training.pack --audit runs/audit --backbone lite0 --out runs/pack

Test films are never packed. The file holds films, so it stays on the user's own disk.
"""

import argparse
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kneeoa_hub.errors import DataError

from ..data.variation import gray_bytes

QUALITY = 82
"""Of WebP: 42 dB of the peak to the error; trainings change films by far more."""
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Packed:
    """The films of a pack, in arrays of one size.

    films: [N,S,S] uint8, bright bone, from the top left. joints: [N,3] x, y and side; content: [N,4] left, top, right
    and bottom of the film, both in pixels of the array. grades: [N] int. collections: [N] names. splits: [N] of SPLITS.
    names: [N] file names, as the audit has them. fingerprint: of the audit.
    """

    films: np.ndarray
    joints: np.ndarray
    content: np.ndarray
    grades: np.ndarray
    collections: np.ndarray
    splits: np.ndarray
    names: np.ndarray
    fingerprint: str = ""


def unpack(path: Path) -> Packed:
    """Read what `write` wrote."""
    with np.load(path) as arrays:
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
            str(arrays["fingerprint"]),
        )


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    joints: np.ndarray,
    rows: Sequence[tuple[int, str, str, str]],
    quality: int = QUALITY,
    fingerprint: str = "",
) -> None:
    """Write pictures, uint8 [H,W] each, with their joints [N,3] and rows of grade, collection, split and name.

    Raises DataError for a film of another split.
    """
    if strange := {split for _, _, split, _ in rows} - set(SPLITS):
        raise DataError(f"Films of {', '.join(sorted(strange))} are not packed; only {' and '.join(SPLITS)} are.")
    coded = []
    for picture in pictures:
        stream = io.BytesIO()
        Image.fromarray(picture).save(stream, "WEBP", quality=quality, method=6)
        coded.append(stream.getvalue())
    grades, collections, splits, names = (np.array(column) for column in zip(*rows, strict=True))
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
        fingerprint=np.array(fingerprint),
    )


def write_starts(folder: Path, names: Iterable[str]) -> None:
    """Write the published weights of backbones beside the films, kernels as float16."""
    from ..networks.backbones import published_arrays

    for name in names:
        arrays = {
            f"{layer}/{number}": array.astype(np.float16 if array.ndim > 1 else np.float32)
            for layer, of_layer in published_arrays(name).items()
            for number, array in enumerate(of_layer)
        }
        np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)


def starts(folder: Path, name: str) -> dict[str, list[np.ndarray]]:
    """What `write_starts` wrote: layer name -> its arrays, float32. Raises DataError when it is not in the pack."""
    path = folder / f"{name}.npz"
    if not path.exists():
        raise DataError(f"{folder} has no weights of the backbone {name}; pack it again with --backbone {name}.")
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
    from ..data.table import read_films

    films = [film for film in read_films(audit) if film.split in SPLITS and film.usable]
    with FilmReader() as reader:
        pictures = [gray_bytes(bright_bone(reader, film)) for film in films]
    joints = np.array([(film.place.x, film.place.y, film.place.side) for film in films])
    rows = [(film.grade, film.dataset, film.split, film.file) for film in films]
    write(path, pictures, joints, rows, fingerprint=read_summary(audit).fingerprint)
    return len(rows)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", type=Path, required=True)
    parser.add_argument(
        "--backbone", action="append", default=[], help="whose ImageNet weights go beside the films; may be repeated"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    path = arguments.out / "films.npz"
    count = pack(arguments.audit, path)
    write_starts(arguments.out, arguments.backbone)
    print(f"{path}: {count} films, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
