"""The one grader behind the library, the command line, Flask and the Space."""

import math
import reprlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .bundle import GATE, LOCATOR, Bundle, InputConfig, RefusalConfig, read_bundle, verify
from .decision import grade_set, oa_probability, reported_grade, severity
from .errors import BundleError, FilmError, KneeOAError, MissingExtra
from .grades import LABELS
from .hub.pull_push import pull, revision_of
from .imaging.decode import FilmInput, decode
from .imaging.film import Film, Limits
from .imaging.gate import Refusal, check_pixels, clipped, distances, refusal
from .imaging.letterbox import Box, Letterboxed, letterbox, seen, standardise
from .imaging.locate import Locator, find_knees
from .imaging.screen import Screener, Screening, placed_back
from .report import FilmReport, KneeGrade
from .runtime import GateNetwork, Network
from .settings import Settings

HEATMAP_SIDE = 32
WIDE_SET = 4
"""Grades in a set that says hardly anything."""
SIDE_WARNING = (
    "Sides follow the convention that the patient's right knee is at the picture's left; the film itself does not say."
)
STACKED_WARNING = "The knees do not lie beside each other in the film, so their sides are not known."
MIRRORED_WARNING = (
    "By the film's header the picture is mirrored: the patient's left knee is at the upright picture's left."
)
OPPOSITE = {"L": "R", "R": "L"}


def from_pretrained(
    address: str | Path | None = None,
    *,
    revision: str | None = None,
    token: str | None = None,
    local_files_only: bool = False,
    cache_dir: str | Path | None = None,
    threads: int = 0,
    level: float | None = None,
) -> "KneeGrader":
    """A grader from the shipped bundle, or from an address (docs/addresses.md): folder, shipped name, org/name on the
    Hub.

    threads: of one forward pass; 0 lets onnxruntime choose. level: of the grade sets, .9 unless another of the bundle's
    levels is asked for (.8 or .95 of the shipped one). Raises AddressError, HubError or BundleError kinds,
    SettingsError for an unknown level.
    """
    folder = pull(address, revision=revision, token=token, local_files_only=local_files_only, cache_dir=cache_dir)
    return KneeGrader(read_bundle(folder), revision_of(folder), threads, level)


