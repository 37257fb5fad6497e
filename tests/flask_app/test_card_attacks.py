"""A card written to freeze the server: rendering takes time in proportion to its length, and happens once."""

import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

import pytest

from flask_app.card import card_html
from kneeoa_hub.bundle import read_bundle

from ..support.bundles import make_bundle

FIGURES = "/about/figures/"
PARTS = (
    "<!--", "-->", "<!-- -->", "---\n", "[", "![", "]", "[a](", "![a](figures/a.png", "*a ", "**", "_a_", "`a``", "<",
    "<a", "> ", "* ", "&amp", "|a", "\\[", "a\n", "<http://a", "\t", "(0.1-", "[1]: x\n", "~~~\n", "# ", "1. ",
)  # fmt: skip


def lines_run(call: Callable[[], object]) -> int:
    """Return how many lines of Python a call runs."""
    count = 0

    def look(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return look

    before = sys.gettrace()
    sys.settrace(look)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("part", PARTS)
def test_a_card_of_twice_the_length_takes_twice_the_work(tmp_path: Path, part: str):
    small, large = (
        read_bundle(make_bundle(tmp_path / str(size), card=part * (size // len(part)))) for size in (1000, 2000)
    )
    one, two = lines_run(lambda: card_html(small, FIGURES)), lines_run(lambda: card_html(large, FIGURES))
    assert two < 2.5 * one + 5000


def test_a_card_is_rendered_once_however_many_ask(tmp_path: Path):
    bundle = read_bundle(make_bundle(tmp_path / "bundle", card="# Card\n\n" + "word " * 1000))
    first = lines_run(lambda: card_html(bundle, FIGURES))
    pages: list[str | None] = []
    threads = [Thread(target=lambda: pages.append(card_html(bundle, FIGURES))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pages)) == 1
    assert lines_run(lambda: card_html(bundle, FIGURES)) < 20 < first


def test_a_card_that_is_not_utf_8_is_shown(tmp_path: Path):
    folder = make_bundle(tmp_path / "bundle")
    (folder / "README.md").write_bytes(b"# Card \xff\xfe")
    assert "<h1>Card" in (card_html(read_bundle(folder), FIGURES) or "")
