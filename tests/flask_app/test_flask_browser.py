"""The Flask app in a real browser: what a person sees and can do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from flask_app import MAX_FILMS
from kneeoa_hub.report import DISCLAIMER

from ..support.flask_serving import PATIENCE_MS, check_bars, chromium, chromium_path, serving
from ..support.pictures import noise

pytestmark = pytest.mark.skipif(not chromium_path(), reason="Chromium is not installed: no browser here")

PHONE: ViewportSize = {"width": 320, "height": 700}
FITS = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving() as (address, _):
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The upload page; at the end the browser must have had nothing to complain of, a breach of the policy included."""
    page = browser.new_page(base_url=address)
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.complaints = complaints  # type: ignore[attr-defined]
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/")
    yield page
    page.close()
    assert complaints == []


def upload(page: Page, *films: Path) -> None:
    page.get_by_label("Your films").set_input_files(films)
    page.get_by_role("button", name="Grade").first.click()
    page.wait_for_url("**/results/*")


def test_a_film_is_uploaded_and_shown_beside_its_overlay(page: Page, films: dict[str, Path]):
    upload(page, films["both-knees"])
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(page.get_by_role("region", name="Right knee")).to_contain_text("Grade ")
    expect(page.get_by_role("region", name="Left knee")).to_contain_text("At 90% confidence")
    film, overlay = (
        page.get_by_alt_text("The film, in gray"),
        page.get_by_alt_text("The film with each knee's frame, grade and evidence"),
    )
    assert film.evaluate("image => image.naturalWidth") == overlay.evaluate("image => image.naturalWidth") == 800
    left, right = film.bounding_box(), overlay.bounding_box()
    assert left
    assert right
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]
    expect(page.get_by_text(DISCLAIMER, exact=True)).to_be_in_viewport()


def test_the_bars_are_as_long_as_the_probabilities(page: Page, films: dict[str, Path]):
    upload(page, films["severe"])
    check_bars(page.locator(".bars tr").all())


def test_chosen_films_are_listed_and_many_are_graded_with_a_table(page: Page, films: dict[str, Path], tmp_path: Path):
    refused, broken = tmp_path / "noise.png", tmp_path / "notes.txt"
    refused.write_bytes(noise())
    broken.write_bytes(b"no image")
    page.get_by_label("Your films").set_input_files([films["mild"], refused, broken])
    expect(page.locator(".chosen li")).to_have_count(3)
    page.get_by_role("button", name="Grade 3 films").click()
    table = page.get_by_role("region", name="All films")
    expect(table).to_contain_text("Not graded")
    expect(table).to_contain_text("Failed")
    table.get_by_role("link", name="2. noise.png").click()
    expect(page.get_by_role("article", name="noise.png")).to_be_in_viewport()
    expect(page.get_by_role("article", name="noise.png")).to_contain_text("does not look like a frontal knee")


def test_too_many_films_are_noticed_before_they_are_sent(page: Page, films: dict[str, Path]):
    page.get_by_label("Your films").set_input_files([films["mild"]] * (MAX_FILMS + 1))
    expect(page.get_by_role("alert")).to_contain_text(f"Send at most {MAX_FILMS} at a time")
    expect(page.get_by_role("button", name="Grade 51 films")).to_be_disabled()


def test_a_sample_is_graded_by_keyboard_alone(page: Page):
    button = page.get_by_role("button", name="Grade the synthetic film: Severe")
    for _ in range(30):
        page.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            break
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Severe (synthetic)")).to_be_visible()


