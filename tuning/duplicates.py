"""Copies among films: byte, pixel, near and mirrored duplicates, and the clusters that they make."""

import hashlib
from collections.abc import Iterable

import numpy as np
from PIL import Image

THUMBNAIL = 48
"""Side of the thumbnails that are compared; the aspect is given up, since a copy keeps it."""
NEAR = 0.985
"""Two films are one picture when their thumbnails correlate at least so, as they lie or mirrored."""
BLOCK = 1024


def pixel_hash(pixels: np.ndarray) -> str:
    """sha256 over shape and values, whatever the file format."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels, "<f4").tobytes()).hexdigest()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """[THUMBNAIL,THUMBNAIL] float32 of mean 0 and length 1; fine detail counts, exposure does not."""
    small = np.asarray(Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    # Bright bone on a dark ground is common to all knees; what is left after a blur tells them apart.
    coarse = Image.fromarray(small).resize((6, 6), Image.Resampling.BOX).resize(small.shape, Image.Resampling.BICUBIC)
    detail = small - np.asarray(coarse)
    detail = detail - detail.mean()
    return (detail / max(float(np.linalg.norm(detail)), 1e-6)).astype(np.float32)


def near_pairs(thumbnails: np.ndarray, threshold: float = NEAR) -> list[tuple[int, int, bool]]:
    """Pairs (i, j, mirrored), i < j, of [N,T,T] thumbnails whose correlation reaches the threshold."""
    count = len(thumbnails)
    flat = thumbnails.reshape(count, -1)
    mirrored = thumbnails[:, :, ::-1].reshape(count, -1)
    pairs = []
    for start in range(0, count, BLOCK):
        block = flat[start : start + BLOCK]
        for other, is_mirrored in ((flat, False), (mirrored, True)):
            rows, columns = np.nonzero(block @ other[start:].T >= threshold)
            pairs += [(start + int(i), start + int(j), is_mirrored) for i, j in zip(rows, columns, strict=True) if i < j]
    return pairs


def clusters(count: int, links: Iterable[tuple[int, int]]) -> np.ndarray:
    """[count] ints: the smallest index that each item is linked to, directly or through others."""
    root = list(range(count))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for i, j in links:
        a, b = find(i), find(j)
        root[max(a, b)] = min(a, b)
    return np.array([find(i) for i in range(count)], int)
