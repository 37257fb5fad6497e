"""Every figure of speed, memory and size is measured, and written as one table.

    python -m benchmarks.speed                 # all, under ten minutes on two idle cores
    python -m benchmarks.speed --only warm     # one of them; the table keeps the others as they were
    python -m benchmarks.speed --missing       # those that have no file yet: a stopped run goes on

Each figure has a file in docs/evidence/speed, with the machine that it was measured on. The table of all of them is
written into docs/benchmarks.md, between its two marks.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from ..measuring import ROOT, Machine, ended, machine, write_json
from .figure import Figure

MODULES = ("start", "warm", "folder", "serving", "size", "demo")
EVIDENCE, PAGE = ROOT / "docs" / "evidence" / "speed", ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- speed: written by python -m benchmarks.speed -->", "<!-- end of speed -->"


def main() -> int:
    """Measure, and write; the exit code is 1 where a floor is missed or a figure could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=MODULES, action="append", help="measure this one; may be repeated")
    parser.add_argument("--missing", action="store_true", help="measure what has no file yet")
    parser.add_argument("--out", type=Path, default=EVIDENCE, help="folder of the files (default: docs/evidence/speed)")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in given.only or MODULES:
        if given.missing and (given.out / f"{name}.json").exists():
            continue
        begun, here = time.monotonic(), machine()
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            figures = import_module(f".{name}", __package__).measure()
        except Exception as error:  # one figure that fails must not cost the others
            failed.append(name)
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            continue
        document = {
            "machine": asdict(ended(here)),
            "seconds": round(time.monotonic() - begun, 1),
            "figures": [asdict(one) for one in figures],
        }
        write_json(given.out / f"{name}.json", document)
    text = table(given.out)
    print(text)
    if given.out == EVIDENCE:
        PAGE.write_text(pasted(PAGE.read_text("utf-8"), text), "utf-8")
    missed = [one.name for figures in read(given.out).values() for one in figures[1] if not one.met]
    for name in missed:
        print(f"floor missed: {name}", file=sys.stderr)
    return int(bool(failed or missed))


def read(folder: Path) -> dict[str, tuple[Machine, list[Figure]]]:
    """Return the machine and the figures of each file, in the order of MODULES."""
    found = {}
    for name in MODULES:
        path = folder / f"{name}.json"
        if path.exists():
            document = json.loads(path.read_text("utf-8"))
            figures = [Figure(**one | {"spread": tuple(one["spread"])}) for one in document["figures"]]
            found[name] = Machine(**document["machine"]), figures
    return found


def table(folder: Path) -> str:
    """Return the Markdown table of all files, and the machines that they come from."""
    lines = [
        "| figure | against | measured | beside | ratio (of the rounds) |",
        "|---|---|---|---|---|",
    ]
    machines = {}
    for name, (where, figures) in read(folder).items():
        machines[f"{where.cores} cores, {where.processor}, Python {where.python}"] = None
        for one in figures:
            spread = f" ({number(one.spread[0])} to {number(one.spread[1])})" if one.rounds > 1 else ""
            lines.append(
                f"| [{one.name}](evidence/speed/{name}.json) | {one.against} | {number(one.value)} {one.unit} |"
                f" {number(one.other)} {one.unit} | {number(one.ratio)}{spread} |"
            )
    loads = [where.load_before for where, _ in read(folder).values()]
    busy = f" Load average of the machine before each figure: {min(loads):.1f} to {max(loads):.1f}." if loads else ""
    return "\n".join(lines) + f"\n\nMeasured on {'; '.join(machines) or 'no machine yet'}.{busy}"


def number(value: float) -> str:
    """Return a number with three digits that count."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.3 else 3
    return f"{value:,.{digits}f}"


def pasted(page: str, text: str) -> str:
    """Return the page with the table between its marks."""
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"{PAGE} has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


if __name__ == "__main__":
    raise SystemExit(main())
