"""The whole visit in a real browser, at a desk and on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

from kneeoa_hub.report import DISCLAIMER

from ..support.flask_serving import PATIENCE_MS, check_bars, chromium, chromium_path
from ..support.space_films import film_files
from ..support.space_serving import open_tab, serving

pytestmark = pytest.mark.skipif(not chromium_path(), reason="Chromium is not installed: no browser here")

DESK: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
TABS = ("Grade", "Then and now", "The scale", "The model", "How it was found")
GRADIO_SAYS = ("Method not implemented.",)
"""Warnings of its own client, at every upload."""
PASTE = """async (address) => {
  const content = await (await fetch(address)).blob();
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([content], "pasted.png", { type: "image/png" }));
  document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def url(grader) -> Iterator[str]:
    with serving(grader) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser: Browser):
    """One visitor, whose browser keeps what it has loaded."""
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(PATIENCE_MS)
    return context


@pytest.fixture
def page(context, url: str) -> Iterator[Page]:
    """The page; at the end the browser must have had nothing to complain of, and asked no other server for anything."""
    page = context.new_page()
    noted: list[str] = []
    page.on(
        "console",
        lambda message: (
            noted.append(message.text)
            if message.type in ("error", "warning") and message.text not in GRADIO_SAYS
            else None
        ),
    )
    page.on("pageerror", lambda error: noted.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "data:", "blob:")) else noted.append(request.url),
    )
    page.goto(url)
    expect(page.locator("#result .verdict")).to_be_visible()
    yield page
    page.close()
    assert noted == []


def send(page: Page, *films: Path) -> None:
    page.locator("#film input[type=file]").set_input_files(films)


def result(page: Page, title: str) -> Locator:
    """The film with that title, as soon as it is shown."""
    article = page.locator("#result").get_by_role("article", name=title, exact=True)
    expect(article).to_be_visible()
    return article


def test_a_graded_film_with_true_bars_is_there_before_anything_is_sent(page: Page, grader):
    film = result(page, "Moderate (synthetic)")
    expect(film.get_by_role("region", name="Knee")).to_contain_text("Grade ")
    expect(film).to_contain_text("At 90% confidence")
    expect(page.locator("#result")).to_contain_text("This film is synthetic")
    expect(page.locator(".notice", has_text=DISCLAIMER)).to_be_in_viewport()
    expect(page.locator("footer", has_text=f"Model {grader.model}, revision {grader.revision}")).to_be_visible()
    check_bars(film.locator(".bars tr").all())


def test_a_sample_of_two_knees_has_a_tab_for_each_that_keys_reach(page: Page):
    page.get_by_role("button", name="Show the synthetic film: Both knees").click()
    film = result(page, "Both knees (synthetic)")
    right, left = (film.get_by_role("region", name=f"{side} knee") for side in ("Right", "Left"))
    expect(right).to_be_visible()
    expect(left).to_be_hidden()
    film.get_by_role("radio", name="Right knee").focus()
    page.keyboard.press("ArrowRight")
    expect(left).to_be_visible()
    expect(right).to_be_hidden()
    expect(film).to_contain_text("Sides follow the convention")


