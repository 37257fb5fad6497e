"""Pictures of the Flask app for the documentation, with synthetic films alone: `python -m tests.flask_screenshots`."""

from playwright.sync_api import Page

from .flask_serving import ROOT, chromium, serving

FOLDER = ROOT / "docs" / "images"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with serving() as (address, _), chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_load_state("networkidle")
        save(page, "flask-upload")
        page.get_by_role("button", name="Both knees").click()
        page.get_by_role("heading", name="Result").wait_for()
        save(page, "flask-result")


def save(page: Page, name: str) -> None:
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path, full_page=True)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
