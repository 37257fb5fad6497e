"""The kappa lost when parts of a film are blanked, and the peak of the map, show whether the model uses the joint.

Occlusion as in Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kneeoa_hub.agreement import qwk, resamples
from kneeoa_hub.bundle import InputConfig
from kneeoa_hub.evidence import Estimate, MapPeaks, MaskEvidence, MasksEvidence
from kneeoa_hub.imaging.letterbox import visible_region

from ..data.datasets import Knees
from ..run.estimates import Rows, bootstrapped, exact

DATASET = "oai"
"""The films of this dataset are crops around the joint, all alike. In other datasets the joint has a fixed place in the
frame alone."""
JOINT = (0.08, 0.44, 0.92, 0.68)
"""These are left, top, right and bottom of the joint space as fractions of such a crop, read off the mean of the
films."""
BORDER = 0.1
"""The border has this width, as a fraction of the sides."""
DRAWS = 5
"""A mask is laid at five random places."""

Grading = Callable[[np.ndarray], np.ndarray]
"""A grading makes reported grades [N] of inputs [N,H,W,1]."""
Masking = Callable[[np.ndarray], np.ndarray]
"""A masking makes masks [N,H,W] bool of boxes [N,4]; True is blanked."""


@dataclass(frozen=True)
class MeanMaps:
    """These are the mean activation maps of the knees that were given each grade, with left knees mirrored.

    Attributes:
        by_grade: The mean map [h,w] of each grade; every map is scaled to 0..1 first.
        knees: The number of knees of each grade.
        joint: Left, top, right and bottom of the joint space as fractions of the input, the mean over all knees.
    """

    by_grade: dict[int, np.ndarray]
    knees: dict[int, int]
    joint: tuple[float, float, float, float]


def joint_boxes(knees: Knees, config: InputConfig, joint: tuple[float, float, float, float] = JOINT) -> np.ndarray:
    """Return [N,4] int, the box of the joint space in the input of each knee.

    Args:
        knees: N knees that were cropped alike.
        config: The network's input.
        joint: Left, top, right and bottom of the joint space as fractions of the film.
    """
    if config.crop == "frame":  # the frame is the crop, however its film was cut
        nearer = 0.5 + (np.array(joint) - 0.5) / config.reach
        return np.tile(np.rint(nearer * np.tile((config.width, config.height), 2)).astype(int), (len(knees), 1))
    boxes = []
    for film, content in zip(knees.films, knees.contents, strict=True):
        shown = np.array(visible_region((0, 0, film.width, film.height), config), float).reshape(2, 2)
        box = (np.array(joint).reshape(2, 2) * (film.width, film.height) - shown[0]) / (shown[1] - shown[0])
        start, stop = np.array(content, float).reshape(2, 2)
        boxes.append((start + box.clip(0, 1) * (stop - start)).ravel())
    return np.rint(boxes).astype(int)


def masked_kappas(grading: Grading, knees: Knees, config: InputConfig, seed: int = 0) -> MasksEvidence:
    """Return the kappa of whole films, and of films with the joint, all but the joint, and the border blanked.

    Each is compared with masks of the same size at random places; the differences have paired intervals.

    Args:
        grading: The model.
        knees: The films.
        config: The network's input.
        seed: The seed of the random places and of the bootstrap.
    """
    inputs, contents = knees.inputs(), knees.contents.astype(int)
    joint, inner = joint_boxes(knees, config), _without_border(contents)
    shape = inputs.shape[1:3]
    rng = np.random.default_rng(seed)
    samples = resamples(knees.groups, seed)

    def within(boxes: np.ndarray) -> np.ndarray:
        return _inside(boxes, shape)

    def beyond(boxes: np.ndarray) -> np.ndarray:
        return ~_inside(boxes, shape)

    def kappas(masking: Masking, boxes: np.ndarray, random_masking: Masking, random_boxes: np.ndarray) -> MaskEvidence:
        blanked = [grading(_blanked(inputs, masking(boxes)))]
        places = (_moved(random_boxes, contents, rng) for _ in range(DRAWS))
        random = [grading(_blanked(inputs, random_masking(place))) for place in places]
        return MaskEvidence(
            share_covered=exact(float(masking(boxes).mean()), n=len(knees)),
            qwk=_kappa(knees, samples, blanked),
            qwk_random=_kappa(knees, samples, random),
            difference=_kappa(knees, samples, blanked, random),
        )

    return MasksEvidence(
        plain=_kappa(knees, samples, [grading(inputs)]),
        joint=kappas(within, joint, within, joint),
        all_but_the_joint=kappas(beyond, joint, beyond, joint),
        # A random border would be none, so it is compared with a block of the same size.
        border=kappas(beyond, inner, within, _blocks_of_border_size(inner, contents)),
    )


def peaks(maps: np.ndarray, knees: Knees, config: InputConfig) -> MapPeaks:
    """Return how often activation maps peak in the joint space, and which part of their places lies there.

    Args:
        maps: The activation maps [N,h,w].
        knees: The N knees.
        config: The input that the maps belong to.
    """
    boxes = joint_boxes(knees, config)
    rows, columns = (
        (np.arange(count) + 0.5) * side / count
        for count, side in zip(maps.shape[1:], (config.height, config.width), strict=True)
    )
    places = np.stack(np.meshgrid(columns, rows), -1)[None]
    inside = ((places >= boxes[:, None, None, :2]) & (places < boxes[:, None, None, 2:])).all(-1).reshape(len(maps), -1)
    hit = inside[np.arange(len(maps)), maps.reshape(len(maps), -1).argmax(1)]
    return MapPeaks(
        in_joint=bootstrapped(lambda rows: float(np.mean(hit[rows])), resamples(knees.groups), len(hit)),
        by_chance=exact(inside.mean(), n=len(hit)),
    )


def mean_maps(maps: np.ndarray, grades: np.ndarray, knees: Knees, config: InputConfig) -> MeanMaps:
    """Return the mean activation map of each reported grade.

    Args:
        maps: [N,h,w].
        grades: [N] int, the reported grades.
        knees: N knees.
        config: The network's input.
    """
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
    """Return boxes [N,4] as masks [N,H,W] bool."""
    rows, columns = np.arange(shape[0])[None, :, None], np.arange(shape[1])[None, None, :]
    left, top, right, bottom = (boxes[:, edge, None, None] for edge in range(4))
    return (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)


def _blanked(inputs: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the inputs with 0 under the masks: the mean of a standardised film, as in training."""
    return np.where(masks[..., None], np.float32(0), inputs)