def test_a_film_of_sixteen_bits_is_shown_beside_its_evidence_of_any_strength(page: Page, tmp_path: Path):
    path = film_files(tmp_path)["TIFF of 16 bits"].rename(tmp_path / "deep.tif")
    send(page, path)
    film = result(page, "deep.tif")
    plain, overlay = (picture.bounding_box() for picture in film.locator(".stack").all())
    assert plain
    assert overlay
    assert (plain["y"], plain["width"]) == pytest.approx((overlay["y"], overlay["width"]), abs=0.1)
    assert plain["x"] + plain["width"] <= overlay["x"]
    heat = film.locator(".heatmap")
    film.get_by_role("slider").fill("20")
    expect(heat).to_have_css("opacity", "0.2")
    film.get_by_role("slider").press("End")
    expect(heat).to_have_css("opacity", "1")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    film.get_by_role("button", name="Copy text").click()
    expect(film.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("FINDINGS\nKnee: Kellgren-Lawrence grade")


def test_good_refused_and_bad_films_together_are_each_answered(page: Page, films: dict[str, Path], tmp_path: Path):
    blank = film_files(tmp_path)["blank"].rename(tmp_path / "blank.png")
    bad = tmp_path / "notes.png"
    bad.write_bytes(b"no image")
    send(page, films["mild"], blank, bad)
    table = page.get_by_role("region", name="All films")
    expect(table).to_contain_text("Not graded")
    expect(table).to_contain_text("Failed")
    expect(result(page, "1. mild.png").get_by_role("region", name="Knee")).to_be_visible()
    expect(result(page, "2. blank.png").get_by_role("alert")).to_contain_text("shows no detail")
    expect(result(page, "3. notes.png").get_by_role("alert")).to_contain_text("not an image")
    expect(page.get_by_role("region", name="Findings")).to_have_count(2)
    page.get_by_role("button", name="The same for programs: JSON").click()
    expect(page.get_by_text('"error"')).to_be_visible()


def test_too_many_films_are_rejected_with_a_message(page: Page, films: dict[str, Path]):
    from spaces.demo.page import MAX_FILMS

    send(page, *[films["mild"]] * (MAX_FILMS + 1))
    expect(page.get_by_text(f"Send at most {MAX_FILMS} at once")).to_be_visible()


def test_a_picture_is_pasted(page: Page):
    page.evaluate(PASTE, page.get_by_role("button", name="Severe").locator("img").get_attribute("src"))
    result(page, "pasted.png")


def test_pictures_are_pasted_into_the_boxes_of_the_tab_that_is_seen(page: Page):
    picture = page.get_by_role("button", name="Moderate").locator("img").get_attribute("src")
    open_tab(page, "Then and now")
    page.evaluate(PASTE, picture)
    expect(page.locator("#change")).to_contain_text('Send the other film in the box "Now".')
    expect(page.locator("#change article")).to_have_count(1)
    page.evaluate(PASTE, picture)
    expect(page.locator("#change article")).to_have_count(2)
    expect(page.get_by_role("region", name="Change: Knee")).to_contain_text("may be the same in both")


def test_the_shown_sample_is_marked_and_none_is_marked_beside_own_films(page: Page, films: dict[str, Path]):
    pressed = page.locator("button[data-sample][aria-pressed=true]")
    expect(pressed).to_have_text("Moderate")
    page.get_by_role("button", name="Severe").click()
    result(page, "Severe (synthetic)")
    expect(pressed).to_have_text("Severe")
    send(page, films["mild"])
    result(page, "mild.png")
    expect(pressed).to_have_count(0)
    page.get_by_role("button", name="Normal").click()
    result(page, "Normal (synthetic)")
    expect(pressed).to_have_text("Normal")
    expect(page.locator("#film")).not_to_contain_text("mild.png")


def test_a_name_of_a_file_is_never_run(page: Page, films: dict[str, Path], tmp_path: Path):
    hostile = tmp_path / "<img src=x onerror=alert(1)>${1+1}{{2}}.png"
    hostile.write_bytes(films["mild"].read_bytes())
    send(page, hostile)
    expect(page.locator("#result h2")).to_contain_text("onerror")
    expect(page.locator("#result img:not([src^='data:'])")).to_have_count(0)


def test_taking_the_film_away_brings_the_sample_back(page: Page, films: dict[str, Path]):
    send(page, films["severe"])
    result(page, "severe.png")
    page.locator("#film").get_by_role("button", name="Clear").click()
    result(page, "Moderate (synthetic)")


def test_two_films_are_compared(page: Page, films: dict[str, Path]):
    open_tab(page, "Then and now")
    expect(page.locator("#change")).to_contain_text("films are synthetic")
    page.locator("#then input[type=file]").set_input_files(films["doubtful"])
    page.locator("#now input[type=file]").set_input_files(films["severe"])
    change = page.get_by_role("region", name="Change: Knee")
    expect(page.locator("#change")).not_to_contain_text("films are synthetic")
    expect(change).to_contain_text("→")
    expect(page.locator("#change article")).to_have_count(2)


def test_scale_card_and_architecture_are_shown_with_their_pictures(page: Page, grader):
    open_tab(page, "The scale")
    for grade in range(5):
        expect(page.get_by_role("region", name=f"Grade {grade}").locator("img")).to_be_visible()
    open_tab(page, "The model")
    expect(page.get_by_role("heading", name=f"{grader.model} {grader.bundle.config.version}")).to_be_visible()
    assert page.locator(".plot:visible img").count() == len(list((grader.bundle.folder / "figures").glob("*.png")))
    open_tab(page, "How it was found")
    expect(page.get_by_text("chosen by name, not by a search")).to_be_visible()
    expect(page.locator("dl.choices:visible")).to_have_count(len(grader.bundle.config.members))
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")


def test_on_a_phone_nothing_is_cut_off_and_the_notice_stays(page: Page, films: dict[str, Path]):
    page.set_viewport_size(PHONE)
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    send(page, films["both-knees"])
    result(page, "both-knees.png")
    for name in TABS:
        open_tab(page, name)
        assert page.evaluate(fits), name
        page.mouse.wheel(0, 900)
        expect(page.locator(".notice", has_text=DISCLAIMER)).to_be_in_viewport()
        page.evaluate("scrollTo(0, 0)")


def test_on_a_phone_the_visit_begins_at_the_top_and_the_answer_comes_into_view(page: Page, films: dict[str, Path]):
    page.set_viewport_size(PHONE)
    page.reload()
    expect(page.locator("#result .verdict")).to_be_attached()
    expect(page.locator("#film")).to_be_in_viewport()
    send(page, films["severe"])
    expect(result(page, "severe.png").locator("h2")).to_be_in_viewport()


def test_the_page_follows_the_dark_mode_of_the_system(browser: Browser, url: str):
    page = browser.new_page(color_scheme="dark")
    page.goto(url)
    expect(page.locator("#result .verdict")).to_be_visible()
    light = (
        "element => getComputedStyle(element).color.match(/\\d+/g).slice(0, 3).reduce((sum, value) => sum +"
        " Number(value), 0)"
    )
    assert page.locator("#result .verdict").evaluate(light) > 500
    page.close()
