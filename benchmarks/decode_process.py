"""Good films are decoded here and in a process with limits, to show what the process costs.

    python -m benchmarks.decode_process --out docs/evidence/flask/decode-process.json

The films are those of `benchmarks.load`. Milliseconds are the processor's, of both processes together, since the clock
also counts what else the machine does; the clock's median is given too.
"""

import argparse
import json
import os
import resource
import statistics
from functools import partial
from pathlib import Path

from kneeoa_hub.imaging.decode import FileDecoder, decode, decode_file
from kneeoa_hub.imaging.decode_process import DecodeProcesses
from kneeoa_hub.imaging.film import Limits

from .load import films
from .measuring import seconds, write_json
from .processes import family

TICKS = os.sysconf("SC_CLK_TCK")
WARM_UP = 5


def main() -> None:
    """Decode both ways, and print the milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=200, help="how often each film is decoded (200)")
    parser.add_argument("--out", type=Path, help="write the figures as JSON here")
    given = parser.parse_args()
    processes = DecodeProcesses(1, Limits())
    figures = {}
    for kind, film in films().items():
        here, there = (measured(film, decoder, given.times) for decoder in (decode_file, processes))
        figures[kind] = {"here": here, "in_a_process": there, "cost_ms": round(there["cpu_ms"] - here["cpu_ms"], 2)}
        print(f"{kind}: {figures[kind]['cost_ms']} ms", json.dumps(figures[kind]), flush=True)
    if given.out:
        write_json(given.out, figures)


def measured(film: bytes, decoder: FileDecoder, times: int) -> dict[str, float]:
    """Return the milliseconds of a film: of processor time, with all processes started here, and of clock time.

    Args:
        film: Bytes of the film.
        decoder: The decoder to measure.
        times: How many times the film is decoded.
    """
    for _ in range(WARM_UP):
        decode(film, file_decoder=decoder)
    begun = cpu_seconds()
    taken = [seconds(partial(decode, film, file_decoder=decoder)) for _ in range(times)]
    cpu = (cpu_seconds() - begun) / times
    return {"cpu_ms": round(1000 * cpu, 2), "clock_ms": round(1000 * statistics.median(taken), 2)}


def cpu_seconds() -> float:
    """Return the seconds of the processor of this process and of those that it started."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ticks = 0
    for child in family(os.getpid())[1:]:
        stat = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        ticks += int(stat[11]) + int(stat[12])
    return own.ru_utime + own.ru_stime + ticks / TICKS


if __name__ == "__main__":
    main()
