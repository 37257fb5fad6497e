"""A card from an unknown author is read in bounded time, without metadata and comments; its pictures are separate."""

import pytest

from kneeoa_hub.card.reading import Picture, body, pictures_apart, unbroken

LONG = 2_000_000


@pytest.mark.parametrize(
    ("card", "read"),
    [
        ("---\na: 1\n---\n# Knees\n", "# Knees\n"),
        ("---\n---\n# Knees\n", "# Knees\n"),
        ("---\na: 1\n# Never closed\n", "---\na: 1\n# Never closed\n"),
        ("# Knees\n---\na: 1\n---\n", "# Knees\n---\na: 1\n---\n"),
        ("a <!-- hidden\nlines -->b<!---->c", "a bc"),
        ("a <!-- b", "a <!-- b"),
        ("a --> b <!-- c --> d", "a --> b  d"),
        ("", ""),
    ],
)
def test_a_card_is_read_without_metadata_and_comments(card, read):
    assert body(card) == read


def test_no_interval_and_no_limit_is_broken_in_a_narrow_column():
    assert unbroken("| KL >= 2 | 0.850 (0.821-0.875) |") == "| KL\xa0>=\xa02 | 0.850 (0.821\u20110.875) |"
    assert unbroken("if a >= 2 or (1-2):") == "if a >= 2 or (1-2):"


def test_pictures_of_the_bundle_are_separate_parts_and_other_pictures_are_text():
    text = "one\n\n![Two knees](figures/two-knees.png)\n\n![a](http://x/y.png) ![b](../c.png) ![d](e.svg)\n"
    before, picture, after = pictures_apart(text)
    assert (before, picture) == ("one\n\n", Picture("Two knees", "figures/two-knees.png"))
    assert after == "\n\n![a](http://x/y.png) ![b](../c.png) ![d](e.svg)\n"


@pytest.mark.parametrize("part", ["<!--", "![", "![a](b/", "![a](", "---\n", "<!-- -->", "![a](b.png)"])
def test_a_long_card_of_anything_is_read(part):
    """Code that scans the rest of a card for each start of a construct would exceed the time limit of a test."""
    card = part * (LONG // len(part))
    assert sum(1 for _ in pictures_apart(body(card)))
