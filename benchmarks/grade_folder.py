"""`kneeoa grade` on a folder of films: one at a time, and as many as there are cores.

    python -m benchmarks.grade_folder --films 1000

The films are synthetic. Both runs must write the same CSV. The last number is how much faster the second run is.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from kneeoa_hub.imaging.phantom import write_films


def seconds(folder: Path, out: Path, workers: int) -> float:
    """Return the seconds of the whole command.

    Args:
        folder: The films.
        out: The table to write.
        workers: Number of processes.
    """
    command = [
        sys.executable,
        "-m",
        "kneeoa_hub.cli",
        "grade",
        str(folder),
        "--workers",
        str(workers),
        "--out",
        str(out),
    ]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Grade the folder, and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="also write the figures here, as JSON")
    given = parser.parse_args()
    count = given.films
    cores = len(os.sched_getaffinity(0))
    with TemporaryDirectory() as place:
        folder = Path(place) / "films"
        write_films(folder, count)
        films = sum(1 for path in folder.rglob("*.png"))
        taken = {workers: seconds(folder, Path(place) / f"{workers}.csv", workers) for workers in (1, cores)}
        rows = [sorted((Path(place) / f"{workers}.csv").read_text("utf-8").splitlines()) for workers in taken]
    if rows[0] != rows[-1]:
        raise SystemExit("the two runs differ")
    for workers, time_taken in taken.items():
        print(f"{workers} at a time: {time_taken:.1f} s for {films} films, {films / time_taken:.0f} per second")
    print(f"{cores} cores: {taken[1] / taken[cores]:.2f} times as fast as one film at a time")
    if given.out:
        figures = {"films": films, "cores": cores, "seconds": taken, "load_average": os.getloadavg()[0]}
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
