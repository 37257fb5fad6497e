"""Does the model look at the joint? What its kappa loses when parts of a film are blanked, and where its map peaks.

Occlusion as in Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kneeoa_hub.agreement import INTERVAL, qwk, resamples
from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.evidence import Estimate, MapPeaks, MaskEvidence, MasksEvidence
from kneeoa_hub.imaging.letterbox import visible_region

from ..data.datasets import Knees
from ..run.figures import number

DATASET = "oai"
"""Its films are crops about the joint, all alike; in others the joint lies anywhere, and no fixed box would hold it."""
JOINT = (0.08, 0.44, 0.92, 0.68)
"""Left, top, right and bottom of the joint space as shares of such a crop's sides, read off the mean of the films."""
BORDER = 0.1
"""Width of the border, as a share of the sides."""
DRAWS = 5
"""Random places for every mask."""


@dataclass(frozen=True)
class MeanMaps:
    """Activation maps of the knees that were given each grade, all turned to look like a right knee (lateral side
    left).

    by_grade: grade -> their mean [h,w], of which each was scaled to 0..1. knees: grade -> how many. joint: left, top,
    right and bottom of the joint space, as shares of the canvas's sides, over all of them.
    """

    by_grade: dict[int, np.ndarray]
    knees: dict[int, int]
    joint: tuple[float, float, float, float]


Graded = Callable[[np.ndarray], np.ndarray]
"""Inputs [N,H,W,1] -> reported grades [N]."""


def joint_boxes(knees: Knees, config: InputConfig, joint: tuple[float, float, float, float] = JOINT) -> np.ndarray:
    """[N,4] int: left, top, right, bottom of the joint space on the canvas of each knee."""
    boxes = []
    for film, content in zip(knees.films, knees.contents, strict=True):
        shown = np.array(visible_region((0, 0, film.width, film.height), config), float).reshape(2, 2)
        box = (np.array(joint).reshape(2, 2) * (film.width, film.height) - shown[0]) / (shown[1] - shown[0])
        start, stop = np.array(content, float).reshape(2, 2)
        boxes.append((start + box.clip(0, 1) * (stop - start)).ravel())
    return np.rint(boxes).astype(int)


def covered(graded: Graded, knees: Knees, config: InputConfig, seed: int = 0) -> MasksEvidence:
    """Returns the kappa of whole films and of films with each part blanked, and how far the latter differs from that of
    a mask of the same size at random places; the differences have paired intervals.
    """
    inputs, boxes = knees.inputs(), joint_boxes(knees, config)
    contents = knees.contents.astype(int)
    edge = np.rint(BORDER * (contents[:, 2:] - contents[:, :2])).astype(int)
    inner = np.concatenate([contents[:, :2] + edge, contents[:, 2:] - edge], 1)
    shape = inputs.shape[1:3]
    masks: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "joint": lambda box: _inside(box, shape),
        "all_but_the_joint": lambda box: ~_inside(box, shape),
        "border": lambda box: ~_inside(box, shape),
    }
    rng = np.random.default_rng(seed)
    samples = resamples(knees.groups, seed)
    plain = graded(inputs)
    figures: dict[str, MaskEvidence] = {}
    for name, mask in masks.items():
        box = inner if name == "border" else boxes
        # The same share of the film, anywhere: what is left of the border's kappa must be compared with a block as
        # large.
        loose, hide = (_as_large(box, contents), masks["joint"]) if name == "border" else (box, mask)
        hidden = [graded(_blanked(inputs, mask(box)))]
        random = [graded(_blanked(inputs, hide(_anywhere(loose, contents, rng)))) for _ in range(DRAWS)]
        figures[name] = MaskEvidence(
            share_covered=number(float(mask(box).mean()), n=len(knees)),
            qwk=_interval(knees, samples, hidden),
            qwk_random=_interval(knees, samples, random),
            difference=_interval(knees, samples, hidden, random),
        )
    return MasksEvidence(plain=_interval(knees, samples, [plain]), **figures)