def _without_border(contents: np.ndarray) -> np.ndarray:
    """Return boxes [N,4] without BORDER on each side."""
    edge = np.rint(BORDER * (contents[:, 2:] - contents[:, :2])).astype(int)
    return np.concatenate([contents[:, :2] + edge, contents[:, 2:] - edge], 1)


def _moved(boxes: np.ndarray, contents: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return boxes of the same sizes at random places within the contents."""
    size = boxes[:, 2:] - boxes[:, :2]
    free = np.maximum(1, contents[:, 2:] - contents[:, :2] - size + 1)  # a film may show less than the box
    start = contents[:, :2] + np.floor(rng.random((len(boxes), 2)) * free).astype(int)
    return np.concatenate([start, start + size], 1)


def _blocks_of_border_size(inner: np.ndarray, contents: np.ndarray) -> np.ndarray:
    """Return boxes of the shape of the contents with the area between the contents and their inner boxes."""
    size, hole = contents[:, 2:] - contents[:, :2], inner[:, 2:] - inner[:, :2]
    border = 1 - hole.prod(1, keepdims=True) / size.prod(1, keepdims=True)
    return np.concatenate([contents[:, :2], contents[:, :2] + np.rint(size * np.sqrt(border)).astype(int)], 1)


def _kappa(
    knees: Knees, samples: Sequence[np.ndarray], grades: Sequence[np.ndarray], others: Sequence[np.ndarray] = ()
) -> Estimate:
    """Return the mean kappa of several gradings, minus the mean kappa of others."""
    truth = knees.grades

    def kappa(rows: Rows) -> float:
        mean = float(np.mean([qwk(truth[rows], given[rows]) for given in grades]))
        return mean - float(np.mean([qwk(truth[rows], given[rows]) for given in others])) if others else mean

    return bootstrapped(kappa, samples, len(truth))
