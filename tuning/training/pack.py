"""Films of an audit as one small file, for a machine that sees nothing else: compressed, with grades and joints.

    python -m tuning.training.pack --audit runs/audit --bundle kneeoa-cnn --out runs/pack

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

QUALITY = 82
"""Of WebP: 42 dB of the peak to the error; trainings change films by far more."""
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Packed:
    """The films of a pack, in arrays of one size.

    films: [N,S,S] uint8, bright bone, from the top left. joints: [N,3] x, y and side; content: [N,4] left, top, right
    and bottom of the film, both in pixels of the array. grades: [N] int. collections: [N] names. splits: [N] of SPLITS.
    names: [N] file names, as the audit has them.
    """

    films: np.ndarray
    joints: np.ndarray
    content: np.ndarray
    grades: np.ndarray
    collections: np.ndarray
    splits: np.ndarray
    names: np.ndarray


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
            films, arrays["joints"], edges, arrays["grades"], arrays["collections"], arrays["splits"], arrays["names"]
        )


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    joints: np.ndarray,
    rows: Sequence[tuple[int, str, str, str]],
    quality: int = QUALITY,
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


def pack(audit: Path, bundle: str | None, path: Path) -> int:
    """Pack the films that `audit` gives to training and validation, with joints by the bundle's locator.

    Returns their number. Raises DataError for a bundle without a locator.
    """
    from kneeoa_hub.grader import from_pretrained
    from kneeoa_hub.imaging.locate import Locator

    from ..data.datasets import bright_bone
    from ..data.sources import FilmReader
    from ..data.table import read_films

    grader = from_pretrained(bundle)
    config = grader.bundle.config.locator
    if config is None:
        raise DataError(f"{grader.model} has no locator, which says where the joints are; choose a bundle with one.")
    locator = Locator(grader.bundle.folder / "locator.onnx", config)
    films = [film for film in read_films(audit) if film.split in SPLITS and film.use == "yes"]
    pictures, joints, rows = [], [], []
    with FilmReader() as reader:
        decoded = [_as_bytes(bright_bone(reader, film)) for film in films]
    for film, picture in zip(films, decoded, strict=True):
        found = max(locator.joints(picture), key=lambda joint: joint.score, default=None)
        square = abs(film.width - film.height) <= 0.05 * film.width
        if square or found is None:  # a crop round the joint is where its box is
            joint = (film.width / 2, film.height / 2, float(min(film.width, film.height)))
        else:
            joint = (found.x, found.y, found.side)
        pictures.append(picture)
        joints.append(joint)
        rows.append((film.grade, film.dataset, film.split, film.file))
    write(path, pictures, np.array(joints), rows)
    return len(rows)


def _as_bytes(pixels: np.ndarray) -> np.ndarray:
    """[H,W] float32 -> uint8: films of eight bits as they are, deeper ones stretched."""
    if pixels.min() >= 0 and 32 < pixels.max() <= 255:
        return np.rint(pixels).astype(np.uint8)
    low, high = np.percentile(pixels, (0.1, 99.9))
    return np.rint(255 * np.clip((pixels - low) / max(float(high - low), 1e-6), 0, 1)).astype(np.uint8)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", type=Path, required=True)
    parser.add_argument(
        "--bundle", default=None, help="whose locator says where the joints are; the shipped one by default"
    )
    parser.add_argument(
        "--backbone", action="append", default=[], help="whose ImageNet weights go beside the films; may be repeated"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    path = arguments.out / "films.npz"
    count = pack(arguments.audit, arguments.bundle, path)
    write_starts(arguments.out, arguments.backbone)
    print(f"{path}: {count} films, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
