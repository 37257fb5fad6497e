"""A gate learns from knees in every pose, and from synthetic films of other things, cut-off and blurred knees.

They are made from the films of single knees of an audit, from simulated parts of the body, from the photographs that
come with scikit-learn and Matplotlib, from text and from noise. Every function takes the films and a random generator,
and returns a film [H,W] float32, 0 to 1.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from kneeoa_hub.errors import MissingExtra
from kneeoa_hub.evidence import Estimate, Outcomes
from kneeoa_hub.imaging.borders import inner_film
from kneeoa_hub.imaging.frame import Place
from kneeoa_hub.imaging.gate import Pose

from ..data.variation import gray_bytes, vary
from ..run.estimates import proportion
from .bodyparts import HELD_OUT_PARTS, PARTS, SIDE, body_part
from .implants import implanted

Films = Sequence[np.ndarray]
"""These films [H,W] float32 are of single upright knees that fill them."""

BLURRED = 0.02, 0.06
"""A blur beyond use has a standard deviation between these, in widths of the knee. At the least, the kappa between the
grades of blurred and sharp films is .61 (benchmarks/blur.py)."""
SHARP = 0.008
"""The blur of a film that is to be graded has at most this standard deviation, in widths of the knee."""
CUT = 0.28, 0.46
"""When a knee is cut off, a fraction of its side between these remains, without the centre of the joint."""
VARIED = 0.6
"""Three fifths of the knees are changed as much as those that a grader learns from."""
WHOLE = 0.78
"""A film of a whole knee keeps at least this fraction of the crop's sides."""
PHOTOGRAPHS = (("sklearn", "datasets/images"), ("matplotlib", "mpl-data/sample_data"))
"""A gate is trained on the pictures in these folders of these packages."""
HELD_OUT_PHOTOGRAPHS = (("skimage", "data"),)
"""A gate is measured on the pictures in these folders of these packages, and never trained on them."""
WORDS = (
    *("REPORT", "FINDINGS", "knee", "joint", "study", "12", "left", "right"),
    *("AP", "view", "dose", "mAs", "kV", "series", "date", "normal"),
)
"""A page of text has these words."""


