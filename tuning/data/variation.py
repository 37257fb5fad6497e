"""Random changes of one film leave its grade: exposure, quality, framing, and things laid on the film.

Locators, gates and graders learn from films that are changed here, as consoles, archives and screenshots change them.
`evaluation.film_changes` is a fixed list with kinds and sizes of its own, so that it tests what is learnt here.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from kneeoa_hub.imaging.frame import Place

LEAST_SIDE = 96
"""A cut leaves at least 96 pixels of each side."""
LETTERS = "LRABCDEHKNOPSTUWXY0123456789 "


@dataclass(frozen=True)
class VariedFilm:
    """A changed film has the place of its joint with it.

    Attributes:
        pixels: [H,W] uint8.
        place: Its joint, in pixels of the changed film.
    """

    pixels: np.ndarray
    place: Place


def vary(pixels: np.ndarray, place: Place, rng: np.random.Generator) -> VariedFilm:
    """Change a film at random.

    Args:
        pixels: [H,W] uint8, bright bone.
        place: Its joint.
        rng: Random generator of the draws; the same state gives the same film.

    Returns:
        The changed film; its size may differ.
    """
    film = _degraded(_exposed(pixels, rng), rng)
    varied = _turned(VariedFilm(film, place), rng)
    varied = _collimated(varied, rng)
    varied = _marked(_cut(varied, rng), rng)
    varied = _bordered(varied, rng)
    return _compressed(_resized(varied, rng), rng)


def gray_bytes(pixels: np.ndarray) -> np.ndarray:
    """Return a film [H,W] as uint8: films of eight bits as they are, deeper ones stretched between percentiles."""
    if pixels.min() >= 0 and 32 < pixels.max() <= 255:
        return np.rint(pixels).astype(np.uint8)
    low, high = np.percentile(pixels, (0.1, 99.9))
    return np.rint(255 * np.clip((pixels - low) / max(float(high - low), 1e-6), 0, 1)).astype(np.uint8)


def _happens(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _exposed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gamma, window, contrast, local contrast and sharpening, as consoles apply them."""
    grays = np.arange(256) / 255
    if _happens(rng, 0.6):
        grays = grays ** float(np.exp(rng.uniform(-0.8, 0.8)))
    if _happens(rng, 0.25):
        low, high = np.percentile(pixels, (rng.uniform(0, 22), rng.uniform(88, 100))) / 255
        curve = np.clip((np.arange(256) / 255 - low) / max(high - low, 0.02), 0, 1)
        grays = np.interp(curve, np.arange(256) / 255, grays)
    if _happens(rng, 0.15):
        grays = rng.uniform(0.35, 0.65) + (grays - 0.5) * rng.uniform(0.3, 0.8)
    film = np.rint(255 * np.clip(grays, 0, 1)).astype(np.uint8)[pixels]
    if _happens(rng, 0.08):
        from skimage.exposure import equalize_adapthist

        tiles = max(8, film.shape[0] // int(rng.integers(4, 12)))
        film = np.rint(255 * equalize_adapthist(film, tiles, clip_limit=rng.uniform(0.004, 0.045))).astype(np.uint8)
    if _happens(rng, 0.12):
        mask = ImageFilter.UnsharpMask(rng.uniform(1, 6), int(rng.uniform(40, 260)), 0)
        film = np.asarray(Image.fromarray(film).filter(mask))
    return film


def _degraded(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, lost resolution and noise."""
    if _happens(rng, 0.22):
        film = np.asarray(Image.fromarray(film).filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 2.6))))
    if _happens(rng, 0.12):
        image, factor = Image.fromarray(film), rng.uniform(0.35, 0.8)
        small = image.resize([max(32, round(side * factor)) for side in image.size], Image.Resampling.BICUBIC)
        film = np.asarray(small.resize(image.size, Image.Resampling.BICUBIC))
    if _happens(rng, 0.15):
        photons = float(np.exp(rng.uniform(np.log(80), np.log(3000))))
        film = np.clip(np.rint(rng.poisson(film / 255 * photons) * 255 / photons), 0, 255).astype(np.uint8)
    elif _happens(rng, 0.25):
        noise = float(np.exp(rng.uniform(np.log(1.5), np.log(22)))) * rng.standard_normal(film.shape, np.float32)
        film = np.clip(np.rint(film + noise), 0, 255).astype(np.uint8)
    return film


def _turned(film: VariedFilm, rng: np.random.Generator) -> VariedFilm:
    """Return the film turned about its joint; the corners that come in are dark or as bright as the film's edge."""
    if not _happens(rng, 0.35):
        return film
    image, place = Image.fromarray(film.pixels), film.place
    fill = 0 if _happens(rng, 0.7) else int(np.median(film.pixels[0]))
    turn = float(np.clip(rng.normal(0, 6), -14, 14))
    turned = image.rotate(turn, Image.Resampling.BILINEAR, center=(place.x, place.y), fillcolor=fill)
    return VariedFilm(np.asarray(turned), place)


def _collimated(film: VariedFilm, rng: np.random.Generator) -> VariedFilm:
    """Collimate the film to a slanted field about the joint: it is dark beyond one to four edges."""
    if not _happens(rng, 0.18):
        return film
    height, width = film.pixels.shape
    down, across = np.mgrid[:height, :width].astype(np.float32)
    x, y = across - film.place.x, down - film.place.y
    angle = np.radians(rng.uniform(-14, 14))
    x, y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    reach = np.where(rng.random(4) < 0.6, rng.uniform(0.3, 0.52, 4), 9.0) * film.place.side
    field = (x > -reach[0]) & (x < reach[1]) & (y > -reach[2]) & (y < reach[3])
    dark = int(rng.integers(0, 24)) if _happens(rng, 0.3) else 0
    return VariedFilm(np.where(field, film.pixels, np.uint8(dark)), film.place)


def _cut(film: VariedFilm, rng: np.random.Generator) -> VariedFilm:
    """Return the film cut closer: alike on all sides, some sides by themselves, or to a strip about the joint line."""
    x, y, side = film.place.x, film.place.y, film.place.side
    height, width = film.pixels.shape
    reach = np.full(4, np.inf)
    kind = rng.random()
    if kind < 0.22:
        reach[:] = rng.uniform(0.29, 0.5)
    elif kind < 0.5:
        reach = np.where(rng.random(4) < 0.5, rng.uniform(0.28, 0.5, 4), np.inf)
    if _happens(rng, 0.16):
        reach[[1, 3]] = rng.uniform(0.19, 0.4, 2)
    left, top = max(0, _whole(x - reach[0] * side, 0)), max(0, _whole(y - reach[1] * side, 0))
    right, bottom = (
        min(width, _whole(x + reach[2] * side, width)),
        min(height, _whole(y + reach[3] * side, height)),
    )
    if min(right - left, bottom - top) < LEAST_SIDE:
        return film
    return VariedFilm(film.pixels[top:bottom, left:right], Place(x - left, y - top, side))


def _whole(value: float, otherwise: int) -> int:
    return round(value) if np.isfinite(value) else otherwise


def _marked(film: VariedFilm, rng: np.random.Generator) -> VariedFilm:
    """Letters, rulers and metal that do not lie on the joint's middle."""
    if not _happens(rng, 0.3):
        return film
    image = Image.fromarray(film.pixels.copy())
    draw, (width, height) = ImageDraw.Draw(image), image.size
    for _ in range(int(rng.integers(1, 4))):
        gray = int(rng.integers(170, 256)) if _happens(rng, 0.85) else int(rng.integers(0, 60))
        x, y = rng.uniform(0, 0.95) * width, rng.uniform(0, 0.95) * height
        if abs(y - film.place.y) < 0.2 * film.place.side and abs(x - film.place.x) < 0.42 * film.place.side:
            continue
        kind = int(rng.integers(3))
        if kind == 0:
            text = "".join(rng.choice(list(LETTERS), int(rng.integers(1, 10))))
            draw.text((x, y), text, fill=gray, font_size=int(rng.uniform(0.05, 0.17) * height) + 4)
        elif kind == 1:
            length, tilt = rng.uniform(0.08, 0.4) * width, rng.uniform(-0.5, 0.5)
            ends = (x, y, x + length * np.cos(tilt), y + length * np.sin(tilt))
            draw.line(ends, fill=gray, width=max(1, round(rng.uniform(0.005, 0.03) * width)))
        else:
            size = rng.uniform(0.01, 0.06) * width
            draw.ellipse((x, y, x + size, y + size * rng.uniform(0.6, 1.6)), fill=gray)
    return VariedFilm(np.asarray(image), film.place)


def _bordered(film: VariedFilm, rng: np.random.Generator) -> VariedFilm:
    """Add a border on some sides: the film mirrored, or one gray value."""
    if not _happens(rng, 0.22):
        return film
    most = min(film.pixels.shape) - 1
    widths = [round(min(one * film.pixels.shape[1], most)) for one in rng.uniform(0.02, 0.25, 4)]
    left, top, right, bottom = (one if _happens(rng, 0.75) else 0 for one in widths)
    sides = ((top, bottom), (left, right))
    if _happens(rng, 0.6):
        pixels = np.pad(film.pixels, sides, mode="reflect")
    else:
        gray = int(rng.choice([0, 0, 255, int(rng.integers(256))]))
        pixels = np.pad(film.pixels, sides, constant_values=gray)
    return VariedFilm(pixels, Place(film.place.x + left, film.place.y + top, film.place.side))


def _resized(film: VariedFilm, rng: np.random.Generator) -> VariedFilm:
    if not _happens(rng, 0.2):
        return film
    factor, image = float(np.exp(rng.uniform(np.log(0.6), np.log(1.5)))), Image.fromarray(film.pixels)
    size = [max(LEAST_SIDE, round(side * factor)) for side in image.size]
    across, down = size[0] / image.width, size[1] / image.height
    place = Place(film.place.x * across, film.place.y * down, film.place.side * (across + down) / 2)
    return VariedFilm(np.asarray(image.resize(size, Image.Resampling.BICUBIC)), place)


def _compressed(film: VariedFilm, rng: np.random.Generator) -> VariedFilm:
    if not _happens(rng, 0.35):
        return film
    stream, codec = io.BytesIO(), "WEBP" if _happens(rng, 0.2) else "JPEG"
    quality = int(np.exp(rng.uniform(np.log(12), np.log(80))))
    Image.fromarray(film.pixels).save(stream, codec, quality=quality)
    return VariedFilm(np.asarray(Image.open(stream).convert("L")), film.place)