def test_the_viewer_fades_zooms_moves_and_resets(page: Page, films: dict[str, Path]):
    upload(page, films["mild"])
    overlay = page.get_by_alt_text("The film with each knee's frame, grade and evidence")
    film = page.get_by_alt_text("The film, in gray")

    def style(image: Locator, name: str) -> str:
        return image.evaluate("(image, name) => getComputedStyle(image)[name]", name)

    page.get_by_role("slider", name="Overlay").fill("0")
    assert style(overlay, "opacity") == "0"  # the film itself is behind it
    page.get_by_role("slider", name="Zoom").fill("200")
    zoomed = style(film, "transform")
    assert style(overlay, "transform") == zoomed
    assert zoomed.startswith("matrix(2, 0, 0, 2, ")
    page.get_by_role("group", name="Film: arrow keys").focus()
    page.keyboard.press("ArrowRight")
    moved = style(film, "transform")
    assert moved != zoomed
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    far = style(film, "transform")
    page.keyboard.press("ArrowRight")
    assert style(film, "transform") == far != moved  # not beyond the edge
    page.get_by_role("slider", name="Level").fill("150")
    page.get_by_role("slider", name="Window").fill("50")
    assert style(film, "filter") == "brightness(0.666667) contrast(2)"
    page.get_by_role("button", name="Reset").click()
    assert (style(overlay, "opacity"), style(film, "transform"), style(film, "filter")) == (
        "1",
        "matrix(1, 0, 0, 1, 0, 0)",
        "brightness(1) contrast(1)",
    )


def middle(locator: Locator) -> tuple[float, float]:
    box = locator.bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_zoom_shows_the_knee_and_a_box_is_drawn_on_the_film(page: Page, films: dict[str, Path], grader):
    upload(page, films["both-knees"])
    frame = page.locator("[data-film]")
    page.locator(".correct summary").click()
    page.get_by_role("button", name="Zoom: left knee").click()
    assert page.get_by_role("slider", name="Zoom").input_value() != "100"
    assert middle(page.locator(".marks rect").nth(1))[1] == pytest.approx(middle(frame)[1], abs=3)
    page.get_by_role("button", name="Reset").click()
    another = page.get_by_role("group", name="Another knee")
    another.get_by_role("button").click()
    place = frame.bounding_box()
    assert place
    scale = place["width"] / 800
    page.mouse.move(place["x"] + 440 * scale, place["y"] + 40 * scale)
    page.mouse.down()
    page.mouse.move(place["x"] + 760 * scale, place["y"] + 360 * scale)
    page.mouse.up()
    drawn = [int(another.get_by_label(edge).input_value()) for edge in ("Left", "Top", "Right", "Bottom")]
    assert drawn == pytest.approx([440, 40, 760, 360], abs=3)
    for number in (0, 1):
        for field in page.locator("fieldset.box").nth(number).locator("input").all():
            field.fill("")
    page.get_by_role("button", name="Grade again").click()
    page.wait_for_url("**#film-1")
    expect(page.locator("section.knee")).to_have_count(1)
    (knee,) = grader.grade(films["both-knees"], [drawn]).knees
    expect(page.locator("section.knee")).to_contain_text(f"Grade {knee.grade} · {knee.label}")


def test_an_empty_file_has_0_bytes(page: Page, tmp_path: Path):
    (tmp_path / "empty.png").write_bytes(b"")
    page.get_by_label("Your films").set_input_files(tmp_path / "empty.png")
    expect(page.locator(".chosen")).to_have_text("empty.png 0 bytes")


def test_the_upload_page_shows_why_a_film_is_not_graded_and_stays_usable(
    page: Page, films: dict[str, Path], tmp_path: Path
):
    broken = tmp_path / "notes.txt"
    broken.write_bytes(b"no image")
    page.get_by_label("Your films").set_input_files(broken)
    page.get_by_role("button", name="Grade").first.click()
    expect(page.get_by_role("alert")).to_contain_text("send PNG, JPEG, TIFF, BMP, WebP or DICOM")
    page.complaints.clear()  # type: ignore[attr-defined]  # the browser's own line about the status
    upload(page, films["mild"])
    expect(page.get_by_role("heading", name="mild.png")).to_be_visible()


def test_a_result_is_found_again_by_its_address(page: Page, films: dict[str, Path]):
    upload(page, films["severe"])
    page.reload()
    expect(page.get_by_role("heading", name="severe.png")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("button", name="Grade", exact=True)).to_be_enabled()


