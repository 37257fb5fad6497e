"""How the demo stands a crowd, for several limits of concurrency: `python -m tests.space_visitors 1 2 4`."""

import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from gradio_client import Client, handle_file
from PIL import Image

from kneeoa_hub import from_pretrained
from kneeoa_hub.imaging.phantom import knee_film
from spaces.demo.page import build_demo

from .space_serving import served

VISITORS = 20
FILMS_EACH = 5
SIDE = 1500
"""Pixels of a film's side, about what a clinic's film of one knee has."""


def main(limits: list[int]) -> None:
    grader = from_pretrained()
    with TemporaryDirectory() as folder:
        film = Path(folder) / "film.png"
        Image.fromarray(knee_film(3, 1, height=SIDE, width=SIDE, bits=16).pixels).save(film)
        for limit in limits:
            with served(build_demo(grader, limit)) as url:
                alone, crowd, total = measured(url, film)
            print(
                f"limit {limit}: alone {statistics.median(alone):.2f} s a film; {VISITORS} at once: median {statistics.median(crowd):.2f} s, "
                f"longest {max(crowd):.2f} s, {len(crowd) / total:.1f} films a second"
            )


def measured(url: str, film: Path) -> tuple[list[float], list[float], float]:
    """Seconds of each answer to one visitor, of each in the crowd, and of the whole crowd."""
    visitors = [Client(url, verbose=False) for _ in range(VISITORS)]

    def visit(visitor: Client) -> list[float]:
        times = []
        for _ in range(FILMS_EACH):
            start = time.perf_counter()
            visitor.predict(handle_file(film), api_name="/grade")
            times.append(time.perf_counter() - start)
        return times

    alone = visit(visitors[0])
    start = time.perf_counter()
    with ThreadPoolExecutor(VISITORS) as pool:
        crowd = [seconds for times in pool.map(visit, visitors) for seconds in times]
    return alone, crowd, time.perf_counter() - start


if __name__ == "__main__":
    main([int(limit) for limit in sys.argv[1:]] or [1, 2, 4])
