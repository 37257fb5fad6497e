"""The marker reader is trained and measured on films with burnt-in markers, and with what may be taken for one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.imaging.letterbox import letterbox
from kneeoa_hub.imaging.markers import INPUT, LETTERS, SIDE, STRIDE, WINDOW, window

from ..run import steps
from .compose import Knee, Style, compose

FONTS = {
    "train": (
        *("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
        *("STIXGeneral.ttf", "cmss10.ttf", "cmtt10.ttf", "DejaVuSans-Oblique.ttf", ""),
    ),
    "val": ("DejaVuSansMono-Bold.ttf", "STIXGeneralBol.ttf", "cmb10.ttf", "cmr10.ttf"),
}
"""These are fonts of matplotlib, and Pillow's own (""), by the split."""
STYLES = {
    "train": Style("tubes", "odd", (120, 224), 1000),
    "val": Style("texture", "odd", (120, 224), 1000),
}
"""Markers are laid on films of these styles. Their other letters are no R or L alone."""
WHOLE = InputConfig(SIDE, SIDE, INPUT.low, INPUT.high)
"""These films have this size and these grays."""
OTHERS = "ABCDEFGHJKPSTUVXZ0123456789"
WORDS = ("AP", "PA", "WB", "RIGHT", "LEFT", "STANDING", "LT", "RT", "12.03", "60 kV", "KNEE", "PT ID 7", "BILAT")
KINDS = ("marker", "other", "mirrored", "turned", "word", "shape")
CHANCES = (0.6, 0.13, 0.09, 0.06, 0.06, 0.06)
SINGLE = KINDS[:4]
"""These kinds are one letter, in any pose. The places network finds all; the letters network tells R and L apart."""
LOWEST, HIGHEST = 8.0, 34.0
"""A letter has a height between these, in pixels of a film of SIDE."""
FINE = 3
"""A marker is drawn three times as large, and then shrunk."""
REDUCED = SIDE // INPUT.width
"""The places network sees the films reduced by this factor."""
CENTRED, AWAY = 12.0, 24.0
"""A window shows a letter whose middle is within the first distance of its own, and none where all are beyond the
second one. Between them the letters network learns nothing."""


@dataclass(frozen=True)
class Laid:
    """A thing of this kind lies on a film.

    Attributes:
        kind: One of KINDS.
        letter: "R" or "L" of a marker, otherwise "".
        x: Column of its middle in pixels.
        y: Row of its middle.
        height: Height of its letters in pixels.
    """

    kind: str
    letter: str
    x: float
    y: float
    height: float


@dataclass(frozen=True)
class MarkedFilm:
    """A marked film is a part of a film with markers, and with what may be taken for one.

    Attributes:
        pixels: [H,W] float16, 0..1.
        laid: What lies on it.
    """

    pixels: np.ndarray
    laid: tuple[Laid, ...]

    @property
    def letters(self) -> tuple[Laid, ...]:
        """The markers."""
        return tuple(one for one in self.laid if one.letter)