class KneeGrader:
    """Grades films with one verified bundle. It holds no state between films, so threads may share it."""

    def __init__(self, bundle: Bundle, revision: str | None = None, threads: int = 0, level: float | None = None):
        self.bundle: Bundle = bundle
        self.revision: str = revision or bundle.digest
        config = bundle.config
        self._sets = config.conformal.at(level)
        self._network = Network(bundle.folder / "model.onnx", config.input, threads)
        wide = self._network.embedding_width
        if isinstance(wide, int) and wide != len(config.refusal.mean):
            raise BundleError(
                f"{bundle.folder}: the network's embedding has {wide} values, the mean in bundle.json"
                f" {len(config.refusal.mean)}; pull it again."
            )
        gate = GateNetwork(bundle.folder / GATE, config.gate.size, threads) if config.gate else None
        find = Locator(bundle.folder / LOCATOR, config.locator, threads).find if config.locator else find_knees
        self._screen = Screener(find, gate, config.gate)
        settings = Settings.from_environ()
        self._limits = Limits(settings.max_bytes, settings.max_pixels)

    @property
    def model(self) -> str:
        """The bundle's name."""
        return self.bundle.config.name

    @property
    def level(self) -> float:
        """Of the grade sets: how many of them hold the reader's grade, on films like those that it was fitted on."""
        return self._sets.level

    def grade(
        self, film: FilmInput, boxes: Sequence[Sequence[float]] | None = None, *, force: bool = False
    ) -> FilmReport:
        """Grade every knee of a film.

        film: a path, bytes, a binary file, a PIL image, or [H,W] uint8 | uint16 | finite float, bright bone. boxes:
        (left, top, right, bottom) of each knee in film pixels; skips the finder. force: grade a refused film too.
        Raises a FilmError when the film can't be decoded or is over a limit, or a box is none in it.
        """
        decoded = decode(film, self._limits)
        config = self.bundle.config
        given = _checked(boxes, decoded) if boxes is not None else None
        refused = check_pixels(decoded, config.refusal, given or ())
        if refused and not force:
            return self._report(decoded, (), refused, ())
        screening = self._screen(decoded, given)
        refused = refused or screening.refused
        if refused and not force:
            return self._report(decoded, (), refused, ())
        letterboxed = [letterbox(screening.film.pixels, region, config.input) for region in screening.graded]
        outputs = self._network.run(np.stack([standardise(one.pixels, one.content)[..., None] for one in letterboxed]))
        away = distances(outputs.embedding, config.refusal)
        if not refused and away.min() > config.refusal.max_distance:
            refused = refusal("not-a-knee", float(away.min()))
        if refused and not force:
            return self._report(decoded, (), refused, ())
        sides, warnings = _sides(decoded, screening)
        knees = tuple(
            self._knee(box, region, side, one, *values)
            for box, region, side, one, *values in zip(
                screening.boxes,
                screening.graded,
                sides,
                letterboxed,
                outputs.probabilities,
                outputs.embedding,
                outputs.activation_map,
                strict=True,
            )
        )
        warnings += _doubts(screening, knees, away, letterboxed, config.refusal)
        if refused:
            warnings = (*warnings, "Graded by force although it was refused; do not rely on the grade.")
        return self._report(decoded, _as_given(knees, screening), refused, warnings)

    def grade_batch(self, films: Iterable[FilmInput], *, workers: int = 1) -> Iterator[FilmReport | KneeOAError]:
        """A report or an error for each film, in order; never raises for a film. workers: films graded at a time."""
        if workers <= 1:
            yield from map(self._answer, films)
            return
        with ThreadPoolExecutor(workers) as pool:
            waiting: deque[Future[FilmReport | KneeOAError]] = deque()
            try:
                for film in films:
                    waiting.append(pool.submit(self._answer, film))
                    if len(waiting) > 2 * workers:  # so that a long batch does not fill the memory
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _answer(self, film: FilmInput) -> FilmReport | KneeOAError:
        try:
            return self.grade(film)
        except KneeOAError as error:
            return error
        except Exception as error:  # one film must never end the batch
            return FilmError(f"The film can't be graded ({type(error).__name__}: {error}); look at it by itself.")

    def keras_model(self) -> Any:
        """The Keras 3 model with the ensemble inside (extra `tune`), not compiled.

        image [N,H,W,1] float32 -> {"probabilities" [N,5], "embedding" [N,D], "activation_map" [N,h,w]}. To train it on,
        take the one output: `keras.Model(model.inputs, model.output["probabilities"])`, and compile that. Raises
        MissingExtra without Keras, BundleError kinds when the files changed since, or are no such model of safe layers
        alone.
        """
        try:
            import keras
        except ImportError:
            raise MissingExtra("The Keras model needs TensorFlow and Keras: pip install 'kneeoa-hub[tune]'") from None
        verify(self.bundle.folder)
        try:
            return keras.saving.load_model(self.bundle.folder, compile=False, safe_mode=True)
        except Exception as error:  # whatever the reading of a foreign configuration comes upon
            reason = str(error).split("\n")[0][:200]
            raise BundleError(
                f"{self.bundle.folder}: its Keras model is not whole, or not safe to load ({reason}); export it again."
            ) from None

    def _knee(
        self,
        box: Box,
        region: Box,
        side: str | None,
        seen: Letterboxed,
        probabilities: np.ndarray,
        embedding: np.ndarray,
        activation_map: np.ndarray,
    ) -> KneeGrade:
        config = self.bundle.config
        grade = int(reported_grade(probabilities, config.decision))
        return KneeGrade(
            grade,
            LABELS[grade],
            tuple(map(float, probabilities)),
            float(severity(probabilities)),
            float(oa_probability(probabilities)),
            grade_set(probabilities.tolist(), grade, self._sets.threshold),
            box,
            side,
            _heatmap(activation_map, box, region, seen.content, config.input),
            embedding.astype(np.float32),
        )

    def _report(
        self, film: Film, knees: tuple[KneeGrade, ...], refused: Refusal | None, warnings: tuple[str, ...]
    ) -> FilmReport:
        return FilmReport(knees, refused, film.warnings + warnings, self.model, self.revision, self.level, film.pixels)


def _checked(boxes: Sequence[Sequence[float]], film: Film) -> tuple[Box, ...]:
    if not isinstance(boxes, Iterable):
        raise FilmError(f"boxes={reprlib.repr(boxes)} is no list; give [(left, top, right, bottom), ...].")
    checked = tuple(sorted(_checked_box(box, film) for box in boxes))
    if not checked:
        raise FilmError("No box was given; leave boxes= out to have the knees found.")
    return checked


def _checked_box(box: object, film: Film) -> Box:
    edges = tuple(box) if isinstance(box, Iterable) else ()
    if len(edges) != 4 or not all(isinstance(edge, Real) and math.isfinite(edge) for edge in edges):
        raise FilmError(
            f"The box {reprlib.repr(box)} is not four numbers; give boxes=[(left, top, right, bottom), ...]."
        )
    left, top, right, bottom = map(int, edges)
    if not (0 <= left < right <= film.width and 0 <= top < bottom <= film.height):
        raise FilmError(
            f"The box {(left, top, right, bottom)} does not lie in the film of {film.width}x{film.height} px; give"
            " left, top, right, bottom."
        )
    return left, top, right, bottom