def test_a_reader_grades_first_and_sees_the_agreement(browser: Browser, films: dict[str, Path], tmp_path: Path):
    with serving(KNEEOA_READER_DB=f"sqlite:///{tmp_path / 'readings.db'}") as (address, _):
        page = browser.new_page(base_url=address)
        page.set_default_timeout(PATIENCE_MS)
        page.goto("/")
        page.get_by_label("I want to grade the films myself").check()
        page.get_by_label("Your films").set_input_files([films["mild"], films["severe"]])
        page.get_by_role("button", name="Grade 2 films").click()
        page.wait_for_url("**/read-first")
        expect(page.get_by_role("heading", name="Your reading first")).to_be_visible()
        expect(page.locator(".verdict")).to_have_count(0)
        for film, grade in (("1. mild.png", "2 Mild"), ("2. severe.png", "4 Severe")):
            page.get_by_role("article", name=film).get_by_label(grade).check()
        page.get_by_label("Reader's code").fill("r-1")
        page.get_by_role("button", name="Save my grades").click()
        expect(page.get_by_role("heading", name="Results of 2 films")).to_be_visible()
        page.get_by_text("Your own grade", exact=True).first.click()
        expect(page.get_by_text("Reader r-1")).to_have_count(2)
        page.get_by_role("link", name="Readers", exact=True).click()
        expect(page.get_by_role("heading", name="Graded before the model's answer was shown")).to_be_visible()
        expect(page.get_by_role("table")).to_contain_text("4 Severe")
        assert serious_faults(page) == []
        page.set_viewport_size(PHONE)
        assert page.evaluate(FITS)
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: Page, films: dict[str, Path], tmp_path: Path, scheme: str):
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    refused = tmp_path / "noise.png"
    refused.write_bytes(noise())
    found = {"upload": serious_faults(page)}
    upload(page, films["both-knees"], refused)
    found["result"] = serious_faults(page)
    for path in ("/about", "/docs", "/nowhere"):
        page.goto(path)
        found[path] = serious_faults(page)
    page.complaints.clear()  # type: ignore[attr-defined]  # of the page that is not there
    assert found == {place: [] for place in found}


def serious_faults(page: Page) -> list[str]:
    """What axe-core finds by WCAG that a user would stumble over."""
    found = Axe().run(page).response["violations"]
    return [
        f"{fault['id']}: {node['html']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def test_the_findings_are_copied_and_the_report_saved(page: Page, tmp_path: Path):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Mild").click()
    page.get_by_role("button", name="Copy text").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("FINDINGS\nKnee: Kellgren-Lawrence grade")
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as JSON").click()
    download.value.save_as(tmp_path / "report.json")
    assert '"grade_set"' in (tmp_path / "report.json").read_text("utf-8")


def test_everything_works_without_javascript(browser: Browser, address: str, films: dict[str, Path]):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    page.get_by_label("Your films").set_input_files(films["moderate"])
    page.get_by_role("button", name="Grade").first.click()
    expect(page.get_by_role("heading", name="moderate.png")).to_be_visible()
    expect(page.get_by_text("IMPRESSION")).to_be_visible()
    expect(page.get_by_role("button", name="Copy text")).to_be_hidden()
    expect(page.get_by_role("slider", name="Zoom")).to_be_hidden()
    with page.expect_download() as download:
        page.get_by_role("link", name="Save as PDF").click()
    assert download.value.path().read_bytes().startswith(b"%PDF-")
    page.get_by_role("link", name="About the model").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("kneeoa-cnn")
    context.close()


def test_nothing_is_cut_off_on_a_phone(page: Page, films: dict[str, Path]):
    page.set_viewport_size(PHONE)
    assert page.evaluate(FITS)
    upload(page, films["both-knees"], films["mild"])
    page.get_by_role("heading", name="Results").wait_for()
    assert page.evaluate(FITS)
    page.goto("/about")
    assert page.evaluate(FITS)


def test_the_page_follows_the_dark_mode_of_the_system(page: Page):
    brightness = (
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((sum, value) => sum + Number(value), 0)"
    )
    assert page.evaluate(brightness) > 600
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(brightness) < 150
