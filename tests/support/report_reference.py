"""`test_same_reports` compares with the reports that the package gives today, as numbers under hashed names.

    python tests/support/report_reference.py > tests/library/report_reference.json

It uses public names alone, so PYTHONPATH can point it at any version of the package. KNEEOA_DATA names the real films.
"""

import hashlib
import json
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kneeoa_hub
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.settings import Settings

ARCHIVES = {"oai299_val.zip": 40, "gornale_original_png.tar": 40, "outside.zip": 20, "not_knee.zip": 15}
"""This many films of each archive are graded: every k-th in the order of their names. The films of the last one are not
knees; they show that each keeps the reason of its refusal."""
NOT_FILMS = {".csv", ".md", ".txt"}


def reference(data: Path) -> dict[str, Any]:
    """Return the revision, and the reports of the synthetic samples and of the real films in the folder `data`."""
    grader = kneeoa_hub.from_pretrained(threads=1)
    return {
        "revision": grader.revision,
        "synthetic": {name: report_of(grader, sample.pixels) for name, sample in sample_films().items()},
        "real": {name: report_of(grader, film) for name, film in real_films(data)},
    }


def report_of(grader: kneeoa_hub.KneeGrader, film: Any) -> dict[str, Any]:
    """Return one film's report without its texts, or the code of its error."""
    try:
        report = grader.grade(film)
    except kneeoa_hub.KneeOAError as error:
        return {"error": error.code}
    return {
        "refused": report.refused and report.refused.reason,
        "knees": [
            {
                "grade": knee.grade,
                "grade_set": list(knee.grade_set),
                "probabilities": [round(probability, 9) for probability in knee.probabilities],
                "box": list(knee.box),
                "side": knee.side,
                "heatmap": round(float(knee.heatmap.mean()), 9),
            }
            for knee in report.knees
        ],
    }


def real_films(data: Path) -> Iterator[tuple[str, bytes]]:
    """Yield films of ARCHIVES in the folder `data`, each under the start of its name's SHA-256."""
    for archive, count in ARCHIVES.items():
        names, read = opened(data / archive)
        names = sorted(name for name in names if Path(name).suffix.lower() not in NOT_FILMS)
        for name in names[:: max(1, len(names) // count)][:count]:
            yield hashlib.sha256(f"{archive}/{name}".encode()).hexdigest()[:16], read(name)


def opened(path: Path) -> tuple[list[str], Callable[[str], bytes]]:
    """Return the names of the files in a .zip or .tar, and a function that reads one of them."""
    if path.suffix == ".zip":
        archive = zipfile.ZipFile(path)
        return [name for name in archive.namelist() if not name.endswith("/")], archive.read
    tar = tarfile.open(path)  # noqa: SIM115

    def read(name: str) -> bytes:
        file = tar.extractfile(name)
        assert file
        return file.read()

    return [member.name for member in tar.getmembers() if member.isfile()], read


def written(reference: dict[str, Any]) -> str:
    """Return the reference as JSON, one film a line."""
    groups = (
        f"  {json.dumps(group)}: {{\n"
        + ",\n".join(f"    {json.dumps(name)}: {json.dumps(report)}" for name, report in reference[group].items())
        + "\n  }"
        for group in ("synthetic", "real")
    )
    return f'{{\n  "revision": {json.dumps(reference["revision"])},\n' + ",\n".join(groups) + "\n}\n"


if __name__ == "__main__":
    folder = Settings.from_environ().data
    if not folder:
        sys.exit("Set KNEEOA_DATA to the folder with the real films: a reference without them proves little.")
    sys.stdout.write(written(reference(Path(folder))))
