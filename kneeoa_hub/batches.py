"""Runs long batches on several threads or processes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

Result = TypeVar("Result")


def in_order(
    pool: Executor, call: Callable[..., Result], arguments: Iterable[tuple[Any, ...]], workers: int
) -> Iterator[Result]:
    """Yield the results of many calls in the order of their arguments, and take few arguments ahead of them.

    Args:
        pool: The threads or processes.
        call: What a worker calls.
        arguments: Arguments of each call. Taking them all at once would fill the memory on a long batch.
        workers: How many workers the pool has.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for given in arguments:
            waiting.append(pool.submit(call, *given))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
