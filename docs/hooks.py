"""MkDocs hooks: pages and pictures that live outside docs/ become part of the site.

A link of docs/ to such a page, `../model_card.md`, leads to it in a checkout. The site has all pages in one folder, so
the hooks shorten the link there. A figure leads to its file, since its labels are small beside the text.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PAGES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "model_card.md")
ICON = "flask_app/static/icon.svg"
_TO_OUTSIDE = re.compile(rf"\]\(((?:\.\./)*)\.\./({'|'.join(map(re.escape, PAGES))})")
_TO_DOCS = re.compile(r"\]\(docs/")
_FIGURE = re.compile(r"^!\[[^\]]*\]\(([^)]+\.png)\)$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of PAGES, the figures of the model card, and the icon."""
    figures = sorted((ROOT / "kneeoa_hub" / "pretrained").glob("*/figures/*.png"))
    outside = {name: ROOT / name for name in PAGES}
    outside |= {figure.relative_to(ROOT).as_posix(): figure for figure in figures}
    outside["images/icon.svg"] = ROOT / ICON
    for name, path in outside.items():
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links between docs/ and the pages outside it into links within the site, and figures into links."""
    markdown = _FIGURE.sub(r"[\g<0>](\1)", markdown)
    if page.file.src_uri in PAGES:
        return _TO_DOCS.sub("](", markdown)
    return _TO_OUTSIDE.sub(r"](\1\2", markdown)
