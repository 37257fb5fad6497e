"""Grades an archive on Ray Data: each actor has one grader, takes parts of the archive, and writes a file for each."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..arguments import check_count, checked_path, checked_paths
from ..bundle import Bundle
from ..errors import MissingExtra
from ..escaping import escape_for_terminal
from ..hub.address import Folder, parse_address
from ..hub.pull_push import pull_bundle, revision_of
from ..opening import from_pretrained
from ..third_party import quiet_ray
from .files import GradedFiles
from .parts import Part, contents, parts_of

FILMS_A_PART = 256
"""A part takes some seconds: much longer than it takes Ray to hand it out, and short enough to be graded again."""
MOST_FILMS_A_PART = 1_000_000
"""A part is kept in memory until it is written."""
PART_FIELDS = [field.name for field in fields(Part)]
AT_A_TIME = 2
"""Films that an actor has in hand: the next one is read while a network runs."""


@dataclass(frozen=True)
class GradedDataset:
    """What `grade_dataset` did.

    Attributes:
        out: The folder of Parquet files. `pandas.read_parquet` and every other engine read it as one table.
        films: Films in the archive.
        graded: Films that this run graded; the others were there before.
        failed: Films that have an error in place of a grade, whichever run it was.
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
        revision: Its revision, where the address holds none.
        local_files_only: Use no network to get the bundle.
        level: Coverage level of the prediction sets. None means the bundle's first.
        force: Grade refused films, too.
        workers: Number of graders, each on one core. None means one for each core of the cluster.
        films_per_part: Number of films that a worker takes at a time, and about the number of rows of a file.
        retry_failed: Grade those parts again in which films failed.

    Returns:
        The number of films, of those graded now, and of those that failed. A failed film has a row with its error.

    Raises:
        MissingExtra: Ray is not installed.
        SettingsError: `out` holds answers of another revision or level, or two films have one name.
        FilmError: A source holds no film, or cannot be read.
        OutputError: `out` cannot be written.
        BundleError: The bundle is damaged.

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
    ray = _ray()
    bundle = pull_bundle(address, revision=revision, local_files_only=local_files_only)
    options = _grader_options(bundle, address, revision, local_files_only, level)
    files = GradedFiles(folder, revision_of(bundle.folder), options["level"])
    finished = files.finished(again=retry_failed)
    parts, films, notes = parts_of(sources, films_per_part, finished.films)
    for note in notes:
        print(escape_for_terminal(note), file=sys.stderr)
    failed = _grade_parts(ray, parts, workers, files, options, force) if parts else 0
    return GradedDataset(files.address, films, sum(len(part.films) for part in parts), len(finished.failed) + failed)


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
    """Grade the parts on actors, and return how many films failed. Ray is started where it does not run yet."""
    from tqdm import tqdm

    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    workers = max(1, min(workers or int(ray.cluster_resources().get("CPU", 1)), len(parts)))
    failed = 0
    with tqdm(total=sum(len(part.films) for part in parts), unit="film", disable=None, file=sys.stderr) as bar:
        for row in on_actors(ray, parts, workers, _PartGrader, (files, options, force)):
            failed += int(row["failed"])
            bar.update(int(row["graded"]))
    return failed


def on_actors(
    ray: Any, parts: Sequence[Part], workers: int, actor: type, given: tuple[Any, ...]
) -> Iterator[dict[str, Any]]:
    """Hand parts out to actors, and yield what these return for each part.

    Args:
        ray: The module, initialised.
        parts: The parts.
        workers: Number of actors, each on one core.
        actor: Their class, which is called with batches of one part.
        given: What an actor is made with.
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


class _PartGrader:
    """An actor: a grader, which turns parts into files."""

    def __init__(self, files: GradedFiles, options: dict[str, Any], force: bool):
        self._files, self._force = files, force
        self._grader = from_pretrained(**options, threads=1)
        files.check_revision(self._grader.revision)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[int]]:
        """Grade the parts of a batch, and return how many films of each were graded, and how many failed."""
        graded, failed = [], []
        for films, table, group, base in zip(*(batch[name] for name in PART_FIELDS), strict=True):
            part = Part(tuple(map(str, films)), str(table), int(group), str(base))
            answers = self._grader.grade_batch(contents(part), workers=AT_A_TIME, force=self._force)
            failed.append(self._files.write(part.name, zip(part.films, answers, strict=True)))
            graded.append(len(part.films))
        return {"graded": graded, "failed": failed}


def _ray() -> Any:
    """Import Ray, which then reports to nobody. Raises MissingExtra."""
    quiet_ray()
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtra(f"An archive is graded on Ray ({error}); pip install 'kneeoa-hub[ray]'") from None
    return ray
