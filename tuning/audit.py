"""Step 1: decode every film, find copies, make splits that no patient and no copy crosses."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kneeoa_hub.errors import DataError, FilmError
from kneeoa_hub.evidence import Overlap, ShortcutEvidence
from kneeoa_hub.grades import LABELS, NUM_GRADES
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.film import Film, Limits
from kneeoa_hub.imaging.locate import find_knees

from .data.duplicates import clusters, detail, near_pairs, pixel_hash, shifted_pairs, thumbnail
from .data.exposure import brightness, inverted, small
from .data.overlaps import folder_of, overlaps
from .data.shortcuts import deep, header, shortcut_scores
from .data.sources import FilmReader, Labelled, read_labels
from .data.table import SEVERAL, AuditedFilm, write_films
from .run import steps

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
SPLITS = tuple(SHARES)


def audit(data: Sequence[str], out: Path, seed: int = 0) -> Path:
    """Write films.csv, audit.json and report.md to `out`; returns it.

    Raises DataError for data that can't be used at all; a film that can't be read is reported and left out.
    """
    labels = read_labels(data)
    steps.begin(out, "audit", "", {"data": [str(item) for item in data], "seed": seed})
    if (out / "audit.json").exists():
        return out
    films, thumbnails, details, smalls, seen, unreadable = _decode_all(labels)
    if not films:
        raise DataError(f"None of {len(labels)} films could be read; the first: {unreadable[0]['error']}")
    films = _mark_inverted(films, np.stack(smalls))
    pairs = near_pairs(np.stack(thumbnails))
    shifted = shifted_pairs(np.stack(details))
    films = _split(grouped := _group(films, pairs, shifted), seed)
    write_films(out / "films.csv", films)
    summary = _summary(films, pairs, shifted, unreadable)
    summary["overlaps"] = {
        "folders": overlaps(grouped, [folder_of(film) for film in grouped]),
        "given_splits": overlaps(grouped, [f"{film.dataset}: {film.split}" if film.split else "" for film in grouped]),
    }
    summary["shortcuts"] = _shortcuts(films, seen)
    summary["files_of_16_bits"] = sum(map(deep, seen["file header and size"]))
    (out / "report.md").write_text(_report(summary), "utf-8")
    steps.write_json(out / "audit.json", summary)
    return out


def _decode_all(
    labels: list[Labelled],
) -> tuple[
    list[AuditedFilm],
    list[np.ndarray],
    list[np.ndarray],
    list[np.ndarray],
    dict[str, list[tuple[float, ...]]],
    list[dict[str, str]],
]:
    """Films, their thumbnails and details for finding copies, others for telling polarity, what a shortcut would see of
    each, and what could not be read.
    """
    films, thumbnails, details, smalls, unreadable = [], [], [], [], []
    seen: dict[str, list[tuple[float, ...]]] = {"file header and size": [], "mean brightness": []}
    with FilmReader() as reader:
        for label in steps.progress(labels, "audit: decoding"):
            try:
                content = reader.read(label.source, label.file)
                film = decode(content, Limits())
            except (FilmError, DataError) as error:
                unreadable.append({"file": label.file, "error": error.message})
                continue
            films.append(_audited(label, content, film))
            thumbnails.append(thumbnail(film.pixels))
            details.append(detail(film.pixels))
            smalls.append(small(film.pixels))
            seen["file header and size"].append(header(content))
            seen["mean brightness"].append(brightness(film.pixels))
    return films, thumbnails, details, smalls, seen, unreadable


def _mark_inverted(films: list[AuditedFilm], smalls: np.ndarray) -> list[AuditedFilm]:
    """Compared with the other single knees of the same dataset."""
    marked = list(films)
    for dataset in sorted({film.dataset for film in films}):
        rows = [row for row, film in enumerate(films) if film.dataset == dataset and film.knees == 1]
        for row in np.array(rows)[inverted(smalls[rows])] if rows else ():
            marked[row] = replace(films[row], inverted=1)
    return marked


def _shortcuts(
    films: list[AuditedFilm], seen: dict[str, list[tuple[float, ...]]]
) -> dict[str, dict[str, ShortcutEvidence]]:
    """By dataset and by what is seen, how far the grade can be told from that alone; every film of the dataset
    counts.
    """
    result: dict[str, dict[str, ShortcutEvidence]] = {}
    for dataset in sorted({film.dataset for film in films}):
        rows = [row for row, film in enumerate(films) if film.dataset == dataset]
        grades, groups = np.array([films[row].grade for row in rows]), np.array([films[row].group for row in rows])
        figures = {
            name: shortcut_scores([values[row] for row in rows], grades, groups) for name, values in seen.items()
        }
        result[dataset] = {name: figure for name, figure in figures.items() if figure}
    return result


def _audited(label: Labelled, content: bytes, film: Film) -> AuditedFilm:
    knees = len(find_knees(film.pixels))
    return AuditedFilm(
        label.dataset,
        label.source,
        label.file,
        label.grade,
        f"{label.dataset}:{label.group}" if label.group else "",
        label.side or "",
        label.split or "",
        hashlib.sha256(content).hexdigest(),
        pixel_hash(film.pixels),
        film.width,
        film.height,
        knees,
        0,
        "yes" if knees == 1 else SEVERAL,
        brightness=round(brightness(film.pixels)[0], 6),
    )


def _group(
    films: list[AuditedFilm], pairs: list[tuple[int, int, bool]], shifted: list[tuple[int, int, bool]]
) -> list[AuditedFilm]:
    """Join patients and copies, be they of bytes, of pixels, near or mirrored, into groups, and those that show one
    knee shifted into kin.
    """
    links = [(i, j) for i, j, _ in pairs]
    for key in ("group", "sha256", "pixel_sha256"):
        first: dict[str, int] = {}
        for index, film in enumerate(films):
            if getattr(film, key):
                links.append((first.setdefault(getattr(film, key), index), index))

    def names(links: list[tuple[int, int]]) -> list[str]:
        return [films[root].group or f"{films[root].dataset}:cluster-{root}" for root in clusters(len(films), links)]

    groups, leakage_groups = names(links), names(links + [(i, j) for i, j, _ in shifted])
    return [
        replace(film, group=group, leakage_group=shared)
        for film, group, shared in zip(films, groups, leakage_groups, strict=True)
    ]


def _split(films: list[AuditedFilm], seed: int) -> list[AuditedFilm]:
    """Give each kin without a split the one that its grade lacks most; one with a given split keeps it.

    Where kin were given several splits, their films outside the most held-out one are left out. A training film's
    copies are left out too, and all of them where the same pixels have two grades; held-out films all count, as their
    convention says.
    """
    groups: dict[str, list[AuditedFilm]] = defaultdict(list)
    for film in films:
        groups[film.leakage_group].append(film)
    filled: Counter[tuple[int, str]] = Counter()
    chosen: dict[str, str] = {}

    def order(group: str) -> bytes:
        return hashlib.sha256(f"{seed}:{group}".encode()).digest()

    for group in sorted(groups, key=order):
        given = {film.split for film in groups[group] if film.split}
        grade = max(film.grade for film in groups[group])
        if given:
            chosen[group] = min(given, key=["test", "val", "train"].index)
            continue
        total = 1 + sum(filled[grade, split] for split in SPLITS)
        lack = {split: share * total - filled[grade, split] for split, share in SHARES.items()}
        chosen[group] = max(lack, key=lambda split: lack[split])
        filled[grade, chosen[group]] += 1
    result = []
    trained: set[str] = set()
    grades = _grades_of_pixels(films)
    for film in films:
        split, use = film.split or chosen[film.leakage_group], film.use
        if use == "yes" and split != chosen[film.leakage_group]:
            use = f"the same patient or knee is also in {chosen[film.leakage_group]}"
        if use == "yes" and split == "train" and len(grades[film.pixel_sha256]) > 1:
            use = "the same picture has another grade"
        if use == "yes" and split == "train" and film.pixel_sha256 in trained:
            use = "copy of another training film"
        trained.add(film.pixel_sha256)
        result.append(replace(film, split=split, use=use))
    return result


def _grades_of_pixels(films: Sequence[AuditedFilm]) -> dict[str, set[int]]:
    """By pixel hash, the grades that the picture was given."""
    grades = defaultdict(set)
    for film in films:
        grades[film.pixel_sha256].add(film.grade)
    return grades


def _summary(
    films: list[AuditedFilm],
    pairs: list[tuple[int, int, bool]],
    shifted: list[tuple[int, int, bool]],
    unreadable: list[dict[str, str]],
) -> dict[str, Any]:
    splits: dict[str, dict[str, list[int]]] = {}
    for dataset in sorted({film.dataset for film in films}):
        splits[dataset] = {
            split: [
                sum(f.dataset == dataset and f.split == split and f.grade == grade and f.use == "yes" for f in films)
                for grade in range(NUM_GRADES)
            ]
            for split in SPLITS
        }
    copies = sum(n - 1 for n in Counter(f.sha256 for f in films).values())
    pixel_copies = sum(n - 1 for n in Counter(f.pixel_sha256 for f in films).values())
    new = [(films[i], films[j]) for i, j, _ in shifted if films[i].group != films[j].group]
    return {
        "films": len(films),
        "unreadable": unreadable,
        "fingerprint": steps.hash_of(sorted((f.sha256, f.grade, f.split, f.use) for f in films)),
        "groups": len({film.group for film in films}),
        "clusters": {
            dataset: _clusters([film for film in films if film.dataset == dataset])
            for dataset in sorted({film.dataset for film in films})
        },
        "byte_copies": copies,
        "pixel_copies": pixel_copies,
        "near_duplicate_pairs": sum(not mirrored for _, _, mirrored in pairs),
        "mirrored_pairs": sum(mirrored for _, _, mirrored in pairs),
        "shifted_pairs": len(new),
        "largest_kin": max(Counter(film.leakage_group for film in films).values()),
        "shifted_pairs_other_grade": sum(one.grade != other.grade for one, other in new),
        "shifted_pairs_of_two_datasets": sum(one.dataset != other.dataset for one, other in new),
        "inverted": dict(sorted(Counter(f.dataset for f in films if f.inverted).items())),
        "same_picture_other_grade": sum(len(grades) > 1 for grades in _grades_of_pixels(films).values()),
        "left_out": dict(Counter(f.use for f in films if f.use != "yes")),
        "splits": splits,
    }


def _clusters(films: list[AuditedFilm]) -> dict[str, int]:
    """How many groups there are, how many of several films, and how many of these under several grades."""
    grades = defaultdict(list)
    for film in films:
        grades[film.group].append(film.grade)
    return {
        "groups": len(grades),
        "of_several_films": sum(len(given) > 1 for given in grades.values()),
        "of_several_grades": sum(len(set(given)) > 1 for given in grades.values()),
    }


def _report(summary: dict[str, Any]) -> str:
    lines = [
        "# Audit of the films",
        "",
        (
            f"{summary['films']} films were read, {len(summary['unreadable'])} could not be. They make"
            f" {summary['groups']} groups (patients, and clusters of copies); of those used, no group, and no knee that"
            " was found in several, crosses a split."
        ),
        "",
        f"- byte copies: {summary['byte_copies']}; pixel copies: {summary['pixel_copies']}",
        (
            f"- pictures of 16 bits (PNG, TIFF): {summary['files_of_16_bits']}; films of several knees:"
            f" {summary['left_out'].get(SEVERAL, 0)}"
        ),
        f"- near-duplicate pairs: {summary['near_duplicate_pairs']}; mirrored pairs: {summary['mirrored_pairs']}",
        (
            f"- pairs beyond these that show one knee, shifted: {summary['shifted_pairs']},"
            f" {summary['shifted_pairs_other_grade']} of them under different grades,"
            f" {summary['shifted_pairs_of_two_datasets']} of them of two datasets; the largest kin has"
            f" {summary['largest_kin']} films (many more than a knee is likely to have been filmed are a fault of the"
            " films, such as a frame that they share)"
        ),
        f"- the same pixels under different grades: {summary['same_picture_other_grade']}",
        *(
            f"- {dataset}: {found['groups']} groups, {found['of_several_films']} of several films,"
            f" {found['of_several_grades']} of several grades"
            for dataset, found in summary["clusters"].items()
        ),
        *(
            f"- inverted grays, put right when they are used: {count} films of {dataset}"
            for dataset, count in summary["inverted"].items()
        ),
        *(f"- left out, {reason}: {count}" for reason, count in sorted(summary["left_out"].items())),
        "",
        "| dataset | split | " + " | ".join(LABELS) + " | all |",
        "|---|---|" + "---|" * (NUM_GRADES + 1),
    ]
    for dataset, splits in summary["splits"].items():
        for split, counts in splits.items():
            lines.append(f"| {dataset} | {split} | " + " | ".join(map(str, counts)) + f" | {sum(counts)} |")
    lines += _shortcut_lines(summary["shortcuts"]) + _overlap_lines(summary["overlaps"])
    lines += ["", *(f"- not read: {item['file']}: {item['error']}" for item in summary["unreadable"]), ""]
    return "\n".join(lines)


def _shortcut_lines(shortcuts: dict[str, dict[str, ShortcutEvidence]]) -> list[str]:
    rows = [(dataset, name, scores) for dataset, found in shortcuts.items() for name, scores in found.items()]
    if not rows:
        return []
    lines = [
        "",
        (
            "What tells the grade without a look at the knee (boosted trees, cross-validated by group; by chance 0 and"
            " .20):"
        ),
        "",
    ]
    lines += ["| dataset | seen | QWK | balanced accuracy |", "|---|---|---|---|"]
    lines += [
        f"| {dataset} | {name} | {scores.qwk:.3f} | {scores.balanced_accuracy:.3f} |" for dataset, name, scores in rows
    ]
    return lines


def _overlap_lines(found: dict[str, list[Overlap]]) -> list[str]:
    lines = []
    for kind, rows in found.items():
        for row in rows:
            grades = f"; of these {row.equal_grades:.1%} have equal grades" if row.equal_grades is not None else ""
            grades += f", kappa {row.qwk:.3f}" if row.qwk is not None else ""
            lines.append(
                f"- {kind.replace('_', ' ')}: of {row.films} films of {row.first}, {row.same_pixels} lie in"
                f" {row.second} pixel by pixel{grades}; {row.same_group} have a copy or the same patient there"
            )
    return ["", "The same pictures in two places:", "", *lines] if lines else []