def backgrounds(knees: Sequence[Knee], split: str, films: int, seed: int) -> list[np.ndarray]:
    """Return films without markers whose longer side has SIDE pixels, uint8 [h,w].

    They are composed films, and half as many films that one joint or two fill, with bones as large as they get.

    Args:
        knees: From which films are composed.
        split: "train" or "val".
        films: The number of the composed ones.
        seed: Of the draws.
    """
    made = [compose(knees, STYLES[split], seed + n).pixels for n in steps.progress(range(films), "markers: composing")]
    for number in range(films // 2):
        beside = [knees[(seed + number + one) % len(knees)].crop for one in range(1 + number % 2)]
        made.append(np.hstack([one[: min(map(len, beside))] for one in beside]))
    fitted = [letterbox(pixels, (0, 0, pixels.shape[1], pixels.shape[0]), WHOLE) for pixels in made]
    return [one.pixels[one.content[1] : one.content[3], one.content[0] : one.content[2]].copy() for one in fitted]


def marked(film: np.ndarray, split: str, side: int, rng: np.random.Generator) -> MarkedFilm:
    """Return a square part of a film with some markers, and with other things that may be taken for one.

    Args:
        film: One of `backgrounds`.
        split: "train" or "val".
        side: Pixels of the part.
        rng: Draws place, markers and exposure.
    """
    part = _part(film, side, rng)
    laid: list[Laid] = []
    taken: list[tuple[float, float, float]] = []
    for _ in range(int(rng.integers(0, 4))):
        kind = str(rng.choice(KINDS, p=CHANCES))
        drawn, opacity, letter, height = _drawn(kind, split, rng)
        rows, columns = drawn.shape
        if rows >= side or columns >= side:
            continue
        top, left = int(rng.integers(0, side - rows)), int(rng.integers(0, side - columns))
        x, y, reach = left + columns / 2, top + rows / 2, max(rows, columns) / 2
        if any(max(abs(x - a), abs(y - b)) < reach + far for a, b, far in taken):
            continue
        taken.append((x, y, reach))
        place = part[top : top + rows, left : left + columns]
        place[:] = place * (1 - opacity) + opacity * drawn
        laid.append(Laid(kind, letter, x, y, height))
    part = np.clip(part, 0, 1) ** rng.uniform(0.7, 1.4)
    part += rng.uniform(0, 0.03) * rng.standard_normal(part.shape, np.float32)
    return MarkedFilm(part.astype(np.float16), tuple(laid))


def places_input(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a part as the places network sees it, with a mean and a deviation as they are in other parts of a film."""
    if rng.random() < 0.5:  # a large film is reduced by leaving out rows and columns
        small = pixels[::REDUCED, ::REDUCED].astype(np.float32)
    else:
        cells = pixels.reshape(pixels.shape[0] // REDUCED, REDUCED, pixels.shape[1] // REDUCED, REDUCED)
        small = cells.mean((1, 3), dtype=np.float32)
    deviation = max(float(small.std()), rng.uniform(0.12, 0.25))
    return ((small - small.mean()) / deviation * rng.uniform(0.75, 1.25) + rng.normal(0, 0.4))[..., None]


def places_targets(films: Sequence[MarkedFilm], side: int) -> np.ndarray:
    """Return [N,side/8,side/8,1] float32: 1 at the middle of a letter, -1 around it, where nothing is asked, and 0."""
    pitch = REDUCED * STRIDE
    cells = side // pitch
    wanted = np.zeros((len(films), cells, cells, 1), np.float32)
    rows, columns = np.mgrid[:cells, :cells]
    for number, film in enumerate(films):
        for one in film.laid:
            away = np.hypot(rows + 0.5 - one.y / pitch, columns + 0.5 - one.x / pitch)
            wanted[number, away < max(1.9, 0.8 * one.height / pitch)] = -1
            if one.kind in SINGLE:
                wanted[number, away < max(0.8, 0.22 * one.height / pitch)] = 1
    return wanted


def seen_letter(film: MarkedFilm, x: float, y: float) -> int | None:
    """Return the class of a window about a place: 0 without a letter, 1 R, 2 L; None where nothing is asked.

    Args:
        film: The part of a film.
        x: The column of the place.
        y: The row of the place.
    """
    near = [(float(np.hypot(one.x - x, one.y - y)), one.letter) for one in film.letters]
    distance, letter = min(near, default=(AWAY, ""))
    if distance <= CENTRED:
        return 1 + LETTERS.index(letter)
    return 0 if distance >= AWAY else None


def letters_input(film: MarkedFilm, x: float, y: float, rng: np.random.Generator) -> np.ndarray:
    """Return the window about a place, larger or smaller, and with more or less noise.

    Args:
        film: The part of a film.
        x: The column of the place.
        y: The row of the place.
        rng: The generator that draws size and noise.
    """
    seen = window(film.pixels, x, y, WINDOW / 2 * rng.uniform(0.85, 1.15))
    noisy = seen + rng.uniform(0, 0.15) * rng.standard_normal(seen.shape, np.float32)
    return (noisy - noisy.mean()) / max(float(noisy.std()), 1e-6)


def _part(film: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a random part [side,side] float32 of a film, mirrored or not, with padding where the film is smaller."""
    part = np.full((side, side), film.mean() / 255, np.float32)
    rows, columns = (min(side, length) for length in film.shape)
    top, left = (
        int(rng.integers(0, length - size + 1)) for length, size in zip(film.shape, (rows, columns), strict=True)
    )
    cut = film[top : top + rows, left : left + columns].astype(np.float32) / 255
    y, x = (int(rng.integers(0, side - size + 1)) for size in (rows, columns))
    part[y : y + rows, x : x + columns] = cut[:, ::-1] if rng.random() < 0.5 else cut
    return part


def _drawn(kind: str, split: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, str, float]:
    """Return grays and opacity [h,w] of something, its letter or "", and the letter's height in pixels."""
    height = float(np.exp(rng.uniform(np.log(LOWEST), np.log(HIGHEST))))
    letter = str(rng.choice(LETTERS))
    text = {"other": str(rng.choice(list(OTHERS))), "word": str(rng.choice(WORDS))}.get(kind, letter)
    mask = _shape(height, rng) if kind == "shape" else _text(text, height, split, rng)
    if kind == "mirrored":
        mask = mask.transpose(rng.choice([Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM]))
    if kind == "turned":
        mask = mask.rotate(int(rng.choice([90, 180, 270])), expand=True)
    margin = round(FINE * height * rng.uniform(0.12, 0.6))
    size = (mask.width + 2 * margin, mask.height + 2 * margin)
    inside = Image.new("L", size)
    inside.paste(mask, (margin, margin))
    box = Image.new("L", size)
    ImageDraw.Draw(box).rectangle((1, 1, size[0] - 2, size[1] - 2), fill=255)
    style = str(rng.choice(["bare", "light", "gray", "dark", "frame"], p=[0.3, 0.3, 0.22, 0.1, 0.08]))
    if style == "frame":
        width = max(2, round(FINE * height * rng.uniform(0.06, 0.14)))
        ImageDraw.Draw(box).rectangle((width, width, size[0] - width - 1, size[1] - width - 1), fill=0)
    turn = rng.uniform(-10, 10) if rng.random() < 0.5 else 0.0
    blur = FINE * rng.uniform(0, 0.09 * height)
    letters, box = (_fine(one.rotate(turn, Image.Resampling.BILINEAR, expand=True), blur) for one in (inside, box))
    ink, paper, opaque = _grays(style, rng)
    opacity = np.maximum(letters * rng.uniform(0.85, 1), box * opaque if style != "bare" else 0)
    return letters * ink + (1 - letters) * paper, opacity.astype(np.float32), letter if kind == "marker" else "", height


def _grays(style: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the grays of letter and box, and how opaque the box is."""
    if style == "light":
        return rng.uniform(0, 0.5), rng.uniform(0.8, 1.1), rng.uniform(0.85, 1)
    if style in ("gray", "dark"):
        paper = rng.uniform(0.25, 0.65) if style == "gray" else rng.uniform(0, 0.2)
        return paper + rng.uniform(0.3, 0.6), paper, rng.uniform(0.4, 1)
    ink = rng.uniform(0.75, 1.15)
    return ink, ink, 1.0


def _text(text: str, height: float, split: str, rng: np.random.Generator) -> Image.Image:
    """Return a text as a mask, as tight as it is; the letter R is so high as given."""
    name = str(rng.choice(FONTS[split]))
    size = FINE * height / 0.72
    path = f"{get_data_path()}/fonts/ttf/{name}"
    font = ImageFont.truetype(path, round(size)) if name else ImageFont.load_default(size)
    left, top, right, bottom = map(round, font.getbbox(text))
    mask = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), text, fill=255, font=font)
    stretch = rng.uniform(0.75, 1.3)
    return mask.resize((max(2, round(mask.width * stretch)), mask.height))


def _shape(height: float, rng: np.random.Generator) -> Image.Image:
    """Return a disc, a ring, an arrow's head or a bar as a mask."""
    side = round(FINE * height)
    mask = Image.new("L", (side, side))
    draw, form = ImageDraw.Draw(mask), int(rng.integers(4))
    if form < 2:
        draw.ellipse((1, 1, side - 2, side - 2), fill=255 if form else 0, outline=255, width=max(2, side // 6))
    elif form == 2:
        draw.polygon([tuple(map(float, rng.uniform(0, side, 2))) for _ in range(3)], fill=255)
    else:
        draw.rectangle((side // 3, 0, side // 2, side), fill=255)
    return mask


def _fine(drawn: Image.Image, blur: float) -> np.ndarray:
    """Return a drawing at its own size, blurred by so many pixels of the fine one: [h,w] float32, 0..1."""
    size = (max(1, drawn.width // FINE), max(1, drawn.height // FINE))
    shrunk = drawn.filter(ImageFilter.GaussianBlur(blur)).resize(size, Image.Resampling.BOX)
    return np.asarray(shrunk, np.float32) / 255
