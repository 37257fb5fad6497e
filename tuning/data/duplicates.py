"""The audit looks for pairs of films that show one knee: near-duplicates, mirrored or not, and shifted films."""

import hashlib
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

from ..run import steps

THUMBNAIL = 48
"""The compared thumbnails have 48 pixels per side; they give up the aspect, which a copy keeps."""
NEAR = 0.985
"""The thumbnails of near-duplicates have a correlation of at least 0.985."""
BLOCK = 1024
"""At most 1,024 films, or pairs of films, are compared at a time, which bounds the memory."""
DETAIL = 96
"""A shifted knee is searched in pictures of 96 pixels per side."""
BLUR = 3.0
"""A blur of this standard deviation, in pixels, is subtracted from these pictures, so that fine detail is left."""
PLAIN = 0.003
"""Neighbouring pixels of a plain area differ by at most this fraction of the film's range of grays."""
CANDIDATES = 4
"""Each film is compared with four films that have the most similar spectra, and its mirror image with as many."""
LARGEST_SHIFT = DETAIL // 4
"""A knee may be shifted by a quarter of the picture in both directions."""
SAME_KNEE = 0.8
"""The overlapping detail of two films of one knee has a correlation of at least 0.8. Films of different patients of the
Osteoarthritis Initiative reach 0.76 at most."""
SAME_KNEE_INSIDE = 0.75
"""The detail away from plain areas has a correlation of at least 0.75, so that a frame that many films share does not
count."""


class Pair(NamedTuple):
    """A pair holds the rows of two films that show one knee, first < second, and whether one of them is mirrored."""

    first: int
    second: int
    mirrored: bool


def pixel_hash(pixels: np.ndarray) -> str:
    """Return the sha256 of shape and values, which does not depend on the file's format."""
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels, "<f4").tobytes()).hexdigest()


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Return [THUMBNAIL,THUMBNAIL] float32 of mean 0 and length 1: fine detail, without exposure."""
    small = np.asarray(Image.fromarray(pixels).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    # Bright bone on a dark ground is common to all knees; what remains after the blur is subtracted tells them apart.
    coarse = Image.fromarray(small).resize((6, 6), Image.Resampling.BOX).resize(small.shape, Image.Resampling.BICUBIC)
    detail = small - np.asarray(coarse)
    detail = detail - detail.mean()
    return (detail / max(float(np.linalg.norm(detail)), 1e-6)).astype(np.float32)


def near_pairs(thumbnails: np.ndarray, threshold: float = NEAR) -> list[Pair]:
    """Return the pairs of thumbnails [N,T,T] whose correlation reaches the threshold, as they are or mirrored."""
    count = len(thumbnails)
    flat = thumbnails.reshape(count, -1)
    mirrored = thumbnails[:, :, ::-1].reshape(count, -1)
    pairs = []
    for start in range(0, count, BLOCK):
        block = flat[start : start + BLOCK]
        for other, is_mirrored in ((flat, False), (mirrored, True)):
            rows, columns = np.nonzero(block @ other[start:].T >= threshold)
            pairs += [
                Pair(start + int(i), start + int(j), is_mirrored) for i, j in zip(rows, columns, strict=True) if i < j
            ]
    return pairs


def detail(pixels: np.ndarray) -> np.ndarray:
    """Return [2,DETAIL,DETAIL] float32: trabeculae and edges, whole and away from plain areas.

    Each has mean 0 and length 1, without the blurred film that all knees have in common. The second leaves out what
    lies beside a plain area, since edges of frames, beams and markers are alike in many films; it is all 0 where
    nothing remains.
    """
    small = np.asarray(Image.fromarray(pixels).resize((DETAIL, DETAIL), Image.Resampling.BOX), np.float32)
    low, high = np.percentile(small, (1, 99))
    clipped = small.clip(low, high)
    plain = maximum_filter(clipped, 3) - minimum_filter(clipped, 3) <= PLAIN * (high - low)
    inside = ~np.asarray(maximum_filter(plain, 2 * round(2 * BLUR) + 1), bool)
    return np.stack([_fine(small, np.ones_like(inside)), _fine(clipped, inside)])


def shifted_pairs(details: np.ndarray) -> list[Pair]:
    """Return the pairs of films that show one knee, if shifted by up to LARGEST_SHIFT.

    A shift keeps the amplitudes of a picture's spectrum, so candidates are found by these first, and laid over one
    another then.

    Args:
        details: [N,2,DETAIL,DETAIL], see `detail`.
    """
    if not len(candidates := _similar_spectra(details[:, 0])):
        return []
    spectra = np.fft.rfft2(details[:, 0], (DETAIL + LARGEST_SHIFT, DETAIL + LARGEST_SHIFT)).astype(np.complex64)
    blocks = np.array_split(candidates, -(-len(candidates) // BLOCK))
    pairs = []
    for block in steps.progress(blocks, "audit: copies"):
        for (first, second, mirrored), shift in zip(block.tolist(), _best_shifts(details, spectra, block), strict=True):
            pair = Pair(first, second, bool(mirrored))
            if _one_knee(details, pair, shift):
                pairs.append(pair)
    return pairs


def _fine(small: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return the fine detail of a picture where `shown` is true, of mean 0 and length 1."""
    fine = np.where(shown, small - gaussian_filter(small, BLUR), 0)
    fine = np.where(shown, fine - fine.sum() / max(1, shown.sum()), 0)
    return (fine / max(float(np.linalg.norm(fine)), 1e-6)).astype(np.float32)


