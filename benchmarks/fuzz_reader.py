"""The film reader is fuzzed under guidance by its coverage, with atheris (libFuzzer; extra `fuzz`, Linux).

    nice -n 10 python -m benchmarks.fuzz_reader --runs 36000 --jobs 6 --out docs/evidence/fuzzing.json \\
        --page docs/fuzzing.md

For each format, a process mutates small films in every kind of that format, synthetic ones and with KNEEOA_DATA real
ones, and keeps the inputs that reach new code in kneeoa_hub.imaging, Pillow and pydicom. The checksums of PNG are
corrected after each mutation, so that its decoder is reached. These are findings: an error that is not the package's
own, a crash, more than 2 s of processor time or 128 MB for one input, more than 512 MB for the process, an impossible
film, or the patient's name in an error, a warning or a log. Real films and inputs made of them are deleted at the end;
only counts and the places of errors are written.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from kneeoa_hub.card.text import table as markdown_table

from .fuzz_seeds import plant, real, synthetic
from .fuzz_target import INPUT_MEGABYTES, PIXELS, SECONDS

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WebP", "DICOM")
MEGABYTES, LONGEST = 512, 32_768
"""The process may take MEGABYTES of memory, and an input may have LONGEST bytes."""
HANGS_AFTER = 600
"""libFuzzer ends an input that does not return after this many seconds."""
MOST_FINDINGS = 20
"""A format is given up after this many findings."""


def main() -> int:
    """Fuzz the formats, and write the figures; returns 1 when there is a finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30_000, help="inputs of each format (default 30000)")
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--seed", type=int, default=1, help="seed of the mutations (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="formats at a time (default 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzzing.json"), help="file for the figures")
    parser.add_argument("--page", type=Path, help="also write the figures as Markdown to this file")
    given = parser.parse_args()
    results = {}
    with TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        running = {
            form: pool.submit(fuzz_format, form, given.runs, given.seed, Path(folder) / form) for form in given.formats
        }
        for form, future in running.items():
            results[form] = future.result()
            print(form, json.dumps(results[form]), flush=True)
    document = {
        "inputs": sum(result["inputs"] for result in results.values()),
        "limits": {
            "seconds": SECONDS,
            "megabytes": MEGABYTES,
            "input_megabytes": INPUT_MEGABYTES,
            "bytes": LONGEST,
            "pixels": PIXELS,
        },
        "seed": given.seed,
        "formats": results,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    if given.page:
        given.page.write_text(page(document), "utf-8")
    findings = sum(len(result["findings"]) for result in results.values())
    print(f"{document['inputs']} inputs, {findings} findings")
    return 1 if findings else 0


def fuzz_format(form: str, runs: int, seed: int, folder: Path) -> dict:
    """Return the figures of one format.

    After a finding, a new process goes on with the inputs kept so far, until all inputs are used up.

    Args:
        form: The format.
        runs: Number of inputs.
        seed: Seed of the mutations.
        folder: Folder for the inputs that are kept.
    """
    corpus, found = folder / "corpus", folder / "found"
    for place in (corpus, found):
        place.mkdir(parents=True)
    seeds = {kind: plant(films, form, corpus, kind) for kind, films in (("synthetic", synthetic()), ("real", real()))}
    begun, done, reached, findings, outcomes = time.monotonic(), 0, [], [], Counter()
    most = {"seconds": 0.0, "megabytes": 0.0}
    counts = folder / "counts.json"
    while done < runs and len(findings) < MOST_FINDINGS:
        code, log = _run(form, counts, runs - done, seed + len(findings), corpus, found)
        done += _executed(log)
        reached += [(int(cov), int(ft)) for cov, ft in re.findall(r"cov: (\d+) ft: (\d+)", log)]
        if counts.is_file():
            counted = json.loads(counts.read_text("utf-8"))
            outcomes += Counter(counted["outcomes"])
            most = {unit: max(most[unit], counted[unit]) for unit in most}
        if code:
            findings.append(described(log))
    (edges_of_seeds, features_of_seeds), (edges, features) = reached[0], reached[-1]
    return {
        "inputs": done,
        "seeds": seeds,
        "coverage": {
            "edges_of_seeds": edges_of_seeds,
            "edges": edges,
            "features_of_seeds": features_of_seeds,
            "features": features,
        },
        "kept": len(list(corpus.iterdir())) - sum(seeds.values()),
        "outcomes": dict(outcomes.most_common()),
        "most_seconds": round(most["seconds"], 3),
        "most_megabytes": round(most["megabytes"], 1),
        "findings": findings,
        "seconds": round(time.monotonic() - begun),
    }


def _run(form: str, counts: Path, runs: int, seed: int, corpus: Path, found: Path) -> tuple[int, str]:
    """Return the exit code and the log of a process that reads `runs` inputs, or fewer when it has a finding."""
    options = [
        f"-runs={runs}",
        f"-seed={seed}",
        f"-timeout={HANGS_AFTER}",
        f"-rss_limit_mb={MEGABYTES}",
        f"-max_len={LONGEST}",
        "-len_control=0",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
    ]
    command = [sys.executable, "-m", "benchmarks.fuzz_target", form, str(counts), *options, str(corpus)]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    return ended.returncode, ended.stdout


def _executed(log: str) -> int:
    """Return the number of inputs in a log."""
    counts = re.findall(r"^#(\d+)\s", log, re.MULTILINE) + re.findall(r"number_of_executed_units:\s+(\d+)", log)
    if not counts:
        raise SystemExit(log[-3000:])
    return max(map(int, counts))


def described(log: str) -> dict:
    """Return a finding from a log, without its input, which may be made of a real film."""
    kind = re.search(r"ERROR: libFuzzer: ([\w -]+)|(Uncaught Python exception)", log)
    error = re.findall(r"^(\w[\w.]*(?:Error|Exception|Warning|Exit|Finding)\b.*)$", log, re.MULTILINE)
    places = [
        f"{'/'.join(Path(file).parts[-2:])}:{line}" for file, line in re.findall(r'File "([^"]+)", line (\d+)', log)
    ]
    return {
        "kind": (kind[1] or kind[2]).strip() if kind else "ended",
        "error": error[-1][:200] if error else "",
        "place": places[-3:],
    }


COLUMNS = (
    *("format", "inputs", "seeds, synthetic", "seeds, real", "edges", "features", "kept", "read"),
    *("errors of the package", "most time", "most memory", "findings"),
)
"""The page's table has these columns."""


def _row(form: str, result: dict) -> tuple[object, ...]:
    """Return the figures of one format as a row of the page's table."""
    seeds, reached, outcomes = result["seeds"], result["coverage"], result["outcomes"]
    counted = (result["inputs"], seeds["synthetic"], seeds["real"])
    edges = (
        f"{reached['edges_of_seeds']} to {reached['edges']}",
        f"{reached['features_of_seeds']} to {reached['features']}",
    )
    read = outcomes.get("read", 0)
    most = (f"{result['most_seconds']:.2f} s", f"{result['most_megabytes']:.0f} MB")
    failed = sum(outcomes.values()) - read
    return (form, *counted, *edges, result["kept"], read, failed, *most, len(result["findings"]))


def page(document: dict) -> str:
    """Return docs/fuzzing.md."""
    limits, formats = document["limits"], document["formats"]
    lines = [
        "# Fuzzing of the film reader",
        "",
        "`python -m benchmarks.fuzz_reader` made this page and `docs/evidence/fuzzing.json`. atheris (libFuzzer) made",
        (
            f"{document['inputs']} inputs of at most {limits['bytes']} bytes, seed {document['seed']}, guided by the"
            " coverage of `kneeoa_hub.imaging`, Pillow and"
        ),
        (
            f"pydicom. The limit of the reader was {limits['pixels']} pixels. `tests/library/test_memory.py` covers"
            " films up to the"
        ),
        "default limit. These count as findings:",
        "",
        "- an error that is not one of the package's own, or a crash;",
        (
            f"- more than {limits['seconds']} s of processor time or {limits['input_megabytes']} MB for one input, or"
            f" more than {limits['megabytes']} MB for the whole process;"
        ),
        "- a decoded film that is not possible;",
        "- a patient's name in an error, a warning or a log.",
        "",
        "*Edges* and *features* are those of libFuzzer: first with the seeds alone, then at the end. *Kept* inputs",
        "reached something new. *Most time* is that of the slowest input. *Most memory* is the largest step by which",
        "one input raised the peak of its process.",
        "",
        markdown_table(COLUMNS, [_row(form, result) for form, result in formats.items()]),
    ]
    found = [
        f"- {form}: {one['kind']}. {one['error']} ({', '.join(one['place'])})"
        for form, result in formats.items()
        for one in result["findings"]
    ]
    return "\n".join([*lines, "", *(found or ["There were no findings."]), ""])


if __name__ == "__main__":
    raise SystemExit(main())
