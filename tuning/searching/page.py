"""A report is a list of sections, written as Markdown and as one HTML file."""

import base64
import html
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kneeoa_hub.card.reading import Picture, pictures_apart

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; font-size: .85rem; }}
th, td {{ border-bottom: 1px solid #ccc; padding: .25rem .6rem; text-align: left; white-space: nowrap; }}
img {{ max-width: 100%; }}
code {{ background: #f2f2f2; padding: .1rem .3rem; }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


@dataclass(frozen=True)
class Section:
    """A section is a part of a report.

    Attributes:
        heading: Its heading; "" for the part below the title.
        text: Its paragraphs. `code` stands between backquotes.
        rows: A table whose first row is its head; () for none.
        figure: The name of a PNG file beside the report; "" for none.
        caption: What the figure shows.
    """

    heading: str
    text: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    figure: str = ""
    caption: str = ""


def write_page(folder: Path, title: str, sections: Sequence[Section]) -> None:
    """Write report.md, and report.html with the figures in it.

    Args:
        folder: Where both are written, and where the figures lie.
        title: Title of the report.
        sections: Its parts.
    """
    (folder / "report.md").write_text("\n\n".join([f"# {title}", *_markdown(sections)]) + "\n", "utf-8")
    body = "\n".join(_html(sections, folder))
    (folder / "report.html").write_text(_PAGE.format(title=html.escape(title), body=body), "utf-8")


def copy_pages(sources: Sequence[Path], page: Path, pictures: str = "") -> None:
    """Copy reports into one page, with the pictures that they show.

    Args:
        sources: Files that `write_page` has written, or copies of them; the pictures lie where their links say.
        page: The file that becomes the copy, in a folder that may be new.
        pictures: The folder beside `page` that takes the pictures, with a slash at its end; "" for the page's own.
    """
    (page.parent / pictures).mkdir(parents=True, exist_ok=True)
    parts = []
    for number, source in enumerate(sources, 1):
        apart = f"{number}-" if len(sources) > 1 else ""  # reports have pictures of the same names
        for part in pictures_apart(source.read_text("utf-8", "replace")):
            if isinstance(part, Picture):
                name = f"{pictures}{apart}{Path(part.path).name}"
                if (source.parent / part.path).is_file():
                    shutil.copyfile(source.parent / part.path, page.parent / name)
                part = f"![{part.text}]({name})"
            parts.append(part)
        parts.append("\n" if number < len(sources) else "")
    page.write_text("".join(parts), "utf-8")


def _markdown(sections: Iterable[Section]) -> Iterable[str]:
    for section in sections:
        yield from [f"## {section.heading}"] if section.heading else []
        yield from section.text
        yield from [f"![{section.caption}]({section.figure})"] if section.figure else []
        if section.rows:
            head, *rows = (f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in section.rows)
            yield "\n".join([head, "|" + "---|" * len(section.rows[0]), *rows])


def _html(sections: Iterable[Section], folder: Path) -> Iterable[str]:
    for section in sections:
        yield from [f"<h2>{html.escape(section.heading)}</h2>"] if section.heading else []
        yield from (f"<p>{_coded(paragraph)}</p>" for paragraph in section.text)
        if section.figure:
            picture = base64.b64encode((folder / section.figure).read_bytes()).decode()
            yield f'<img alt="{html.escape(section.caption)}" src="data:image/png;base64,{picture}">'
        if section.rows:
            head, *rows = section.rows
            yield f"<table><tr>{_cells('th', head)}</tr>"
            yield from (f"<tr>{_cells('td', row)}</tr>" for row in rows)
            yield "</table>"


def _cells(kind: str, cells: Iterable[str]) -> str:
    return "".join(f"<{kind}>{_coded(cell)}</{kind}>" for cell in cells)


def _coded(text: str) -> str:
    """Text as HTML; what stands between backquotes is code."""
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
