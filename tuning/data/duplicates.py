"""Copies among films: byte, pixel, near, mirrored and shifted duplicates, and the clusters that they make."""

import hashlib
from collections.abc import Iterable

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from ..run import steps

THUMBNAIL = 48
"""Side of the thumbnails that are compared; the aspect is given up, since a copy keeps it."""
NEAR = 0.985
"""Two films are one picture when their thumbnails correlate at least so, as they lie or mirrored."""
BLOCK = 1024
DETAIL, BLUR = 96, 3.0
"""Side of the pictures in which a knee is looked for that another film shows elsewhere, and the blur in pixels that is
taken from them."""
SAME_INSIDE = 0.75
"""And so much at least without what lies beside plain areas, so that a frame that many films share makes no knee of
them."""
PLAIN = 0.003
"""Share of a film's grays that neighbouring pixels of a plain area differ by at most."""
NEIGHBOURS = 4
"""Films of the likeliest spectra that each film is laid over, and as many for its mirror image."""
FURTHEST = DETAIL // 4
SAME_KNEE = 0.8
"""Two films show one knee when their detail, laid over one another, correlates at least so. Of films of different
patients of the Osteoarthritis Initiative none comes to more than .76."""


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
            pairs += [
                (start + int(i), start + int(j), is_mirrored) for i, j in zip(rows, columns, strict=True) if i < j
            ]
    return pairs


def detail(pixels: np.ndarray) -> np.ndarray:
    """[2,DETAIL,DETAIL] float32, each of mean 0 and length 1: trabeculae and edges, without what all knees have in
    common; and the same without what lies beside a plain area, all 0 where nothing is left: edges of frames, beams and
    markers are alike in many films."""
    small = np.asarray(Image.fromarray(pixels).resize((DETAIL, DETAIL), Image.Resampling.BOX), np.float32)
    low, high = np.percentile(small, (1, 99))
    clipped = small.clip(low, high)
    plain = maximum_filter(clipped, 3) - minimum_filter(clipped, 3) <= PLAIN * (high - low)
    inside = ~maximum_filter(plain, 2 * round(2 * BLUR) + 1)
    return np.stack([_fine(small, np.ones_like(inside)), _fine(clipped, inside)])


def _fine(small: np.ndarray, seen: np.ndarray) -> np.ndarray:
    fine = np.where(seen, small - gaussian_filter(small, BLUR), 0)
    fine = np.where(seen, fine - fine.sum() / max(1, seen.sum()), 0)
    return (fine / max(float(np.linalg.norm(fine)), 1e-6)).astype(np.float32)


def shifted_pairs(details: np.ndarray) -> list[tuple[int, int, bool]]:
    """Pairs (i, j, mirrored), i < j, of [N,2,DETAIL,DETAIL] details that show one knee, if shifted by up to FURTHEST.

    A shift leaves the amplitudes of a picture's spectrum as they are, so films of like amplitudes are found first, and
    laid over one another then.
    """
    pairs = []
    details, inside = details[:, 0], details[:, 1]
    if not len(candidates := _alike(details)):
        return pairs
    spectra = np.fft.rfft2(details, (DETAIL + FURTHEST, DETAIL + FURTHEST)).astype(np.complex64)
    for block in steps.progress(np.array_split(candidates, -(-len(candidates) // BLOCK)), "audit: copies"):
        first, second, mirrored = block[:, 0], block[:, 1], block[:, 2].astype(bool)
        other = np.where(mirrored[:, None, None], details[second][:, :, ::-1], details[second])
        crossed = spectra[first] * np.fft.rfft2(other, spectra.shape[1:2] * 2).conj()
        shifts = np.fft.irfft2(crossed, spectra.shape[1:2] * 2)
        places = np.r_[0 : FURTHEST + 1, -FURTHEST:0]
        best = shifts[:, places][:, :, places].reshape(len(block), -1).argmax(1)
        down, right = places[best // len(places)], places[best % len(places)]
        for row, (i, j, is_mirrored) in enumerate(block.tolist()):
            place = down[row], right[row]
            within = inside[j][:, ::-1] if is_mirrored else inside[j]
            if (
                _overlaid(details[i], other[row], *place) >= SAME_KNEE
                and _overlaid(inside[i], within, *place) >= SAME_INSIDE
            ):
                pairs.append((i, j, bool(is_mirrored)))
    return pairs


def _alike(details: np.ndarray) -> np.ndarray:
    """[M,3] int: pairs (i, j, mirrored), i < j, among which are each film's NEIGHBOURS by the amplitudes of its
    spectrum.
    """
    if len(details) < 2:
        return np.empty((0, 3), int)
    window = np.hanning(DETAIL + 2)[1:-1]
    spread = details / np.maximum(details.std((1, 2), keepdims=True), 1e-6)
    amplitudes = np.log1p(np.abs(np.fft.rfft2(spread.clip(-3, 3) * np.outer(window, window)))).astype(np.float32)
    mirrored = np.concatenate([amplitudes[:, :1], amplitudes[:, :0:-1]], 1)
    usual = (amplitudes + mirrored).mean(0) / 2
    flat, flat_mirrored = (_unit((one - usual).reshape(len(details), -1)) for one in (amplitudes, mirrored))
    found = set()
    for start in range(0, len(details), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(details)))
        for is_mirrored, other in enumerate((flat, flat_mirrored)):
            likeness = flat[rows] @ other.T
            likeness[np.arange(len(rows)), rows] = -np.inf
            nearest = np.argpartition(-likeness, min(NEIGHBOURS, len(details) - 1), axis=1)[:, :NEIGHBOURS]
            found |= {
                (min(i, j), max(i, j), is_mirrored)
                for i, row in zip(rows.tolist(), nearest.tolist(), strict=True)
                for j in row
                if i != j
            }
    return np.array(sorted(found), int).reshape(-1, 3)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _overlaid(film: np.ndarray, other: np.ndarray, down: int, right: int) -> float:
    """Correlation of two pictures of one size where they overlap, the other moved by so many pixels."""
    height, width = film.shape
    mine = film[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    its = other[max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
    mine, its = mine - mine.mean(), its - its.mean()
    return float((mine * its).sum() / max(float(np.linalg.norm(mine) * np.linalg.norm(its)), 1e-9))


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
