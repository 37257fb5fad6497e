"""Pictures of the Flask app for the documentation are taken here: `python -m tests.support.flask_screenshots`."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize

from kneeoa_hub.imaging.phantom import sample_films

from .flask_serving import ROOT, chromium, serving
from .pictures import file, noise

FOLDER = ROOT / "docs" / "images"
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 800}


def main(folder: Path = FOLDER) -> None:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as there,
        serving(KNEEOA_READER_DB=f"sqlite:///{there}/readings.db") as (address, _),
        chromium() as browser,
    ):
        films = {}
        for name, phantom in sample_films().items():
            films[name] = Path(there) / f"{name}.png"
            films[name].write_bytes(file(Image.fromarray(phantom.pixels)))
        films["not-a-knee"] = Path(there) / "not-a-knee.png"
        films["not-a-knee"].write_bytes(noise())

        page = opened(browser, address)
        save(page, folder, "flask-upload")
        grade(page, films["both-knees"])
        page.get_by_role("slider", name="Overlay").fill("60")
        page.get_by_role("slider", name="Zoom").fill("130")
        save(page, folder, "flask-result")
        page.goto("/docs")
        save(page, folder, "flask-api", whole=False)
        page.goto("/")
        grade(page, films["severe"], films["not-a-knee"], films["normal"])
        save(page, folder, "flask-many", whole=False)
        page.goto("/")
        page.get_by_label("I want to grade the films myself").check()
        grade(page, films["mild"], films["moderate"])
        for film, choice in (("1. mild.png", "2 Mild"), ("2. moderate.png", "3 Moderate")):
            page.get_by_role("article", name=film).get_by_label(choice).check()
        save(page, folder, "flask-read-first", whole=False)
        page.get_by_label("Reader's code").fill("reader-1")
        page.get_by_role("button", name="Save my grades").click()
        page.goto("/readings")
        save(page, folder, "flask-readings")

        page = opened(browser, address, dark=True)
        grade(page, films["severe"])
        save(page, folder, "flask-dark")
        page = opened(browser, address, phone=True)
        grade(page, films["mild"])
        save(page, folder, "flask-phone", whole=False)


def opened(browser: Browser, address: str, dark: bool = False, phone: bool = False) -> Page:
    context = browser.new_context(
        base_url=address, viewport=PHONE if phone else DESKTOP, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    page.goto("/")
    page.wait_for_load_state("networkidle")
    return page


def grade(page: Page, *films: Path) -> None:
    page.get_by_label("Your films").set_input_files(films)
    page.locator("form.upload button[type=submit]").click()
    page.wait_for_url("**/results/**")


def save(page: Page, folder: Path, name: str, whole: bool = True) -> None:
    page.wait_for_load_state("networkidle")
    # Pictures below the window load when a reader comes near them.
    page.evaluate("Promise.all([...document.images].map(one => { one.loading = 'eager'; return one.decode(); }))")
    page.evaluate("scrollTo(0, 0)")
    path = folder / f"{name}.png"
    page.screenshot(path=path, full_page=whole)
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
