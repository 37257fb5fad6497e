"""Pictures of the demo for the documentation are taken here: `python -m tests.support.space_screenshots`."""

from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from kneeoa_hub import from_pretrained
from kneeoa_hub.imaging.phantom import sample_films

from .flask_serving import chromium
from .space_serving import ROOT, open_tab, serving

FOLDER = ROOT / "docs" / "images"
DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, serving(from_pretrained()) as url, chromium() as browser:
        films = [Path(folder) / f"{name}.png" for name in ("mild", "severe")]
        for path in films:
            Image.fromarray(sample_films()[path.stem].pixels).save(path)
        colour = Path(folder) / "holiday.png"
        Image.merge(
            "RGB", [Image.linear_gradient("L"), Image.radial_gradient("L"), Image.new("L", (256, 256), 90)]
        ).save(colour)
        broken = Path(folder) / "letter.png"
        broken.write_bytes(b"Dear colleague")
        page = visit(browser, url, DESK)
        save(page, "grade")
        page.get_by_role("button", name="Both knees").click()
        page.get_by_role("article", name="Both knees (synthetic)").wait_for()
        page.get_by_text("Left knee").first.click()
        save(page, "two-knees")
        page.locator("#film input[type=file]").set_input_files([*films, colour, broken])
        page.get_by_role("region", name="All films").wait_for()
        save(page, "several")
        for tab, name in (
            ("Then and now", "compare"),
            ("The scale", "scale"),
            ("The model", "model"),
            ("How it was found", "search"),
        ):
            open_tab(page, tab)
            save(page, name)
        page = visit(browser, url, DESK, dark=True)
        save(page, "dark")
        page = visit(browser, url, PHONE)
        save(page, "phone", full=True)
        open_tab(page, "Then and now")
        save(page, "phone-compare", full=True)


def visit(browser: Browser, url: str, size: ViewportSize, *, dark: bool = False) -> Page:
    page = browser.new_page(viewport=size, color_scheme="dark" if dark else "light")
    page.goto(url)
    page.locator("#result .verdict").wait_for()
    return page


def save(page: Page, name: str, *, full: bool = False) -> None:
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(1500)  # until nothing moves or fades any more
    path = FOLDER / f"space-{name}.png"
    page.screenshot(path=path, full_page=full)
    print(path.relative_to(ROOT), path.stat().st_size)


if __name__ == "__main__":
    main()
