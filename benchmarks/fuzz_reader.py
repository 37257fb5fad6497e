"""Coverage-guided fuzzing of the reader of films, by atheris (libFuzzer; extra `fuzz`, Linux): docs/fuzzing.md,
docs/evidence/fuzzing.json.

    nice -n 10 python -m benchmarks.fuzz_reader --runs 36000 --jobs 6 --out docs/evidence/fuzzing.json \\
        --page docs/fuzzing.md

For each format a process of its own mutates synthetic films and, with KNEEOA_DATA, real ones: small ones in every kind
of that format, and keeps what reaches new places in the code of kneeoa_hub.imaging, Pillow and pydicom. The checksums
of PNG are put right after each mutation, so that its decoder is reached. A finding is: any error but the package's own,
a crash, over 2 s or over 128 MB for one input, over 512 MB for the process, an impossible film, or a word of the
patient in an error, a warning or a log. Real films and what is made of them are gone when it ends; only counts and the
errors' places are written. Seconds are the processor's, since other work may share the machine.
"""

import argparse
import io
import json
import logging
import os
import re
import resource
import subprocess
import sys
import time
import traceback
import warnings
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WebP", "DICOM")
SECONDS, MEGABYTES, LONGEST = 2, 512, 32_768
INPUT_MEGABYTES = 128
"""By which one input may raise the most memory that its process ever had."""
HANGS_AFTER = 600
"""Seconds of the clock after which libFuzzer ends an input that never comes back."""
PIXELS = 2_000_000
"""The reader's own limit while it is fuzzed, so that inputs are quick. What a film takes up to the default limit,
tests/library/test_memory.py tells."""
SIDE = 40
REAL_FILMS = 12
MARK = "DOE^JANE"
COUNTED_EVERY = 250
MOST_FINDINGS = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30_000, help="inputs of each format (default 30000)")
    parser.add_argument("--formats", nargs="+", default=FORMATS, choices=FORMATS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="formats at a time (default 1)")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzzing.json"))
    parser.add_argument("--page", type=Path, help="also write the figures as Markdown here")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child is not None:
        fuzz(given.child)
        return 0
    results = {}
    with TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        running = {
            form: pool.submit(fuzzed, form, given.runs, given.seed, Path(folder) / form) for form in given.formats
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


def page(document: dict) -> str:
    """docs/fuzzing.md."""
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
        (
            "| format | inputs | seeds, synthetic | seeds, real | edges | features | kept | read | errors of the"
            " package | most time | most memory | findings |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for form, result in formats.items():
        seeds, reached, outcomes = result["seeds"], result["coverage"], result["outcomes"]
        counted = (result["inputs"], seeds["synthetic"], seeds["real"])
        edges = (
            f"{reached['edges_of_seeds']} to {reached['edges']}",
            f"{reached['features_of_seeds']} to {reached['features']}",
        )
        read = outcomes.get("read", 0)
        most = (f"{result['most_seconds']:.2f} s", f"{result['most_megabytes']:.0f} MB")
        failed = sum(outcomes.values()) - read
        row = (form, *counted, *edges, result["kept"], read, failed, *most, len(result["findings"]))
        lines.append(f"| {' | '.join(map(str, row))} |")
    found = [
        f"- {form}: {one['kind']}. {one['error']} ({', '.join(one['place'])})"
        for form, result in formats.items()
        for one in result["findings"]
    ]
    return "\n".join([*lines, "", *(found or ["There were no findings."]), ""])


def fuzzed(form: str, runs: int, seed: int, folder: Path) -> dict:
    """The figures of one format.

    Begins again after a finding, with what was reached so far, until all inputs are used up.
    """
    corpus, found = folder / "corpus", folder / "found"
    for made in (corpus, found):
        made.mkdir(parents=True)
    seeds = {kind: plant(films, form, corpus, kind) for kind, films in (("synthetic", synthetic()), ("real", real()))}
    begun, done, reached, findings, outcomes = time.monotonic(), 0, [], [], Counter()
    most = {"seconds": 0.0, "megabytes": 0.0}
    while done < runs and len(findings) < MOST_FINDINGS:
        counts = folder / "counts.json"
        options = [
            *(
                f"-runs={runs - done}",
                f"-seed={seed + len(findings)}",
                f"-timeout={HANGS_AFTER}",
                f"-rss_limit_mb={MEGABYTES}",
                f"-max_len={LONGEST}",
            ),
            *("-len_control=0", "-print_final_stats=1", f"-artifact_prefix={found}/"),
        ]
        command = [sys.executable, "-m", "benchmarks.fuzz_reader", "--child", form, str(counts), *options, str(corpus)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        log = ended.stdout
        executed = [
            int(n)
            for n in re.findall(r"^#(\d+)\s", log, re.MULTILINE) + re.findall(r"number_of_executed_units:\s+(\d+)", log)
        ]
        if not executed:
            raise SystemExit(log[-3000:])
        done += max(executed)
        reached += [(int(cov), int(ft)) for cov, ft in re.findall(r"cov: (\d+) ft: (\d+)", log)]
        if counts.is_file():
            counted = json.loads(counts.read_text("utf-8"))
            outcomes += Counter(counted["outcomes"])
            most = {unit: max(most[unit], counted[unit]) for unit in most}
        if ended.returncode:
            findings.append(described(log))
    return {
        "inputs": done,
        "seeds": seeds,
        "coverage": {
            "edges_of_seeds": reached[0][0],
            "edges": reached[-1][0],
            "features_of_seeds": reached[0][1],
            "features": reached[-1][1],
        },
        "kept": len(list(corpus.iterdir())) - sum(seeds.values()),
        "outcomes": dict(outcomes.most_common()),
        "most_seconds": round(most["seconds"], 3),
        "most_megabytes": round(most["megabytes"], 1),
        "findings": findings,
        "seconds": round(time.monotonic() - begun),
    }


def described(log: str) -> dict:
    """A finding without its input: that may be made of a real film."""
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


def synthetic() -> list[np.ndarray]:
    """[H,W] uint16 films, small."""
    from kneeoa_hub.imaging.phantom import knee_film

    return [small(knee_film(grade, 3, bits=16).pixels) for grade in (0, 4)]


def real() -> list[np.ndarray]:
    """Real films of both collections, small; none without KNEEOA_DATA."""
    import tarfile
    import zipfile

    from PIL import Image

    from kneeoa_hub.settings import Settings

    data = Settings.from_environ().data
    if not data:
        return []
    with zipfile.ZipFile(Path(data) / "oai_val.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        contents = [archive.read(name) for name in names[:: len(names) // REAL_FILMS][:REAL_FILMS]]
    with tarfile.open(Path(data) / "gornale_original_png.tar") as archive:
        members = (member for member in archive if member.name.endswith(".png"))
        files = (archive.extractfile(member) for member in islice(members, 0, 100 * REAL_FILMS, 100))
        contents += [file.read() for file in files if file]
    return [
        small(np.asarray(Image.open(io.BytesIO(content)).convert("L")).astype(np.uint16) * 257) for content in contents
    ]


def small(film: np.ndarray) -> np.ndarray:
    """A [H,W] uint16 film of SIDE pixels a side or a little more, so that an input takes a millisecond."""
    return np.ascontiguousarray(film[:: max(1, film.shape[0] // SIDE), :: max(1, film.shape[1] // SIDE)])


def plant(films: list[np.ndarray], form: str, corpus: Path, kind: str) -> int:
    """The first films in every kind of a format, each other one in its first kind alone; how many files that made."""
    from .film_kinds import film_files

    number = 0
    for place, film in enumerate(films):
        files = (file for file in film_files(film) if file.form == form)
        for file in files if place < 2 else islice(files, 1):
            (corpus / f"{kind}-{number}").write_bytes(file.content)
            number += 1
    return number


class Finding(Exception):
    """What no error of Python tells."""


def fuzz(arguments: list[str]) -> None:
    """In the process that may crash. arguments: format, file for the counts, then libFuzzer's."""
    import atheris

    form, counts, *options = arguments
    with atheris.instrument_imports(include=["PIL", "pydicom", "kneeoa_hub.imaging"]):
        import PIL.BmpImagePlugin
        import PIL.JpegImagePlugin
        import PIL.MpoImagePlugin
        import PIL.PngImagePlugin
        import PIL.TiffImagePlugin
        import PIL.WebPImagePlugin  # noqa: F401
        import pydicom

        from kneeoa_hub.errors import FilmError
        from kneeoa_hub.imaging import deep_color, picture  # noqa: F401
        from kneeoa_hub.imaging.decode import decode
        from kneeoa_hub.imaging.film import Limits

        from .film_kinds import film_files

        limits = Limits(max_pixels=PIXELS, min_side=1)
        for file in film_files(synthetic()[0]):
            # so that what a decoder imports at its first film is instrumented, and takes no input's time
            if file.form == form:
                decode(file.content, limits)
    told = io.StringIO()
    logging.basicConfig(stream=told, level=logging.WARNING, force=True)
    logging.getLogger("pydicom").propagate = True
    pydicom.config.settings.reading_validation_mode = pydicom.config.WARN
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *_, **__: print(message, file=told)
    outcomes: Counter[str] = Counter()
    most = {"seconds": 0.0, "megabytes": 0.0}

    def one(content: bytes) -> None:
        told.seek(0)
        told.truncate()
        begun, before = time.process_time(), peak_megabytes()
        try:
            film = decode(content, limits)
        except FilmError as error:
            outcomes[error.code] += 1
            print(error.message, file=told)
        else:
            outcomes["read"] += 1
            if (
                film.pixels.ndim != 2
                or film.pixels.dtype != np.float32
                or not np.isfinite(film.pixels).all()
                or not 0 <= film.colour <= 1
            ):
                raise Finding(f"an impossible film of {film.pixels.shape} {film.pixels.dtype}, colour {film.colour}")
        taken = {"seconds": time.process_time() - begun, "megabytes": peak_megabytes() - before}
        most.update({unit: max(most[unit], value) for unit, value in taken.items()})
        if taken["seconds"] > SECONDS or taken["megabytes"] > INPUT_MEGABYTES:
            raise Finding(f"{taken['seconds']:.1f} s and {taken['megabytes']:.0f} MB for one input")
        if MARK in told.getvalue():
            raise Finding("a word of the patient was told: " + told.getvalue()[:120])
        if not sum(outcomes.values()) % COUNTED_EVERY:
            Path(counts).write_text(json.dumps({"outcomes": outcomes} | most), "utf-8")

    def mutated(content: bytes, longest: int, _seed: int) -> bytes:
        changed = atheris.Mutate(content, longest)
        return with_checksums(changed) if form == "PNG" else changed

    def traced(content: bytes) -> None:
        try:
            one(content)
        except BaseException:
            traceback.print_exc()
            raise

    os.environ.pop("LD_PRELOAD", None)
    atheris.Setup([sys.argv[0], *options], traced, custom_mutator=mutated)
    atheris.Fuzz()


def peak_megabytes() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def with_checksums(png: bytes) -> bytes:
    """The same chunks with the CRC that each should have (PNG, third edition, 5.3)."""
    changed, at = bytearray(png), 8
    while at + 12 <= len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(png):
            break
        changed[end : end + 4] = zlib.crc32(png[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(changed)


if __name__ == "__main__":
    raise SystemExit(main())
