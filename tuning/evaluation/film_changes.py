"""These changes leave a reader able to grade a film: framing, exposure, quality, and things laid on the film.

The list is data. A training has its own, random changes (`tuning.data.changes`), so that this list tests it.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Pixels = np.ndarray
"""A film is [H,W] uint8 with bright bone."""
Changed = Pixels | bytes
"""A changed film is pixels, or a file whose format took part of them. A grader sees in a file what it lost."""


@dataclass(frozen=True)
class Change:
    """A change has a name and a kind: "framing", "exposure", "quality", "addition" or "several"."""

    name: str
    kind: str
    apply: Callable[[Pixels, np.random.Generator], Changed]


def pixels_of(changed: Changed) -> Pixels:
    """Return the pixels of a changed film."""
    return np.asarray(Image.open(io.BytesIO(changed)).convert("L")) if isinstance(changed, bytes) else changed


def _bordered(
    pixels: Pixels, rng: np.random.Generator, width: float, gray: int | None, left_only: bool = False
) -> Pixels:
    """Add a border of a proportion of the film's width; its gray, or the film mirrored when that is None."""
    size = round(width * pixels.shape[1])
    sides = ((0, 0), (size, 0)) if left_only else ((size, size), (size, size))
    if gray is None:
        return np.pad(pixels, sides, mode="reflect")
    return np.pad(pixels, sides, constant_values=gray)


def _noisy_border(pixels: Pixels, rng: np.random.Generator, width: float, gray: int) -> Pixels:
    """Add a border of this gray with the noise of a scanner."""
    framed = _bordered(pixels, rng, width, gray)
    return np.where(_bordered(np.ones_like(pixels), rng, width, 0), framed, _noisy(framed, rng, 5))