def knee(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return an upright knee as archives hold them: cut a little, with a border and a letter, of any exposure.

    A proportion of VARIED are changed as the films are that a grader learns from, which changes more.
    """
    return _as_archived(_any_of(films, rng), rng)


def _as_archived(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < VARIED:
        height, width = film.shape
        pixels = vary(gray_bytes(film), Place(width / 2, height / 2, min(film.shape)), rng).pixels
        left, top, right, bottom = inner_film(pixels)
        return pixels[top:bottom, left:right].astype(np.float32) / 255
    height, width = film.shape
    h, w = (max(1, round(side * rng.uniform(WHOLE, 1.0))) for side in (height, width))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    return marked(exposed(film[top : top + h, left : left + w], rng), rng)


def exposed(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a film with another contrast, some noise, and a blur that does no harm; a third of the films stay as
    they are, in 0..1.
    """
    low, high = float(film.min()), float(film.max())
    film = (film - low) / max(high - low, 1e-6)
    if rng.random() < 1 / 3:
        return film
    film = film ** np.exp(rng.uniform(-0.7, 0.7))
    film = gaussian_filter(film, rng.uniform(0, SHARP) * film.shape[1])
    film = film + rng.uniform(0, 0.04) * rng.standard_normal(film.shape)
    return np.clip(film, 0, 1).astype(np.float32)


def marked(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a film with the black or white border of a collimator on some sides, with a letter, or with neither."""
    if rng.random() < 0.3:
        value = float(rng.choice((0.0, 0.02, 1.0)))
        edges = [round(side * rng.uniform(0, 0.12)) if rng.random() < 0.6 else 0 for side in (*film.shape, *film.shape)]
        film = np.pad(film, ((edges[0], edges[2]), (edges[1], edges[3])), constant_values=value)
    if rng.random() < 0.25:
        picture = Image.fromarray((film * 255).astype(np.uint8))
        size = max(10, round(0.08 * min(film.shape)))
        x, y = (int(rng.choice((0.03, 0.88)) * side) for side in (film.shape[1], film.shape[0]))
        ImageDraw.Draw(picture).text((x, y), str(rng.choice(("L", "R"))), fill=255, font=_font(size))
        film = np.asarray(picture, np.float32) / 255
    return film


def posed(film: np.ndarray, pose: Pose) -> np.ndarray:
    """Return a film in 0..1 in a pose: turned anticlockwise, and with inverted grays."""
    turns, inverted = pose
    return np.ascontiguousarray(np.rot90(1 - film if inverted else film, turns))


def blurred(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a knee that is blurred beyond use."""
    film = knee(films, rng)
    return gaussian_filter(film, rng.uniform(*BLURRED) * film.shape[1])


def cut_off(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a part of a knee's film without the centre of the joint."""
    film = exposed(_any_of(films, rng), rng)
    kept = rng.uniform(*CUT)
    upright = film.shape[0] >= 0.8 * film.shape[1]  # half the height of a low strip shows nothing
    edge = rng.integers(4) if upright else rng.integers(2)
    part = round(kept * film.shape[1 if edge < 2 else 0])
    film = (film[:, :part], film[:, -part:], film[:part], film[-part:])[edge]
    return marked(film, rng)


def patchwork(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return pieces of a knee put together in another way: every pixel is of a radiograph, and there is no joint."""
    film = exposed(_any_of(films, rng), rng)
    kind = rng.integers(3)
    if kind == 0:  # tiles in another order, each with any turn
        count = int(rng.integers(2, 5))
        side = min(film.shape) // count
        tiles = [
            np.rot90(film[side * r : side * (r + 1), film.shape[1] // count * c :][:, :side], int(rng.integers(4)))
            for r in range(count)
            for c in range(count)
        ]
        order = rng.permutation(len(tiles))
        return np.vstack([np.hstack([tiles[i] for i in order[count * r : count * (r + 1)]]) for r in range(count)])
    third = film.shape[0] // 3
    if kind == 1:  # a shaft from top to bottom
        rows = np.vstack([film[:third], film[:third][::-1], film[:third]])
        return rows[::-1] if rng.random() < 0.5 else rows
    half = film[: film.shape[0] // 2] if rng.random() < 0.5 else film[film.shape[0] // 2 :][::-1]
    return np.vstack([half, half[::-1]])  # two femurs, or two tibias


def replaced(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a knee with a simulated implant in the place of its joint."""
    return _as_archived(implanted(_any_of(films, rng), rng), rng)


def simulated(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a simulated part of the body of a kind that a gate is trained on."""
    return marked(body_part(str(rng.choice([name for name in PARTS if name not in HELD_OUT_PARTS])), rng), rng)


def simulated_held_out(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a simulated part of the body of a kind that no gate is trained on."""
    return marked(body_part(str(rng.choice(HELD_OUT_PARTS)), rng), rng)


def photograph(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a part of a photograph from a source that a gate is trained on."""
    return _cropped(photographs(PHOTOGRAPHS), rng)


def photograph_held_out(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a part of a photograph from a source that no gate is trained on."""
    return _cropped(photographs(HELD_OUT_PHOTOGRAPHS), rng)


def text(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a page of text, dark on light or light on dark."""
    page = Image.new("L", (SIDE, SIDE), 255)
    draw = ImageDraw.Draw(page)
    size = int(rng.integers(8, 30))
    for y in range(int(rng.integers(0, 20)), SIDE, round(size * rng.uniform(1.1, 1.8))):
        line = " ".join(rng.choice(WORDS, int(rng.integers(1, 8))))
        draw.text((int(rng.integers(0, 30)), y), line, fill=int(rng.integers(0, 90)), font=_font(size))
    if rng.random() < 0.3:
        for x in range(0, SIDE, int(rng.integers(25, 60))):
            draw.line((x, 0, x, SIDE), fill=60)
    film = np.asarray(page, np.float32) / 255
    return 1 - film if rng.random() < 0.5 else film


def texture(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return clouds, bands and rings."""
    film = np.zeros((SIDE, SIDE))
    for sigma in rng.uniform(1, 30, 3):
        film += rng.standard_normal() * gaussian_filter(rng.standard_normal((SIDE, SIDE)), sigma) * sigma
    if rng.random() < 0.5:
        y, x = np.mgrid[:SIDE, :SIDE] / SIDE - rng.uniform(0, 1, 2)[:, None, None]
        wave = np.hypot(x, y) if rng.random() < 0.5 else x * np.cos(turn := rng.uniform(0, np.pi)) + y * np.sin(turn)
        film = film + rng.uniform(1, 4) * np.sin(rng.uniform(5, 60) * wave)
    low, high = film.min(), film.max()
    return ((film - low) / (high - low)).astype(np.float32)


def scene(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return shapes on top of one another, shaded and sharp, as in photographs of things (dead leaves: Lee et al.,
    IJCV 2001).
    """
    picture = Image.new("L", (SIDE, SIDE), int(rng.integers(256)))
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(5, 80))):
        x, y, size = rng.uniform(0, SIDE), rng.uniform(0, SIDE), SIDE * 0.5 * rng.random() ** 2 + 3
        shade = int(rng.integers(256))
        if rng.random() < 0.5:
            draw.ellipse(
                (x - size, y - size * rng.uniform(0.3, 1), x + size, y + size * rng.uniform(0.3, 1)), fill=shade
            )
        else:
            corners = [
                (x + size * np.cos(a), y + size * np.sin(a))
                for a in np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            ]
            draw.polygon(corners, fill=shade)
    film = np.asarray(picture, np.float32) / 255
    light = gaussian_filter(rng.standard_normal((SIDE, SIDE)), 25) * 60 + gaussian_filter(
        rng.standard_normal((SIDE, SIDE)), 1
    ) * rng.uniform(0, 0.3)
    return exposed((film + 0.3 * light).astype(np.float32), rng)


def blank(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return an even film, with a slight gradient and little noise."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    film = (
        rng.uniform(0, 1)
        + rng.uniform(-0.2, 0.2) * x
        + rng.uniform(-0.2, 0.2) * y
        + rng.uniform(0, 0.02) * rng.standard_normal((SIDE, SIDE))
    )
    return np.clip(film, 0, 1).astype(np.float32)


def noise(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return noise alone."""
    return (
        rng.random((SIDE, SIDE), np.float32)
        if rng.random() < 0.5
        else np.clip(0.5 + 0.2 * rng.standard_normal((SIDE, SIDE)), 0, 1).astype(np.float32)
    )


Maker = Callable[[Films, np.random.Generator], np.ndarray]
"""A maker is a function of this module."""
OTHERS: dict[str, tuple[Maker, float]] = {
    "other body parts, simulated": (simulated, 0.34),
    "other body parts, composed of pieces of knees": (patchwork, 0.21),
    "knees with an implant, simulated": (replaced, 0.13),
    "photographs": (photograph, 0.1),
    "scenes of shapes": (scene, 0.08),
    "text": (text, 0.05),
    "textures": (texture, 0.05),
    "blank": (blank, 0.02),
    "noise": (noise, 0.02),
}
"""A gate is trained on these kinds, which are no knees, in these proportions."""
HELD_OUT: dict[str, Maker] = {
    "other body parts, kinds not trained on": simulated_held_out,
    "photographs, sources not trained on": photograph_held_out,
}
"""A gate is only measured on these kinds, which are no knees."""
NO_HEADLINE = ("blank", "noise")
"""These kinds are so easy that they would flatter the mean of the others."""
POSED: dict[str, Pose] = {
    "inverted": (0, True),
    "turned by 90 degrees": (1, False),
    "turned by 270 degrees": (3, False),
    "turned by 180 degrees": (2, False),
    "turned by 180 degrees and inverted": (2, True),
}
"""Upright knees in these poses are to be put right."""


def measured(films: Films, rng: np.random.Generator) -> dict[str, tuple[Callable[[], np.ndarray], Pose | None]]:
    """Return, by kind of film to measure on, what makes one, and the pose in which it is then given.

    The pose is None for a film that is to be refused.
    """
    # Photographs are measured on sources that were not trained on alone.
    makers = {name: maker for name, (maker, _) in OTHERS.items() if maker is not photograph}
    makers |= HELD_OUT | {"cut off": cut_off, "blurred beyond use": blurred}
    kinds: dict[str, tuple[Callable[[], np.ndarray], Pose | None]] = {
        name: ((lambda m=maker: m(films, rng)), None) for name, maker in makers.items()
    }
    return kinds | {name: ((lambda: knee(films, rng)), pose) for name, pose in POSED.items()}


def headline(outcomes: Mapping[str, Outcomes]) -> Estimate:
    """Return the proportion of all synthetic films that are refused or put right, without the kinds in NO_HEADLINE."""
    rows = [row.let_through for name, row in outcomes.items() if name not in NO_HEADLINE]
    through = [np.arange(row.n) < round(row.value * row.n) for row in rows]
    return proportion(~np.concatenate(through))


def other(films: Films, rng: np.random.Generator) -> np.ndarray:
    """Return a film of any kind in OTHERS, in their proportions."""
    weights = np.array([weight for _, weight in OTHERS.values()])
    maker, _ = list(OTHERS.values())[rng.choice(len(OTHERS), p=weights / weights.sum())]
    return maker(films, rng)


def _any_of(films: Films, rng: np.random.Generator) -> np.ndarray:
    return films[int(rng.integers(len(films)))]


@cache
def photographs(packages: tuple[tuple[str, str], ...]) -> tuple[np.ndarray, ...]:
    """Return the gray pictures of packages, which are found without importing them.

    Raises MissingExtra when no package is installed.
    """
    pictures = []
    for package, folder in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        for path in sorted((Path(next(iter(spec.submodule_search_locations))) / folder).iterdir()):
            if path.suffix in (".jpg", ".png"):
                with Image.open(path) as picture:
                    pictures.append(np.asarray(picture.convert("L"), np.float32) / 255)
    large = tuple(picture for picture in pictures if min(picture.shape) >= SIDE)
    if not large:
        raise MissingExtra(
            f"The pictures of {', '.join(package for package, _ in packages)} are needed: pip install"
            " 'kneeoa-hub[bench]'"
        )
    return large


def _cropped(pictures: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    picture = pictures[int(rng.integers(len(pictures)))]
    side = int(rng.integers(min(SIDE, min(picture.shape)), min(picture.shape) + 1))
    top, left = rng.integers(picture.shape[0] - side + 1), rng.integers(picture.shape[1] - side + 1)
    film = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
    return exposed(film[:, ::-1] if rng.random() < 0.5 else film, rng)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
