"""Real films show how much of the shift between two hospitals `python -m tuning adapt` closes.

    python -m tuning train --data runs/audit-oai --architecture folded-lite0@192 --epochs 8 --batch 32 --mixup 0.3 \\
        --occlusion 0.4 --variants 4 --out runs/train
    python -m tuning evaluate --data runs/train --out runs/evaluate --validation-only
    python -m tuning export --data runs/evaluate --locator kneeoa_hub/pretrained/kneeoa-cnn \\
        --gate kneeoa_hub/pretrained/kneeoa-cnn --name kneeoa-oai --out runs/oai
    python -m benchmarks.adapt_shift --from ./runs/oai --films runs/gornale.csv --architecture folded-lite0@192 \\
        --out runs/adapt

--films is the CSV of benchmarks/gornale_protocol.py. Weights that were trained only on OAI films are recalibrated, and
fine-tuned, on 50, 200 and all training clusters of the Gornale set, and measured before and after on its test fold. The
architecture named by --architecture is also trained from nothing on the same films. Writes adapt.json and adapt.md.
"""

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.evidence import Evidence, SetEvidence, read_evidence
from tuning.__main__ import main as tuning
from tuning.run import steps

CLUSTERS = (50, 200, 0)
"""The site has this many training and validation clusters; 0 is all of them."""
FIGURES = ("QWK", "accuracy", "MAE", "AUC, KL >= 2", "ECE", "coverage", "set size")
BATCH = 16
FROM_NOTHING = ("--batch", str(BATCH), "--mixup", "0.4")
"""Options of a training from nothing: the batch and the mixing of an adaptation."""
LEAST_EPOCHS, LONGER = 30, 2
"""A training from nothing has 30 epochs, or twice those of an adaptation where that is more."""
VALIDATION = 4
"""Every fourth cluster is kept for validation."""


def write_part(films: Path, out: Path, clusters: int, seed: int = 0) -> int:
    """Write the test fold and a number of other clusters, one in VALIDATION for validation.

    Args:
        films: CSV of the Gornale set.
        out: The CSV to write.
        clusters: Most clusters for training and validation; 0 is all of them.
        seed: Seed of the draw of the clusters.

    Returns:
        The number of clusters that were written for training and validation.
    """
    with films.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    known = sorted({row["group"] for row in rows if row["split"] != "test"})
    drawn = np.random.default_rng(seed).permutation(known)[: clusters or len(known)]
    split_of = {str(group): "val" if place % VALIDATION == 0 else "train" for place, group in enumerate(drawn)}
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            if row["split"] == "test" or row["group"] in split_of:
                writer.writerow(row | {"split": split_of.get(row["group"], "test")})
    return len(drawn)


@dataclass(frozen=True, kw_only=True)
class Row:
    """The metrics on the test fold after one way of adapting.

    Attributes:
        clusters: Number of clusters that were adapted to.
        done: "nothing", "recalibrated", "fine-tuned" or "from nothing".
        temperature: The one that was fitted.
        base: Revision of the bundle that was adapted.
        metrics: Metrics on the test fold.
    """

    clusters: int
    done: str
    temperature: float | None = None
    base: str | None = None
    metrics: SetEvidence


def table(rows: Sequence[Row]) -> str:
    """Return the rows as Markdown, with 95% intervals in brackets."""
    lines = []
    for row in rows:
        found = row.metrics
        estimates = (found.qwk, found.accuracy, found.mae, found.auc_oa, found.ece, found.coverage, found.set_size)
        lines.append((row.clusters or "-", row.done, *estimates))
    return markdown_table(("clusters", "what was done", *FIGURES), lines) + "\n"


def _run(command: Sequence[str]) -> None:
    if tuning([*command]):
        raise SystemExit(1)


def _row(clusters: int, done: str, evidence: Evidence) -> Row:
    temperature = evidence.calibration.temperature.value
    return Row(clusters=clusters, done=done, temperature=temperature, metrics=evidence.metrics["site_test"])


def _from_nothing(audit: Path, architecture: str, out: Path) -> Evidence:
    """Train an architecture on the films of an audit alone, and measure it as an adaptation is measured."""
    from tuning.adapt import epochs_of
    from tuning.data.datasets import usable_rows

    trained, evaluated = out / "train", out / "evaluate"
    batches = max(1, len(usable_rows(audit, "train")) // BATCH)
    epochs = str(max(LEAST_EPOCHS, LONGER * epochs_of(batches)))
    options = ["--architecture", architecture, "--epochs", epochs, *FROM_NOTHING]
    _run(["train", "--data", str(audit), "--out", str(trained), *options])
    _run(["evaluate", "--data", str(trained), "--out", str(evaluated)])
    return read_evidence(evaluated / "evidence.json")


def measure(address: str, films: Path, architecture: str, out: Path) -> Iterator[Row]:
    """Adapt to each number of clusters, and yield each row once it is measured. What `out` holds is not made anew.

    Args:
        address: The bundle to adapt.
        films: CSV of the Gornale set.
        architecture: What is trained from nothing.
        out: The folder of all adaptations.
    """
    for clusters in CLUSTERS:
        name = str(clusters or "all")
        part = out / f"{name}.csv"
        count = write_part(films, part, clusters)
        for done, options in (("recalibrated", ["--recalibrate"]), ("fine-tuned", [])):
            folder = out / f"{name}-{done}"
            if not (folder / "bundle").exists():
                _run(["adapt", "--from", address, "--data", f"site={part}", "--out", str(folder), *options])
            evidence = read_evidence(folder / "bundle" / "evidence.json")
            if options and clusters == CLUSTERS[0]:
                base = evidence.base.revision if evidence.base else None
                yield Row(clusters=0, done="nothing", base=base, metrics=evidence.before["site_test"])
            yield _row(count, done, evidence)
        evidence = _from_nothing(out / f"{name}-fine-tuned" / "audit", architecture, out / f"{name}-from-nothing")
        yield _row(count, "from nothing", evidence)


def main() -> None:
    """Adapt, measure, and write the tables, anew after each row: a run takes hours."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--from", dest="address", required=True, help="a bundle that was trained on none of these films"
    )
    parser.add_argument("--films", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--architecture", default="folded-lite0", help="what is trained from nothing, see train (default folded-lite0)"
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    measured: list[Row] = []
    for row in measure(given.address, given.films, given.architecture, given.out):
        measured.append(row)
        (given.out / "adapt.json").write_text(steps.as_json(measured), "utf-8")
        (given.out / "adapt.md").write_text(table(measured), "utf-8")
    print(table(measured))


if __name__ == "__main__":
    main()
