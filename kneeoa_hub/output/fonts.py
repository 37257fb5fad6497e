"""Writes text of any script into a PDF, in the PDF's own font or in fonts of this machine.

Names of films may be in Greek, Cyrillic, Arabic or Chinese. The package has no font for them, since one for Chinese and
Japanese alone is as large as the weights.
"""

import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

OWN = "Helvetica"
"""Every reader of PDF has this font, which holds the letters of Latin-1."""
PLAIN = str.maketrans({"–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"', "…": "..."})
"""Latin-1 lacks this punctuation. Each sign becomes one that Latin-1 has."""
SUFFIXES = (".ttf", ".otf", ".ttc")
OTHER_STYLES = (
    *("bold", "italic", "oblique", "light", "thin", "black", "heavy"),
    *("mono", "condensed", "narrow", "emoji", "math", "display", "lastresort"),
)
"""Fonts with these parts in their names are not used. Every script has an upright font of ordinary weight, and Last
Resort has a box for each letter.
"""
PREFERRED = ("dejavusans", "notosans-regular", "arial", "liberationsans-regular", "segoeui")
"""Fonts with these names are tried first. They have most alphabets, and look like the PDF's own font."""
RESTRICTED = 0x0002
"""This bit of a font's licence (OpenType OS/2, fsType) forbids embedding."""
NO_FONT = (
    "Signs such as <U+819D> stand for letters that cannot be printed; install a font for their script, or write"
    " the report as .html."
)
"""This line stands below the first text with signs that no font has."""

TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""These invisible letters turn the order of what follows. A name could hide its true letters with them."""


class TextWriter:
    """Writes lines of text into a PDF.

    Args:
        pdf: The document, an fpdf.FPDF.
    """

    def __init__(self, pdf: Any) -> None:
        self._pdf = pdf
        self._families: dict[Path, str] = {}
        self._explained = False

    def write(self, text: str, size: int, style: str) -> None:
        """Write a line over the page's width, or several if it is long.

        Args:
            text: The text, in any script.
            size: The height of the letters in points.
            style: "B" for bold, or "".
        """
        text = text.encode("utf-8", "replace").decode()  # a name of a file may be no UTF-8
        text = unicodedata.normalize("NFC", text.translate(PLAIN))  # macOS divides accented letters in such names
        fonts = () if _in_latin_1(text) else _fonts_for(text)
        shown = "".join(letter if _has(fonts, letter) else f"<U+{ord(letter):04X}>" for letter in text)
        families = [self._family_of(font) for font in fonts]
        self._pdf.set_font(families[0] if families else OWN, "" if families else style, size)
        self._pdf.set_fallback_fonts(families[1:], exact_match=False)
        self._pdf.set_text_shaping(bool(families), direction="ltr")  # of the line; Arabic in it runs to the left
        self._pdf.multi_cell(0, size * 0.5, shown, align="L", new_x="LMARGIN", new_y="NEXT")
        self._pdf.set_text_shaping(False)
        self._pdf.set_fallback_fonts([])
        if shown != text and not self._explained:
            self._explained = True
            self.write(NO_FONT, 8, "")

    def _family_of(self, font: Path) -> str:
        if font not in self._families:
            self._families[font] = f"font{len(self._families)}"
            self._pdf.add_font(self._families[font], "", font)
        return self._families[font]


def _in_latin_1(text: str) -> bool:
    return all(ord(letter) < 256 for letter in text)


def _has(fonts: Sequence[Path], letter: str) -> bool:
    if not fonts:
        return ord(letter) < 256
    return letter not in TURNING and any(ord(letter) in _letters(font) for font in fonts)


def _fonts_for(text: str) -> tuple[Path, ...]:
    """Return fonts that together have the letters of a text, as far as this machine has them."""
    missing, chosen = {ord(letter) for letter in text}, []
    for font in _font_files():
        if found := missing & _letters(font):
            missing -= found
            chosen.append(font)
        if not missing:
            break
    return tuple(chosen)


@cache
def _font_files() -> tuple[Path, ...]:
    """Return the fonts that may be taken, PREFERRED ones first."""

    def rank(font: Path) -> tuple[int, str]:
        name = font.stem.lower()
        return PREFERRED.index(name) if name in PREFERRED else len(PREFERRED), name

    found = (file for folder in font_folders() for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    return tuple(
        sorted((font for font in found if not any(part in font.stem.lower() for part in OTHER_STYLES)), key=rank)
    )


def font_folders() -> Iterator[Path]:
    """Yield where the system and its user have fonts, and where matplotlib has its own."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        windows, local = os.path.expandvars("%WINDIR%"), os.path.expandvars("%LOCALAPPDATA%")
        places = [Path(windows, "Fonts"), Path(local, "Microsoft", "Windows", "Fonts")]
    elif sys.platform == "darwin":
        places = [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    else:
        places = [
            Path("/usr/share/fonts"),
            Path("/usr/local/share/fonts"),
            home / ".local/share/fonts",
            home / ".fonts",
        ]
    if (matplotlib := find_spec("matplotlib")) and matplotlib.origin:
        places.append(Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf")
    yield from (place for place in places if place.is_dir())


@cache
def _letters(font: Path) -> frozenset[int]:
    """Return the code points of a font, or none if it cannot be read or must not be embedded."""
    from fontTools.ttLib import TTFont

    with suppress(Exception), TTFont(font, fontNumber=0, lazy=True) as opened:  # fontTools raises many kinds
        licence: Any = opened["OS/2"]
        if not licence.fsType & RESTRICTED:
            return frozenset(opened.getBestCmap() or ())
    return frozenset()