def peaks(maps: np.ndarray, knees: Knees, config: InputConfig) -> MapPeaks:
    """Share of the knees whose activation map [N,h,w] peaks in the joint space, and the share of places that lie
    there.
    """
    boxes = joint_boxes(knees, config)
    rows, columns = (
        (np.arange(count) + 0.5) * side / count
        for count, side in zip(maps.shape[1:], (config.height, config.width), strict=True)
    )
    places = np.stack(np.meshgrid(columns, rows), -1)[None]
    inside = ((places >= boxes[:, None, None, :2]) & (places < boxes[:, None, None, 2:])).all(-1).reshape(len(maps), -1)
    hit = inside[np.arange(len(maps)), maps.reshape(len(maps), -1).argmax(1)]
    drawn = [hit[rows].mean() for rows in resamples(knees.groups)]
    return MapPeaks(
        in_joint=number(hit.mean(), *np.percentile(drawn, INTERVAL), n=len(hit)),
        by_chance=number(inside.mean(), n=len(hit)),
    )


def mean_maps(maps: np.ndarray, grades: np.ndarray, knees: Knees, config: InputConfig) -> MeanMaps:
    """maps: [N,h,w]. grades: [N], the reported ones."""
    left = np.array([film.side == "left" for film in knees.films])
    turned = np.where(left[:, None, None], maps[:, :, ::-1], maps)
    low, high = turned.min((1, 2), keepdims=True), turned.max((1, 2), keepdims=True)
    scaled = (turned - low) / np.maximum(high - low, 1e-6)
    boxes = joint_boxes(knees, config) / (config.width, config.height, config.width, config.height)
    boxes[left, 0], boxes[left, 2] = 1 - boxes[left, 2], 1 - boxes[left, 0]
    given, counts = np.unique(grades, return_counts=True)
    return MeanMaps(
        {int(grade): scaled[grades == grade].mean(0) for grade in given},
        dict(zip(given.tolist(), counts.tolist(), strict=True)),
        tuple(boxes.mean(0).tolist()),
    )


def _inside(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """[N,4] -> [N,H,W] bool."""
    rows, columns = np.arange(shape[0])[None, :, None], np.arange(shape[1])[None, None, :]
    left, top, right, bottom = (boxes[:, edge, None, None] for edge in range(4))
    return (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)


def _blanked(inputs: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """0 is the mean of a standardised film; training blanks rectangles with it too."""
    return np.where(masks[..., None], np.float32(0), inputs)


def _anywhere(boxes: np.ndarray, contents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boxes of the same sizes at random places within the contents."""
    size = boxes[:, 2:] - boxes[:, :2]
    start = contents[:, :2] + np.floor(
        rng.random((len(boxes), 2)) * (contents[:, 2:] - contents[:, :2] - size + 1)
    ).astype(int)
    return np.concatenate([start, start + size], 1)


def _as_large(inner: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """Boxes of the shape of the contents, as large as what lies between the two."""
    size, hole = contents[:, 2:] - contents[:, :2], inner[:, 2:] - inner[:, :2]
    share = 1 - hole.prod(1, keepdims=True) / size.prod(1, keepdims=True)
    return np.concatenate([contents[:, :2], contents[:, :2] + np.rint(size * np.sqrt(share)).astype(int)], 1)


def _interval(
    knees: Knees, samples: list[np.ndarray], grades: list[np.ndarray], others: list[np.ndarray] | None = None
) -> Estimate:
    """Mean kappa of several gradings; less the mean kappa of others."""
    truth = knees.grades

    def kappa(rows: np.ndarray | slice) -> float:
        mean = float(np.mean([qwk(truth[rows], given[rows]) for given in grades]))
        return mean - float(np.mean([qwk(truth[rows], given[rows]) for given in others])) if others else mean

    drawn = [kappa(rows) for rows in samples]
    return number(kappa(slice(None)), *np.percentile(drawn, INTERVAL), n=len(truth))
