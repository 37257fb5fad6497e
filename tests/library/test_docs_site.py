"""The documentation site builds strictly, works without a network, and names only files that exist."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify

import kneeoa_hub

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "spaces/README.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "evidence" not in path.parts),
]
PACKAGES = ("kneeoa_hub", "tuning", "flask_app", "spaces", "benchmarks", "tests")
PLACES = (*PACKAGES, "docs", ".ci")
GENERATED = ("commands.md", "hub-faults.md", "errors.md")
"""Pages that quote messages of the code."""
TRANSLATED = re.compile(
    r"\b(?:is|are|was|were|be) told\b|\b(?:what|that|which) (?:is|are) none\b|(?<!thing )(?<!one )\belse\b"
    r"|\bmend(?:s|ed)?\b|\bput right\b"
)
"""Phrases that read as translated. "else" is for "something else" only."""


def page_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def spans(path: Path) -> list[str]:
    """Every span of code of a page that is not in a block."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def alternatives(name: str) -> Iterator[str]:
    """The names that a name with braces stands for, as in a shell."""
    parts = re.split(r"\{([^}]*)\}", name)
    choices = [part.split(",") if number % 2 else [part] for number, part in enumerate(parts)]
    yield from map("".join, product(*choices))


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_file_that_a_page_names_exists(path: Path):
    named = {
        name
        for span in spans(path)
        if re.fullmatch(r"[\w./{},*-]+", span) and (span.split("/")[0] in PLACES or span.endswith(".py"))
        for name in alternatives(span)
        if "/" in name
    }
    assert {name for name in named if not list(ROOT.glob(name.rstrip("/")))} == set()


@pytest.mark.parametrize("path", PAGES, ids=page_id)
def test_every_module_that_a_page_names_exists(path: Path):
    named = {span for span in spans(path) if re.fullmatch(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+", span)}
    wrong = set()
    for name in named:
        module = ROOT.joinpath(*name.split(".")[:-1])  # the last word may be a name in the module
        whole = ROOT.joinpath(*name.split("."))
        if not any(place.is_dir() or place.with_suffix(".py").is_file() for place in (module, whole)):
            wrong.add(name)
    assert wrong == set()


@pytest.mark.parametrize("path", [page for page in PAGES if page.name not in GENERATED], ids=page_id)
def test_the_english_of_a_page_is_plain(path: Path):
    prose = re.sub(r"^```.*?^```|`[^`\n]+`", "", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert TRANSLATED.findall(prose) == []


def test_the_glossary_has_each_word_once():
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \|", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE)
    words = Counter(word for word, _ in rows if word not in ("word", "---"))
    assert len(words) > 50
    assert [word for word, count in words.items() if count > 1] == []


def test_the_anchors_of_the_readme_exist():
    links = re.findall(r"\]\(([^)#]+)#([^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    for target, anchor in links:
        headings = re.findall(r"^#+ (.+)$", (ROOT / target).read_text("utf-8"), re.MULTILINE)
        assert anchor in {slugify(heading, "-") for heading in headings}, (target, anchor)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [str(Path(sys.executable).parent / "mkdocs"), "build", "--strict", "--site-dir", str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


class Fetched(HTMLParser):
    """Addresses that a browser fetches by itself when it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag != "a" and values.get("rel") not in ("canonical", "prev", "next"):
            self.addresses += [value for name in ("src", "href", "srcset", "data") if (value := values.get(name))]


@pytest.mark.slow
def test_the_site_asks_no_other_host_for_anything(site: Path):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 25
    for path in pages:
        page = Fetched()
        page.feed(path.read_text("utf-8"))
        assert page.addresses
        assert [one for one in page.addresses if re.match(r"(?:https?:)?//", one)] == [], path.name
    for path in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", path.read_text("utf-8")), path.name


@pytest.mark.slow
def test_every_public_name_is_described_and_can_be_searched(site: Path):
    described = (site / "api.html").read_text("utf-8")
    places = {entry["location"] for entry in json.loads((site / "search" / "search_index.json").read_text())["docs"]}
    for name in kneeoa_hub.__all__:
        anchor = f"{getattr(kneeoa_hub, name).__module__}.{name}"
        assert f'id="{anchor}"' in described or f'id="kneeoa_hub.{name}"' in described, name
        assert {f"api.html#{anchor}", f"api.html#kneeoa_hub.{name}"} & places, name


@pytest.mark.slow
def test_the_schemas_are_on_the_site(site: Path):
    for schema in (ROOT / "docs" / "schemas").glob("*.json"):
        assert (site / "schemas" / schema.name).read_bytes() == schema.read_bytes()
        assert schema.name in (site / "schemas.html").read_text("utf-8")
