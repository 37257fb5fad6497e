"""Films with burnt-in markers to train and to measure the reader of markers, and with what may be taken for one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from kneeoa_hub.imaging.letterbox import letterbox
from kneeoa_hub.imaging.markers import INPUT, LETTERS, STRIDE

from ..run import steps
from .compose import Knee, Style, compose

FONTS = {
    "train": (
        *("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSansMono.ttf", "DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"),
        *("STIXGeneral.ttf", "cmss10.ttf", "cmtt10.ttf", "DejaVuSans-Oblique.ttf", ""),
    ),
    "val": ("DejaVuSansMono-Bold.ttf", "STIXGeneralBol.ttf", "cmb10.ttf", "cmr10.ttf"),
}
"""Fonts of matplotlib, and Pillow's own (""), by the split."""
STYLES = {
    "train": Style("tubes", "odd", (120, 224), 1000),
    "val": Style("texture", "odd", (120, 224), 1000),
}
"""The films on which markers are laid. Their other letters are no R or L alone."""
OTHERS = "ABCDEFGHJKPSTUVXZ0123456789"
WORDS = ("AP", "PA", "WB", "RIGHT", "LEFT", "STANDING", "LT", "RT", "12.03", "60 kV", "KNEE", "PT ID 7", "BILAT")
KINDS = ("marker", "other", "mirrored", "turned", "word", "shape")
CHANCES = (0.6, 0.13, 0.09, 0.06, 0.06, 0.06)
LOWEST, HIGHEST = 8.0, 34.0
"""Height of a letter in pixels of the reader's input."""
FINE = 3
"""A marker is drawn so many times as large, and then shrunk."""


@dataclass(frozen=True)
class MarkedFilm:
    """A part of a film with markers.

    Attributes:
        pixels: [H,W] float32, 0..1.
        letters: The letter of each marker, its column, row and height in pixels.
    """

    pixels: np.ndarray
    letters: tuple[tuple[str, float, float, float], ...]


def backgrounds(knees: Sequence[Knee], split: str, films: int, seed: int) -> list[np.ndarray]:
    """Return composed films as the reader's network sees them, uint8 [h,w] without padding.

    Args:
        knees: From which films are composed.
        split: "train" or "val".
        films: Their number.
        seed: The seed of the draws.
    """
    made = []
    for number in steps.progress(range(films), "markers: composing"):
        pixels = compose(knees, STYLES[split], seed + number).pixels
        fitted = letterbox(pixels, (0, 0, pixels.shape[1], pixels.shape[0]), INPUT)
        left, top, right, bottom = fitted.content
        made.append(fitted.pixels[top:bottom, left:right].copy())
    return made


def marked(film: np.ndarray, split: str, side: int, rng: np.random.Generator) -> MarkedFilm:
    """Return a square part of a film with some markers, and with what is none.

    Args:
        film: One of `backgrounds`.
        split: "train" or "val".
        side: Pixels of the part.
        rng: Draws place, markers and exposure.
    """
    part = _part(film, side, rng)
    placed: list[tuple[str, float, float, float]] = []
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
        if letter:
            placed.append((letter, x, y, height))
    part = np.clip(part, 0, 1) ** rng.uniform(0.7, 1.4)
    part += rng.uniform(0, 0.03) * rng.standard_normal(part.shape, np.float32)
    return MarkedFilm(part, tuple(placed))


def targets(films: Sequence[MarkedFilm], side: int) -> np.ndarray:
    """Return [N,side/4,side/4,3] float32: 1 in the class of each cell; all 0 near a letter, where nothing is asked."""
    cells = side // STRIDE
    wanted = np.zeros((len(films), cells, cells, 1 + len(LETTERS)), np.float32)
    wanted[..., 0] = 1
    rows, columns = np.mgrid[:cells, :cells]
    for number, film in enumerate(films):
        for letter, x, y, height in film.letters:
            away = np.hypot(rows + 0.5 - y / STRIDE, columns + 0.5 - x / STRIDE)
            wanted[number, away < max(2.5, 0.8 * height / STRIDE)] = 0
            wanted[number, away < max(0.9, 0.22 * height / STRIDE), 1 + LETTERS.index(letter)] = 1
    return wanted


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
