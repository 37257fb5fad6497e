"""Write the Gornale set as a CSV for `python -m tuning`, split by the clusters of gornale_labels.csv.

    python benchmarks/gornale_protocol.py --data "$KNEEOA_DATA" --out runs/gornale.csv

Test: cluster % 5 == 0; validation: cluster % 5 == 1; training: the rest. Grades are expert I's.
"""

import argparse
import csv
from pathlib import Path

ARCHIVE = "gornale_original_png.tar"
SPLITS = {0: "test", 1: "val"}
"""Clusters whose number leaves this remainder when it is divided by 5 belong to this split; the others are for
training."""


def write_protocol(data: Path, out: Path) -> int:
    """Write rows of file,grade,group,split, with paths into the archive, and return their number."""
    with (data / "gornale_labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "grade", "group", "split"])
        for row in rows:
            cluster = int(row["near_dup_cluster"])
            place = data.absolute() / ARCHIVE / row["file"]
            writer.writerow([place, row["expert1_grade"], cluster, SPLITS.get(cluster % 5, "train")])
    return len(rows)


def main() -> None:
    """Write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with gornale_labels.csv and " + ARCHIVE)
    parser.add_argument("--out", type=Path, required=True, help="the CSV to write")
    arguments = parser.parse_args()
    print(f"{arguments.out}: {write_protocol(arguments.data, arguments.out)} films")


if __name__ == "__main__":
    main()