def _on_page(pixels: Pixels, rng: np.random.Generator, width: float) -> Pixels:
    """Lay the film on a white page of this many of its widths, with words above and below it."""
    side = round(width * pixels.shape[1])
    page = Image.new("L", (side, side * 4 // 3), 255)
    page.paste(Image.fromarray(pixels), ((side - pixels.shape[1]) // 2, side // 4))
    for row in (0.04, 0.1, 0.88, 0.94):
        text = "Radiograph of the knee, standing, from in front"
        ImageDraw.Draw(page).text((0.1 * side, row * page.height), text, fill=0, font_size=side // 30)
    return np.asarray(page)


def _cut(pixels: Pixels, rng: np.random.Generator, keep: float) -> Pixels:
    """Keep the middle: a proportion of each side."""
    height, width = pixels.shape
    down, across = round((1 - keep) / 2 * height), round((1 - keep) / 2 * width)
    return pixels[down : height - down, across : width - across]


def _strip(pixels: Pixels, rng: np.random.Generator, height: float = 0.54) -> Pixels:
    """Keep a strip about the joint line."""
    rows = round(height * pixels.shape[0])
    top = (pixels.shape[0] - rows) // 2
    return pixels[top : top + rows]


def _shifted(pixels: Pixels, rng: np.random.Generator, size: float) -> Pixels:
    """Cut the film off at two sides that meet, so that the joint is no longer in the middle."""
    down, across = (round(size * side) for side in pixels.shape)
    rows, columns = rng.choice([-1, 1], 2)
    pixels = pixels[down:] if rows > 0 else pixels[:-down]
    return pixels[:, across:] if columns > 0 else pixels[:, :-across]


def _turned(pixels: Pixels, rng: np.random.Generator, degrees: float) -> Pixels:
    """Turn the film either way; corners that come in are black."""
    turn = float(degrees * rng.choice([-1, 1]))
    return np.asarray(Image.fromarray(pixels).rotate(turn, Image.Resampling.BICUBIC))


def _collimated(pixels: Pixels, rng: np.random.Generator, degrees: float = 8, reach: float = 0.42) -> Pixels:
    """Leave a slanted rectangle of the film; the rest is black, as a collimator leaves it."""
    height, width = pixels.shape
    down, across = np.mgrid[:height, :width]
    angle = np.radians(degrees * rng.choice([-1, 1]))
    x, y = (across - width / 2) / width, (down - height / 2) / height
    x, y = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return np.where((abs(x) < reach) & (abs(y) < reach), pixels, 0).astype(np.uint8)


def _gamma(pixels: Pixels, rng: np.random.Generator, exponent: float) -> Pixels:
    """Darken (over 1) or brighten the middle grays."""
    return np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)[pixels]


def _windowed(pixels: Pixels, rng: np.random.Generator, low: float, high: float) -> Pixels:
    """Stretch the grays between two percentiles; what lies beyond is lost."""
    first, last = np.percentile(pixels, (low, high))
    return np.rint(255 * np.clip((pixels - first) / max(last - first, 1.0), 0, 1)).astype(np.uint8)


def _flattened(pixels: Pixels, rng: np.random.Generator, spread: float) -> Pixels:
    """Press the grays together about the middle one: a film of poor contrast."""
    return np.rint(128 + (pixels.astype(float) - 128) * spread).astype(np.uint8)


def _inverted(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the negative of the film."""
    return 255 - pixels


def _locally_equalised(pixels: Pixels, rng: np.random.Generator, clip: float) -> Pixels:
    """Apply contrast-limited adaptive histogram equalisation (Zuiderveld, "Graphics Gems IV", 1994)."""
    from skimage.exposure import equalize_adapthist

    return np.rint(255 * equalize_adapthist(pixels, clip_limit=clip)).astype(np.uint8)


def _sharpened(pixels: Pixels, rng: np.random.Generator, percent: int) -> Pixels:
    """Unsharp masking, as the consoles of many machines apply it."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.UnsharpMask(3, percent, 0)))


def compressed(pixels: Pixels, rng: np.random.Generator, quality: int, codec: str = "JPEG") -> bytes:
    """Return the film as a file with loss.

    Args:
        pixels: The film.
        rng: Unused; every change has one.
        quality: The quality setting of Pillow's encoder, 1 to 100.
        codec: Pillow's name of a format with loss, such as "JPEG" or "WEBP".
    """
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, codec, quality=quality)
    return stream.getvalue()


def _noisy(pixels: Pixels, rng: np.random.Generator, deviation: float) -> Pixels:
    """Add Gaussian noise of this deviation in grays of 255."""
    return np.clip(np.rint(pixels + rng.normal(0, deviation, pixels.shape)), 0, 255).astype(np.uint8)


def _speckled(pixels: Pixels, rng: np.random.Generator, photons: float) -> Pixels:
    """Quantum noise: white stands for this many photons a pixel."""
    return np.clip(np.rint(rng.poisson(pixels / 255 * photons) * 255 / photons), 0, 255).astype(np.uint8)


def _blurred(pixels: Pixels, rng: np.random.Generator, deviation: float) -> Pixels:
    """Blur by a Gaussian of this deviation in pixels."""
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(deviation)))


def _resized(pixels: Pixels, rng: np.random.Generator, factor: float, back: bool = False) -> Pixels:
    """Enlarge or shrink the film; `back` brings it to its size again, without the detail that was lost."""
    image = Image.fromarray(pixels)
    width, height = (max(1, round(side * factor)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(image.resize(pixels.shape[::-1], Image.Resampling.BICUBIC) if back else image)


def _lettered(pixels: Pixels, rng: np.random.Generator, text: str, corner: bool = True) -> Pixels:
    """Lay white letters on the film, as markers and annotations are."""
    image = Image.fromarray(pixels.copy())
    draw, size = ImageDraw.Draw(image), max(10, pixels.shape[0] // 9)
    place = (round(0.03 * image.width), round(0.03 * image.height))
    if not corner:
        place = (round(rng.uniform(0.05, 0.7) * image.width), round(rng.choice([0.04, 0.86]) * image.height))
    draw.text(place, text, fill=255, font_size=size)
    return np.asarray(image)


def _ruled(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Lay a radiographic ruler along one side."""
    image = Image.fromarray(pixels.copy())
    draw, height = ImageDraw.Draw(image), image.height
    x = round(image.width * rng.choice([0.06, 0.9]))
    draw.line([(x, 0), (x, height)], fill=230, width=2)
    for number, y in enumerate(np.arange(0, height, height / 30)):
        draw.line([(x, y), (x + (10 if number % 5 == 0 else 5), y)], fill=230)
    return np.asarray(image)


def _screwed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Lay a bright screw on the tibia, as an old repair leaves it."""
    image = Image.fromarray(pixels.copy())
    draw, (width, height) = ImageDraw.Draw(image), image.size
    x, y = width * rng.uniform(0.35, 0.6), height * rng.uniform(0.72, 0.85)
    tilt = rng.uniform(-0.06, 0.06) * height
    draw.line([(x, y), (x + 0.22 * width, y + tilt)], fill=255, width=max(3, round(0.018 * width)))
    draw.ellipse([x - 0.02 * width, y - 0.025 * height, x + 0.02 * width, y + 0.025 * height], fill=255)
    return np.asarray(image)


def _several(pixels: Pixels, rng: np.random.Generator, count: int = 3) -> Changed:
    """Apply some of the single changes in a random order, one of a kind at most.

    A change of exposure comes first: the window of a film that lies on a white page would leave nothing of the film.
    """
    single = [change for change in CHANGES if change.kind != "several"]
    kinds = rng.permutation(sorted({change.kind for change in single}))[:count]
    changed: Changed = pixels
    for kind in sorted(kinds, key=lambda kind: kind != "exposure"):
        of_kind = [change for change in single if change.kind == kind]
        changed = of_kind[int(rng.integers(len(of_kind)))].apply(pixels_of(changed), rng)
    return changed


def _change(name: str, kind: str, function: Callable[..., Changed], **settings: object) -> Change:
    return Change(name, kind, partial(function, **settings) if settings else function)


BLACK, GRAY, WHITE = 0, 128, 255
CHANGES: tuple[Change, ...] = (
    _change("black border 5%", "framing", _bordered, width=0.05, gray=BLACK),
    _change("black border 10%", "framing", _bordered, width=0.1, gray=BLACK),
    _change("black border 25%", "framing", _bordered, width=0.25, gray=BLACK),
    _change("black border 20%, left", "framing", _bordered, width=0.2, gray=BLACK, left_only=True),
    _change("white border 4%", "framing", _bordered, width=0.04, gray=WHITE),
    _change("white border 10%", "framing", _bordered, width=0.1, gray=WHITE),
    _change("gray border 10%", "framing", _bordered, width=0.1, gray=GRAY),
    _change("mirrored border 8%", "framing", _bordered, width=0.08, gray=None),
    _change("mirrored border 15%", "framing", _bordered, width=0.15, gray=None),
    _change("noisy black border 10%", "framing", _noisy_border, width=0.1, gray=8),
    _change("page", "framing", _on_page, width=2.2),
    _change("cut to .9", "framing", _cut, keep=0.9),
    _change("cut to .8", "framing", _cut, keep=0.8),
    _change("cut to .7", "framing", _cut, keep=0.7),
    _change("strip", "framing", _strip),
    _change("cut off by 8%", "framing", _shifted, size=0.08),
    _change("cut off by 14%", "framing", _shifted, size=0.14),
    _change("turned by 7 degrees", "framing", _turned, degrees=7),
    _change("turned by 12 degrees", "framing", _turned, degrees=12),
    _change("collimated", "framing", _collimated),
    _change("collimated, narrow", "framing", _collimated, degrees=5, reach=0.36),
    _change("gamma .5", "exposure", _gamma, exponent=0.5),
    _change("gamma 2", "exposure", _gamma, exponent=2.0),
    _change("window 5 to 95", "exposure", _windowed, low=5, high=95),
    _change("window 20 to 99", "exposure", _windowed, low=20, high=99),
    _change("contrast .3", "exposure", _flattened, spread=0.3),
    _change("inverted", "exposure", _inverted),
    _change("CLAHE .01", "exposure", _locally_equalised, clip=0.01),
    _change("CLAHE .03", "exposure", _locally_equalised, clip=0.03),
    _change("sharpened", "exposure", _sharpened, percent=150),
    _change("JPEG 50", "quality", compressed, quality=50),
    _change("JPEG 30", "quality", compressed, quality=30),
    _change("JPEG 15", "quality", compressed, quality=15),
    _change("WebP 20", "quality", compressed, quality=20, codec="WEBP"),
    _change("noise 5", "quality", _noisy, deviation=5),
    _change("noise 10", "quality", _noisy, deviation=10),
    _change("noise 15", "quality", _noisy, deviation=15),
    _change("quantum noise", "quality", _speckled, photons=300.0),
    _change("blur 1", "quality", _blurred, deviation=1.0),
    _change("blur 2", "quality", _blurred, deviation=2.0),
    _change("half resolution", "quality", _resized, factor=0.5, back=True),
    _change("enlarged twice", "quality", _resized, factor=2.0),
    _change("shrunk to .7", "quality", _resized, factor=0.7),
    _change("letter", "addition", _lettered, text="R"),
    _change("annotation", "addition", _lettered, text="LEFT KNEE AP", corner=False),
    _change("ruler", "addition", _ruled),
    _change("screw", "addition", _screwed),
    Change("three at random", "several", _several),
)