def _sides(film: Film, screening: Screening) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """Of each graded knee: by the file's own word for a lone one, by their places for two that lie beside each
    other.
    """
    found, unknown = {*screening.boxes, *screening.doubtful}, (None,) * len(screening.boxes)
    if len(found) == 1:
        return (film.side,) * len(screening.boxes), ()
    if film.side:  # it may be that of a knee that is left out
        return unknown, (
            f"The film's header says {film.side}, and more than one knee was found: which is which is not known.",
        )
    if len(screening.boxes) != 2 or len(found) != 2:
        return unknown, ()
    if screening.boxes[0][2] > screening.boxes[1][0]:
        return unknown, (STACKED_WARNING,)
    turns = screening.pose[0]
    toward = _toward(film, turns)
    if toward == "R":
        return ("left", "right"), (MIRRORED_WARNING,)
    warning = SIDE_WARNING.replace("picture's left", "upright picture's left") if turns else SIDE_WARNING
    return ("right", "left"), () if toward == "L" else (warning,)


def _toward(film: Film, turns: int) -> str:
    """Where in the patient the right of the upright picture lies: "L", "R" or what else the file says; the film lay
    turned anticlockwise.
    """
    right, down = film.orientation
    left, up = OPPOSITE.get(right, ""), OPPOSITE.get(down, "")
    return (right, up, left, down)[turns]


def _doubts(
    screening: Screening,
    knees: Sequence[KneeGrade],
    away: np.ndarray,
    letterboxed: Sequence[Letterboxed],
    limits: RefusalConfig,
) -> tuple[str, ...]:
    """Warnings of a film that is graded all the same."""
    turns, inverted = screening.pose
    doubts = []
    if turns:
        doubts.append(f"The film was turned by {90 * min(turns, 4 - turns)} degrees; it was graded upright.")
    if inverted:
        doubts.append("The film's grays were inverted; it was graded with bright bone.")
    if screening.doubtful:
        graded = (
            "graded all the same, as its box was given"
            if set(screening.doubtful) <= set(screening.boxes)
            else "left out"
        )
        doubts.append(
            f"{len(screening.doubtful)} of what was found in the film looks like no upright frontal knee; {graded}."
        )
    if away.max() > limits.max_distance and not away.min() > limits.max_distance:
        doubts.append("One of the knees does not look like those the model knows; do not rely on its grade.")
    elif limits.far_distance is not None and away.max() > limits.far_distance:
        doubts.append(
            "The film is unlike most films that the model has learnt from; its grade is less certain than the figures"
            " say."
        )
    clip = max(
        clipped(one.pixels[one.content[1] : one.content[3], one.content[0] : one.content[2]]) for one in letterboxed
    )
    if limits.max_clipped is not None and clip > limits.max_clipped:
        doubts.append(
            f"The exposure is extreme: {clip:.0%} of the knee is plain black or white, and detail is lost there."
        )
    if any(len(knee.grade_set) >= WIDE_SET for knee in knees):
        doubts.append("The grade is uncertain: hardly any grade can be ruled out. A reader should look at the film.")
    return tuple(doubts)


def _as_given(knees: Sequence[KneeGrade], screening: Screening) -> tuple[KneeGrade, ...]:
    """The knees of a film that was put right or cut, in the film as it was given, left to right."""
    back = [
        replace(knee, box=placed_back(knee.box, screening), heatmap=np.rot90(knee.heatmap, screening.pose[0]))
        for knee in knees
    ]
    return tuple(sorted(back, key=lambda knee: knee.box))


def _heatmap(activation_map: np.ndarray, box: Box, region: Box, content: Box, config: InputConfig) -> np.ndarray:
    """An activation map [h,w] over the canvas of what was graded as a map over the knee's box in it, 0..1; 0 where the
    network does not look.
    """
    scale = (activation_map.shape[1] / config.width, activation_map.shape[0] / config.height) * 2
    part = tuple(edge * factor for edge, factor in zip(content, scale, strict=True))
    shrink = HEATMAP_SIDE / max(box[2] - box[0], box[3] - box[1])
    left, top, right, bottom = region
    width, height = max(1, round((right - left) * shrink)), max(1, round((bottom - top) * shrink))
    _, first, _, last = seen(region, config)
    start = min(round((first - top) * shrink), height - 1)
    stop = min(max(round((last - top) * shrink), start + 1), height)
    cut = np.asarray(
        Image.fromarray(activation_map.astype(np.float32)).resize(
            (width, stop - start), Image.Resampling.BILINEAR, box=part
        )
    )
    low, high = float(cut.min()), float(cut.max())
    heatmap = np.zeros((height, width), np.float32)
    if high > low:
        heatmap[start:stop] = (cut - low) / (high - low)
    across, down = (
        min(round((edge - begin) * shrink), size - 1)
        for edge, begin, size in ((box[0], left, width), (box[1], top, height))
    )
    return heatmap[
        down : down + max(1, round((box[3] - box[1]) * shrink)),
        across : across + max(1, round((box[2] - box[0]) * shrink)),
    ]
