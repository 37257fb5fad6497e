"""Grades an archive on Ray Data: each actor has one grader, takes parts of the archive, and writes a file for each."""

import pickle
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from ..arguments import check_count, checked_path, checked_paths
from ..bundle import Bundle
from ..errors import KneeOAError, MissingExtra, SettingsError
from ..escaping import escape_for_terminal
from ..grader import KneeGrader
from ..hub.address import Folder, parse_address
from ..hub.pull_push import pull_bundle, revision_of
from ..opening import from_pretrained
from ..third_party import quiet_ray
from .files import GradedFiles
from .parts import Part, contents, list_films, reason_of, rounds

FILMS_A_PART = 256
"""A part has 256 films, which take some seconds: much longer than handing it out on Ray, and short enough to be graded
again."""
MOST_FILMS_A_PART = 1_000_000
"""A part has at most a million films, since it is kept in memory until it is written."""
PART_FIELDS = [field.name for field in fields(Part)]
AT_A_TIME = 2
"""An actor holds two films at a time. The next one is read while a network runs."""


@dataclass(frozen=True)
class GradedDataset:
    """Says what `grade_dataset` did.

    Attributes:
        out: The folder of Parquet files. `pandas.read_parquet` and every other engine read it as one table.
        films: Films in the source.
        graded: Films of the source that this run graded; the others were there before.
        failed: Films of the source that have an error in place of a grade, whichever run it was.
    """

    out: str
    films: int
    graded: int
    failed: int


def grade_dataset(
    source: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    address: str | Path | None = None,
    revision: str | None = None,
    local_files_only: bool = False,
    level: float | None = None,
    force: bool = False,
    workers: int | None = None,
    films_per_part: int = FILMS_A_PART,
    retry_failed: bool = False,
) -> GradedDataset:
    """Grade an archive of films on Ray Data into Parquet files (extra `ray`).

    The same call continues a run that was stopped: it skips films that `out` holds. If a worker dies, another gets its
    part. The cluster is that of `ray.init` or RAY_ADDRESS; without either, Ray starts on this machine. On a cluster,
    every worker must reach films, `out` and the bundle by the same address.

    Args:
        source: A film, a folder, an address of fsspec ("s3://bucket/films"), a Parquet file with columns `film` (a
            name) and `content` (the bytes), or several of them.
        out: The folder of the answers, or an address of fsspec.
        address: The bundle, as in `from_pretrained`.
        revision: Its revision, if the address holds none.
        local_files_only: Use no network to get the bundle.
        level: Coverage level of the prediction sets. None means the bundle's first.
        force: Grade refused films, too.
        workers: Number of graders, each on one core. None means one for each core of the cluster.
        films_per_part: Number of films that a worker takes at a time, and about the number of rows of a file.
        retry_failed: Grade those films of the source again that failed. Their errors stay until then, and all other
            answers stay as they are.

    Returns:
        The number of films, of those graded now, and of those that failed. A failed film has a row with its error.

    Raises:
        MissingExtra: Ray is not installed.
        SettingsError: `out` holds answers of another revision or level, two films have one name, or Ray cannot start.
        FilmError: A source holds no film, or cannot be read.
        OutputError: `out` cannot be written.
        BundleError: The bundle is damaged.
        KneeOAError: Ray stopped the run.

    Examples:
        >>> import kneeoa_hub
        >>> from kneeoa_hub.imaging.phantom import write_films
        >>> _ = write_films("films", 10)
        >>> kneeoa_hub.grade_dataset("films", "grades", workers=1).failed
        0
        >>> kneeoa_hub.grade_dataset("films", "grades", workers=1).graded
        0
    """
    sources, folder = checked_paths("source", source), checked_path("out", out)
    check_count("films_per_part", films_per_part, 1, MOST_FILMS_A_PART)
    check_count("workers", workers or 0)
    ray = imported_ray()
    archive = list_films(sources)
    for note in archive.notes:
        print(escape_for_terminal(note), file=sys.stderr)
    bundle = pull_bundle(address, revision=revision, local_files_only=local_files_only)
    options = _grader_options(bundle, address, revision, local_files_only, level)
    files = GradedFiles(folder, revision_of(bundle.folder), options["level"])
    finished = files.finished()
    failed = {film: file for film, file in finished.failed.items() if film in archive.films}
    again = failed if retry_failed else {}
    parts = archive.parts(films_per_part, finished.films, again)
    now = sum(_grade_parts(ray, turn, workers, files, options, force) for turn in rounds(parts))
    graded = sum(len(part.films) for part in parts)
    return GradedDataset(files.address, len(archive.films), graded, len(failed) - len(again) + now)