def _best_shifts(details: np.ndarray, spectra: np.ndarray, pairs: np.ndarray) -> list[tuple[int, int]]:
    """For each pair [M,3], the pixels down and right by which the second film correlates best with the first."""
    first, second, mirrored = pairs[:, 0], pairs[:, 1], pairs[:, 2].astype(bool)
    side = spectra.shape[1]
    whole = details[second, 0]
    other = np.where(mirrored[:, None, None], whole[:, :, ::-1], whole)
    correlations = np.fft.irfft2(spectra[first] * np.fft.rfft2(other, (side, side)).conj(), (side, side))
    shifts = np.r_[0 : LARGEST_SHIFT + 1, -LARGEST_SHIFT:0]
    best = correlations[:, shifts][:, :, shifts].reshape(len(pairs), -1).argmax(1)
    return list(zip(shifts[best // len(shifts)].tolist(), shifts[best % len(shifts)].tolist(), strict=True))


def _one_knee(details: np.ndarray, pair: Pair, shift: tuple[int, int]) -> bool:
    """Return whether the detail of two films agrees under a shift, whole and away from plain areas."""
    other = details[pair.second][:, :, ::-1] if pair.mirrored else details[pair.second]
    whole, inside = zip(details[pair.first], other, strict=True)
    return _correlation(*whole, *shift) >= SAME_KNEE and _correlation(*inside, *shift) >= SAME_KNEE_INSIDE


def _similar_spectra(details: np.ndarray) -> np.ndarray:
    """Return [M,3] int: pairs (i, j, mirrored), i < j: each film's CANDIDATES by the amplitudes of its spectrum."""
    if len(details) < 2:
        return np.empty((0, 3), int)
    window = np.hanning(DETAIL + 2)[1:-1]
    spread = details / np.maximum(details.std((1, 2), keepdims=True), 1e-6)
    amplitudes = np.log1p(np.abs(np.fft.rfft2(spread.clip(-3, 3) * np.outer(window, window)))).astype(np.float32)
    mirrored = np.concatenate([amplitudes[:, :1], amplitudes[:, :0:-1]], 1)
    typical = (amplitudes + mirrored).mean(0) / 2
    flat, flat_mirrored = (_unit((one - typical).reshape(len(details), -1)) for one in (amplitudes, mirrored))
    found = set()
    for start in range(0, len(details), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(details)))
        for is_mirrored, other in enumerate((flat, flat_mirrored)):
            likeness = flat[rows] @ other.T
            likeness[np.arange(len(rows)), rows] = -np.inf
            nearest = np.argpartition(-likeness, min(CANDIDATES, len(details) - 1), axis=1)[:, :CANDIDATES]
            found |= {
                (min(i, j), max(i, j), is_mirrored)
                for i, row in zip(rows.tolist(), nearest.tolist(), strict=True)
                for j in row
                if i != j
            }
    return np.array(sorted(found), int).reshape(-1, 3)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Return rows [N,D] of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _correlation(film: np.ndarray, other: np.ndarray, down: int, right: int) -> float:
    """Correlation of two pictures of one size where they overlap, the other one moved by a number of pixels."""
    height, width = film.shape
    mine = film[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    its = other[max(-down, 0) : height + min(-down, 0), max(-right, 0) : width + min(-right, 0)]
    mine, its = mine - mine.mean(), its - its.mean()
    return float((mine * its).sum() / max(float(np.linalg.norm(mine) * np.linalg.norm(its)), 1e-9))
