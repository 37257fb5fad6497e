"""The report of the audit, report.md, is its summary as Markdown."""

from collections.abc import Mapping, Sequence

from kneeoa_hub.evidence import Overlap, ShortcutEvidence
from kneeoa_hub.grades import LABELS, NUM_GRADES

from .summary import AuditSummary
from .table import SEVERAL_KNEES


def report(summary: AuditSummary) -> str:
    """Return the report of an audit."""
    lines = [
        "# Audit of the films",
        "",
        f"{summary.films} films were read, {len(summary.unreadable)} could not be read. They form {summary.groups}"
        " groups (patients, and clusters of copies). Of the films in use, no group and no knee that several films show"
        " is in two splits.",
        "",
        *_count_lines(summary),
        "",
        *_split_lines(summary.splits),
        *_shortcut_lines(summary.shortcuts),
        *_overlap_lines(summary.overlaps),
        "",
        *(f"- not read: {item.file}: {item.error}" for item in summary.unreadable),
        "",
    ]
    return "\n".join(lines)


def _count_lines(summary: AuditSummary) -> list[str]:
    several = summary.left_out.get(SEVERAL_KNEES, 0)
    return [
        f"- byte copies: {summary.byte_copies}; pixel copies: {summary.pixel_copies}",
        f"- pictures of 16 bits (PNG, TIFF): {summary.files_of_16_bits}; films of several knees: {several}",
        f"- near-duplicate pairs: {summary.near_duplicate_pairs}; mirrored pairs: {summary.mirrored_pairs}",
        f"- further pairs that show one knee, shifted: {summary.shifted_pairs}, of which"
        f" {summary.shifted_pairs_other_grade} have two grades and {summary.shifted_pairs_of_two_datasets} are of two"
        f" datasets; the largest leakage group has {summary.largest_leakage_group} films (if one knee can't have so"
        " many films, look for something else that they share, such as a frame)",
        f"- the same pixels under different grades: {summary.same_picture_other_grade}",
        *(
            f"- {dataset}: {found.groups} groups, {found.of_several_films} of several films,"
            f" {found.of_several_grades} of several grades"
            for dataset, found in summary.clusters.items()
        ),
        *(
            f"- inverted grays, put right when they are used: {count} films of {dataset}"
            for dataset, count in summary.inverted.items()
        ),
        *(
            f"- no joint found, taken to be in the middle of a strip: {count} films of {dataset}"
            for dataset, count in summary.middle_taken.items()
        ),
        *(f"- left out, {reason}: {count}" for reason, count in sorted(summary.left_out.items())),
    ]


def _split_lines(splits: Mapping[str, Mapping[str, Sequence[int]]]) -> list[str]:
    return [
        "| dataset | split | " + " | ".join(LABELS) + " | all |",
        "|---|---|" + "---|" * (NUM_GRADES + 1),
        *(
            f"| {dataset} | {split} | " + " | ".join(map(str, counts)) + f" | {sum(counts)} |"
            for dataset, found in splits.items()
            for split, counts in found.items()
        ),
    ]


def _shortcut_lines(shortcuts: Mapping[str, Mapping[str, ShortcutEvidence]]) -> list[str]:
    rows = [(dataset, name, scores) for dataset, found in shortcuts.items() for name, scores in found.items()]
    if not rows:
        return []
    return [
        "",
        "How well the grade can be guessed from what does not show the joint (boosted trees, cross-validated by group;"
        " by chance 0 and .20):",
        "",
        "| dataset | guessed from | QWK | balanced accuracy |",
        "|---|---|---|---|",
        *(f"| {dataset} | {name} | {row.qwk:.3f} | {row.balanced_accuracy:.3f} |" for dataset, name, row in rows),
    ]


def _overlap_lines(found: Mapping[str, Sequence[Overlap]]) -> list[str]:
    lines = [
        f"- {kind.replace('_', ' ')}: of {row.films} films of {row.first}, {row.same_pixels} are in {row.second} pixel"
        f" by pixel{_agreement(row)}; {row.same_group} have a copy or the same patient there"
        for kind, rows in found.items()
        for row in rows
    ]
    return ["", "The same pictures in two places:", "", *lines] if lines else []


def _agreement(row: Overlap) -> str:
    grades = f"; {row.equal_grades:.1%} of these have equal grades" if row.equal_grades is not None else ""
    return grades + (f", kappa {row.qwk:.3f}" if row.qwk is not None else "")