def _grader_options(
    bundle: Bundle, address: str | Path | None, revision: str | None, local_files_only: bool, level: float | None
) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` by which every worker loads the bundle that was pulled here."""
    if address is not None and isinstance(parse_address(address, revision), Folder):
        address, revision = bundle.folder.absolute(), None  # a worker has a working folder of its own
    return {
        "address": address,
        "revision": revision,
        "local_files_only": local_files_only,
        "level": bundle.config.conformal.at(level).level,
    }


def _grade_parts(
    ray: Any, parts: Sequence[Part], workers: int | None, files: GradedFiles, options: dict[str, Any], force: bool
) -> int:
    """Grade the parts on actors, and return how many films failed. Ray is started if it does not run yet.

    Raises:
        KneeOAError: A worker's own error, or one that says why Ray stopped.
    """
    from tqdm import tqdm

    if not ray.is_initialized():
        try:
            ray.init(log_to_driver=False)
        except Exception as error:  # no cluster at RAY_ADDRESS, or a machine without room
            raise SettingsError(f"Ray can't start ({reason_of(error)}); check RAY_ADDRESS.") from None
    workers = max(1, min(workers or int(ray.cluster_resources().get("CPU", 1)), len(parts)))
    failed = 0
    with tqdm(total=sum(len(part.films) for part in parts), unit="film", disable=None, file=sys.stderr) as bar:
        try:
            with closing(on_actors(ray, parts, workers, PartGrader, (files, options, force))) as done:
                for row in done:
                    if row["error"]:
                        raise pickle.loads(row["error"])
                    failed += int(row["failed"])
                    bar.update(int(row["graded"]))
        except ray.exceptions.RayError as error:
            said = str(error).strip().splitlines()[-1:] or [""]  # above it is the traceback of the worker
            reason = f"{type(error).__name__}: {said[0]}"[:200]
            raise KneeOAError(f"Ray stopped the run ({reason}); the same call resumes it.") from None
    return failed


def on_actors(
    ray: Any, parts: Sequence[Part], workers: int, actor: type, given: tuple[Any, ...]
) -> Generator[dict[str, Any], None, None]:
    """Hand parts out to actors, and yield what these return for each part.

    Args:
        ray: The module, initialised.
        parts: The parts.
        workers: Number of actors, each on one core.
        actor: Their class, which is called with batches of one part.
        given: The arguments with which an actor is made.
    """
    ray.data.DataContext.get_current().enable_progress_bars = False  # films are counted, not parts
    items = [asdict(part) for part in parts]
    # A row is a part of some hundred names, and a block holds one: Ray keeps few of them under way, so an archive of
    # any size takes no more memory than a small one.
    done = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        actor,
        fn_constructor_args=given,
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    yield from done.iter_rows()


class PartGrader:
    """Grades parts into files, as an actor of Ray.

    It returns its errors. If it raised them, Ray would return the text of a traceback in place of the error.
    """

    def __init__(self, files: GradedFiles, options: dict[str, Any], force: bool):
        self._files, self._options, self._force = files, options, force

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Grade the parts of a batch, and return for each how many films were graded, how many failed, and an error."""
        graded, failed, errors = [], [], []
        for films, table, group, base, file in zip(*(batch[name] for name in PART_FIELDS), strict=True):
            part = Part(tuple(map(str, films)), str(table), int(group), str(base), str(file))
            faults, error = 0, b""
            try:
                faults = self._grade(part)
            except KneeOAError as own:
                error = pickle.dumps(own)
            except Exception as other:
                error = pickle.dumps(KneeOAError(f"A worker failed ({reason_of(other)}); report it, please."))
            graded.append(len(part.films))
            failed.append(faults)
            errors.append(error)
        return {"graded": graded, "failed": failed, "error": errors}

    def _grade(self, part: Part) -> int:
        answers = self._grader.grade_batch(contents(part), workers=AT_A_TIME, force=self._force)
        return self._files.write(part.name, zip(part.films, answers, strict=True))

    @cached_property
    def _grader(self) -> KneeGrader:
        grader = from_pretrained(**self._options, threads=1)
        self._files.check_revision(grader.revision)
        return grader


def imported_ray() -> Any:
    """Import Ray, which then reports to nobody. Raises MissingExtra."""
    quiet_ray()
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra(f"An archive is graded on Ray ({error}); pip install 'kneeoa-hub[ray]'") from None
    return ray
