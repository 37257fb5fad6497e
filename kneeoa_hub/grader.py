"""Implements the one grader behind the library, the command line, Flask and the Space."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np

from .arguments import check_count
from .batches import in_order
from .bundle import Bundle
from .errors import BundleError, FilmError, KneeOAError, MissingExtra, SettingsError
from .grading import knee_grades
from .imaging.boxes import checked_boxes
from .imaging.decode import FileDecoder, FilmInput, decode, decode_file, is_one_film
from .imaging.doubts import FORCED, doubts
from .imaging.film import Film, Limits
from .imaging.folders import films_of
from .imaging.laterality import knee_sides
from .imaging.letterbox import letterbox, network_values
from .imaging.markers import MarkerReader
from .imaging.passing import PassingFault
from .imaging.refusal import Refusal, TrainingDistances, check_pixels, refuse
from .imaging.screen import Screener, Screening
from .imaging.several import check_films, with_boxes
from .keras_files import load_model
from .knee import KneeGrade, knee_names
from .manifest import verify
from .networks import open_networks
from .pickled import opened, place_of
from .report import FilmReport
from .runtime import Network
from .settings import Settings

if TYPE_CHECKING:
    import pandas

Boxes = Sequence[Sequence[float]]
"""Each knee is (left, top, right, bottom) in pixels of its film."""


class KneeGrader:
    """Grades films with one verified bundle. It holds no state between films, so threads may share it.

    Args:
        bundle: The verified bundle.
        revision: The name of the bundle's version in reports, such as a commit of the Hub. None takes the first 12 hex
            digits of the manifest's SHA-256.
        threads: Threads of one forward pass. 0 lets onnxruntime choose.
        level: Coverage level of the prediction sets, one of those in the bundle. None is its first.
        decode_process: How many processes decode films, see `from_pretrained`.
        network: The grading network of the bundle if it is already being opened. The first knee waits for it. None
            opens it here.

    Attributes:
        bundle: The bundle whose networks grade.
        revision: The revision that every report names.
        screener: Finds the knees of a film and decides which of them are graded.
        threads: Threads of one forward pass; 0 if onnxruntime chooses.
        decode_process: How many processes decode films; 0 if this process does.

    Examples:
        >>> import kneeoa_hub
        >>> from kneeoa_hub.bundle import read_bundle
        >>> grader = kneeoa_hub.KneeGrader(read_bundle(kneeoa_hub.pull()))
        >>> grader.level
        0.9
    """

    def __init__(
        self,
        bundle: Bundle,
        revision: str | None = None,
        threads: int = 0,
        level: float | None = None,
        decode_process: int | None = None,
        network: Future[Network] | None = None,
    ):
        if not isinstance(bundle, Bundle):
            raise SettingsError(f"A {type(bundle).__name__} is not a verified bundle; call kneeoa_hub.from_pretrained.")
        check_count("threads", threads)
        config = bundle.config
        self.bundle: Bundle = bundle
        self.revision: str = revision or bundle.digest
        networks = open_networks(bundle, threads, network)
        self._network = networks.grading
        self.screener: Screener = networks.screener
        self._read_markers = MarkerReader(threads)
        self._distances = TrainingDistances(config.refusal)
        self._conformal = config.conformal.at(level)
        settings = Settings.from_environ()
        self._limits = Limits(settings.max_bytes, settings.max_pixels)
        self.threads: int = threads
        self.decode_process: int = settings.decode_process if decode_process is None else decode_process
        check_count("decode_process", self.decode_process)
        self._decode_file = _file_decoder(self.decode_process, self._limits)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle writes: where the bundle is, and how it was opened, see `pickled`."""
        options = self.revision, self.threads, self.level, self.decode_process
        return opened, (type(self), *place_of(self.bundle), *options)

    def __repr__(self) -> str:
        return f"<KneeGrader: {self.model} {self.revision}, prediction sets of {self.level:.0%}>"

    @property
    def network(self) -> Network:
        """The grading network in onnxruntime. Raises BundleError if it cannot be opened."""
        return self._network.result()

    @property
    def model(self) -> str:
        """The bundle's name."""
        return self.bundle.config.name

    @property
    def level(self) -> float:
        """The coverage level: the proportion of prediction sets that hold the reader's grade, on films like the
        calibration's."""
        return self._conformal.level

    def grade(self, film: FilmInput, boxes: Boxes | None = None, *, force: bool = False) -> FilmReport:
        """Grade every knee of a film.

        Args:
            film: A path, bytes, a binary file, a PIL image, or an array [H,W] of uint8, uint16 or finite floats with
                bright bone.
            boxes: (left, top, right, bottom) of each knee in pixels of the film. None finds the knees.
            force: Grade the film even if it is refused. The report holds the refusal and a warning then.

        Returns:
            The knees with their grades, or the reason for the refusal.

        Raises:
            FilmError: The film cannot be decoded or is over a limit, or a box does not lie in it.

        Examples:
            >>> import kneeoa_hub
            >>> from kneeoa_hub.imaging.phantom import sample_films
            >>> film = sample_films()["both-knees"].pixels
            >>> report = kneeoa_hub.from_pretrained().grade(film)
            >>> report.refused is None
            True
            >>> [knee.side for knee in report.knees]
            ['right', 'left']
            >>> report.knees[0].grade in report.knees[0].grade_set
            True
        """
        decoded = decode(film, self._limits, self._decode_file)
        given = None if boxes is None else checked_boxes(boxes, decoded)
        refused = check_pixels(decoded, self.bundle.config.refusal, given or ())
        if refused and not force:
            return self._report(decoded, refused)
        screening = self.screener(decoded, given)
        refused = refused or screening.refused
        if refused and not force:
            return self._report(decoded, refused)
        return self._graded(decoded, screening, refused, force)

    def grade_batch(
        self,
        films: Iterable[FilmInput],
        *,
        boxes: Iterable[Boxes | None] | None = None,
        workers: int = 1,
        force: bool = False,
    ) -> Iterator[FilmReport | KneeOAError]:
        """Grade many films, and go on if one fails.

        Args:
            films: What `grade` takes, one after the other.
            boxes: For each film its knees as `grade` takes them, or None to find them. By default all are found.
            workers: How many films are graded at a time.
            force: Grade films even if they are refused, see `grade`.

        Returns:
            A report or an error for each film, in the order of the films, each made when it is asked for.

        Raises:
            FilmError: One film was given in place of several, or boxes for more or fewer films.
            SettingsError: `workers` is not a whole number.

        Examples:
            >>> import kneeoa_hub
            >>> from kneeoa_hub.imaging.phantom import sample_films
            >>> films = [sample_films()["mild"].pixels, b"not a film"]
            >>> for answer in kneeoa_hub.from_pretrained().grade_batch(films):
            ...     print(type(answer).__name__)
            FilmReport
            UnsupportedFilm
        """
        check_films(films, "grade_batch")
        check_count("workers", workers)
        asked = ((film, given, force) for film, given in with_boxes(films, boxes))
        if workers <= 1:
            return (self._report_or_error(*one) for one in asked)
        return self._in_threads(asked, workers)

    def grade_frame(
        self, films: str | Path | Iterable[FilmInput] | Mapping[str, FilmInput], *, workers: int = 1
    ) -> "pandas.DataFrame":
        """Grade many films into a pandas table with a row for each knee (extra `pandas`).

        It has the columns of `kneeoa grade --csv`. A film that was refused or failed has one row that says why. A
        warning names the files of a folder that were skipped.

        Args:
            films: A folder, a film, films as `grade` takes them, or a mapping from names to films. Paths name their
                film in the column `film`; other films have the number of their place, from 0.
            workers: How many films are graded at a time.

        Returns:
            A pandas.DataFrame, in the order of the films.

        Raises:
            FilmError: A folder holds no film, or what was given is not films: a pandas.DataFrame for example, in place
                of its column of paths.
            SettingsError: `workers` is not a whole number.
            MissingExtra: pandas is not installed.

        Examples:
            >>> import kneeoa_hub
            >>> from kneeoa_hub.imaging.phantom import sample_films
            >>> films = {name: film.pixels for name, film in sample_films().items() if name in ("mild", "both-knees")}
            >>> kneeoa_hub.from_pretrained().grade_frame(films)[["film", "side"]].values.tolist()
            [['mild', <NA>], ['both-knees', 'right'], ['both-knees', 'left']]
        """
        from .output.notebook import frame

        several: Any = [films] if is_one_film(films) else films
        check_films(films.values() if isinstance(films, Mapping) else several, "grade_frame")
        if isinstance(films, str | Path):
            several, notes = films_of([str(films)])
            for note in notes:
                warn(note, stacklevel=2)
        numbered = (
            (str(film if isinstance(film, str | Path) else number), film) for number, film in enumerate(several)
        )
        named = list(films.items() if isinstance(films, Mapping) else numbered)
        names, given = zip(*named, strict=True) if named else ((), ())
        return frame(zip(names, self.grade_batch(given, workers=workers), strict=True))

    def keras_model(self) -> Any:
        """Load the Keras 3 model with the ensemble inside (extra `tune`).

        To train it further, compile its one output: `keras.Model(model.inputs, model.output["probabilities"])`.

        Returns:
            A model that is not compiled, from image [N,H,W,1] float32 to a dict of "probabilities" [N,5], "embedding"
            [N,D] and "activation_map" [N,h,w].

        Raises:
            MissingExtra: Keras is not installed.
            SettingsError: Keras does not start with its own settings, such as KERAS_BACKEND.
            BundleError: The files have changed since the grader was made, or are not a model of safe layers alone.
        """
        try:
            import keras  # noqa: F401
        except ImportError as error:
            raise MissingExtra(
                f"The Keras model needs TensorFlow and Keras ({error}); pip install 'kneeoa-hub[tune]'"
            ) from None
        except ValueError as error:  # of a variable or keras.json that is not of this Keras
            raise SettingsError(
                f"Keras does not start with its settings ({error}); correct KERAS_BACKEND and the other variables"
                " KERAS_*, or keras.json."
            ) from None
        verify(self.bundle.folder)
        try:
            return load_model(self.bundle.folder)
        except Exception as error:  # Keras raises any kind of exception for a configuration that is not its own
            reason = str(error).split("\n")[0][:200]
            raise BundleError(
                f"{self.bundle.folder}: the Keras model is incomplete or not safe to load ({reason}); export it again."
            ) from None

    def _in_threads(
        self, asked: Iterable[tuple[FilmInput, Boxes | None, bool]], workers: int
    ) -> Iterator[FilmReport | KneeOAError]:
        with ThreadPoolExecutor(workers) as pool:
            yield from in_order(pool, self._report_or_error, asked, workers)

    def _report_or_error(self, film: FilmInput, boxes: Boxes | None, force: bool) -> FilmReport | KneeOAError:
        try:
            return self.grade(film, boxes, force=force)
        except KneeOAError as error:
            return error
        except Exception as error:  # one film must never end the batch, whatever a defect of ours makes of it
            kind = PassingFault if isinstance(error, MemoryError) else FilmError
            return kind(f"The film can't be graded ({type(error).__name__}: {error}); grade it by itself.")

    def _graded(self, film: Film, screening: Screening, refused: Refusal | None, force: bool) -> FilmReport:
        """Run the network on the knees that the screening found, and report them."""
        config = self.bundle.config
        letterboxed = [letterbox(screening.film.pixels, region, config.input) for region in screening.graded]
        outputs = self.network.run(np.stack([network_values(one, config.input) for one in letterboxed]))
        distances = self._distances(outputs.embedding)
        if not refused and distances.min() > config.refusal.max_distance:
            refused = refuse("not-a-knee", float(distances.min()))
        if refused and not force:
            return self._report(film, refused)
        sides, warnings = knee_sides(
            film,
            screening,
            partial(self._read_markers, screening.film.pixels, (screening.chosen_from or screening).boxes),
        )
        given = knee_grades(config, self._conformal, screening, sides, letterboxed, outputs)
        sizes = [len(knee.grade_set) for knee in given]
        warnings += doubts(screening, knee_names(given), sizes, distances, letterboxed, config.refusal)
        if refused:
            warnings = (*warnings, FORCED)
        return self._report(film, refused, tuple(sorted(given, key=lambda knee: knee.box)), warnings)

    def _report(
        self,
        film: Film,
        refused: Refusal | None,
        knees: tuple[KneeGrade, ...] = (),
        warnings: tuple[str, ...] = (),
    ) -> FilmReport:
        return FilmReport(
            knees,
            refused,
            film.warnings + warnings,
            self.model,
            self.revision,
            self.level,
            film.as_given,
            film.quality,
            self.bundle.config.protocol or None,
        )


def _file_decoder(processes: int, limits: Limits) -> FileDecoder:
    """Return the function that decodes a film's file.

    It uses so many processes, or this one on Windows, which has no such processes.
    """
    if not processes or os.name != "posix":
        return decode_file
    from .imaging.decode_process import DecodeProcesses  # which Windows cannot import

    return DecodeProcesses(processes, limits)
