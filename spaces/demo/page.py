"""Builds the page for visitors and the two endpoints for programs. Nothing is kept between two answers."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Self

import gradio as gr
from gradio.data_classes import FileData

from kneeoa_hub import KneeGrader, KneeOAError
from kneeoa_hub.imaging.formats import READABLE_FORMATS
from kneeoa_hub.imaging.phantom import Phantom, sample_films
from kneeoa_hub.output.knee_html import Html, fill, join
from kneeoa_hub.report import DISCLAIMER, Answer
from kneeoa_hub.sources import readers_followed

from . import render, samples
from .about import model_card, scale, search_record
from .cleanup import DELETE_AFTER_S, DELETE_EVERY_S
from .compare import compared, comparison, half
from .pictures import THUMBNAIL_SIDE, film_address

TITLE = "Knee osteoarthritis grading"
MAX_FILMS = 10
"""A visitor may send ten films at once."""
QUEUE = 64
"""Up to 64 requests may wait; the next one gets an error."""
CONCURRENCY = 2
"""At most two requests are graded at once, as `benchmarks/space.py` measured."""
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# gr.Image encodes a radiograph again and loses its 16 bits; a file arrives as it was sent.
UPLOAD: dict[str, Any] = {"type": "filepath", "height": 160}

Shown = tuple[Html, Any]
"""The first tab has these outputs: the films as HTML, the report as JSON."""

_BANNER = Template("""<header class="top"><strong>KneeOA</strong>
<span>Kellgren-Lawrence grade of a frontal knee film</span></header><p class="notice">$disclaimer</p>
""")
_FOOTER = Template("""<footer><p>Model <b>$model</b>, revision <code>$revision</code>. $readers</p>
<p>The server deletes uploads after $minutes minutes, and logs and shares none of them. Do not send films that name a
patient, on the picture or in the header.</p></footer>
""")
_UNAVAILABLE = Template("""<div class="message error" role="alert"><h2>The model is not available</h2><p>$reason</p>
<p>No film can be graded until it is. If this Space is yours, check the address and the revision of the model in the
settings, then restart the Space.</p></div>
""")
_HINT = Template('<p class="hint">$text</p>')
_FORMATS = Template('<p class="hint">Drop, choose or paste films: $formats, of any bit depth.</p>')
_SAMPLES = Template("""<p class="hint">No film at hand? These films are synthetic:</p>
<div class="samples">$buttons</div>
""")
_SAMPLE = Template("""<button type="button" data-sample="$name" aria-pressed="$pressed" \
aria-label="Show the synthetic film: $title"><img src="$film" alt="">$title</button>
""")


class SentFilm(FileData):
    """Receives a film that a program sends.

    For any other value Gradio would log a fault and tell the program nothing.
    """

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        if isinstance(obj, dict) and isinstance(obj.get("path"), str):
            return super().model_validate(obj, **options)
        raise gr.Error(
            "The value is not a file. Send the film as a file, as the API examples of this page do.",
            print_exception=False,
        )


def build_demo(grader: KneeGrader, concurrency: int = CONCURRENCY) -> gr.Blocks:
    """Return the page for a grader, with the endpoints /grade, from a film's file to its report, and /model."""
    turn = {"concurrency_id": "grading", "concurrency_limit": concurrency}
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(DELETE_EVERY_S, DELETE_AFTER_S)) as demo:
        _html(_banner(), elem_classes="banner")
        with gr.Tabs():
            with gr.Tab("Grade"):
                _grade_tab(grader, turn)
            with gr.Tab("Then and now"):
                _compare_tab(grader, turn)
            with gr.Tab("The scale"):
                _scale_tab()
            with gr.Tab("The model"):
                _documents(model_card(grader.bundle))
            with gr.Tab("How it was found"):
                _documents(search_record(grader.bundle))
        _html(_footer(grader))
        _endpoints(grader, turn)
    return demo.queue(max_size=QUEUE)


def unavailable(message: str) -> gr.Blocks:
    """Return the page of a Space whose model cannot be loaded."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as demo:
        _html(_banner(), elem_classes="banner")
        _html(fill(_UNAVAILABLE, reason=message))
    return demo


def _grade_tab(grader: KneeGrader, turn: dict[str, Any]) -> None:
    films = sample_films()

    @cache  # graded when a visitor first asks for it: to grade all of them would delay the start
    def of_sample(name: str) -> Shown:
        report = grader.grade(films[name].pixels)
        return render.films([(f"{samples.title_of(name)} (synthetic)", report)], samples.NOTE), report.to_dict()

    def show(paths: list[str] | None) -> Shown:
        if not paths:
            return of_sample(samples.FIRST)
        if len(paths) > MAX_FILMS:
            raise gr.Error(f"You sent {len(paths)} films. Send at most {MAX_FILMS} at once.", print_exception=False)
        return grade_films(grader, paths)

    def show_sample(event: gr.EventData) -> tuple[str, Any, None]:
        # the box of the visitor's own films is emptied, since the page does not show them
        return *of_sample(event.sample), None

    first = of_sample(samples.FIRST)
    with gr.Row(elem_classes="sides"):
        with gr.Column(scale=1, min_width=280):
            film = gr.File(label="Your films", file_count="multiple", elem_id="film", **UPLOAD)
            _html(fill(_FORMATS, formats=READABLE_FORMATS))
            chooser = _html(_sample_buttons(films), js_on_load=SAMPLE_CLICK)
        with gr.Column(scale=3, min_width=280):
            result = _html(first[0], elem_id="result")
            with gr.Accordion("The same for programs: JSON", open=False):
                answer = gr.JSON(first[1], label="Report")
    outputs = [result, answer]
    gr.on([film.upload, film.delete, film.clear], show, film, outputs, show_progress_on=result, **turn, **PRIVATE)
    chooser.click(show_sample, None, [*outputs, film], queue=False, show_progress="hidden", **PRIVATE)


def _compare_tab(grader: KneeGrader, turn: dict[str, Any]) -> None:
    example = comparison(*samples.then_and_now(grader), samples.PAIR_NOTE)

    def compare(then: str | None, now: str | None) -> Html:
        if then is None and now is None:
            return example
        if then is None or now is None:
            (answer,) = grader.grade_batch([then or now or ""])
            return half("Then" if then else "Now", answer)
        before, after = grader.grade_batch([then, now])
        return compared((then, now), before, after)

    with gr.Row():
        then = gr.File(label="Then: the earlier film", elem_id="then", min_width=280, **UPLOAD)
        now = gr.File(label="Now: the later film", elem_id="now", min_width=280, **UPLOAD)
    result = _html(example, elem_id="change")
    for film in (then, now):
        gr.on([film.upload, film.clear], compare, [then, now], result, **turn, **PRIVATE)


def _scale_tab() -> None:
    gr.Markdown(
        "# The Kellgren-Lawrence scale\nThe scale has five grades of osteoarthritis on a frontal film of the knee"
        " (Kellgren and Lawrence, 1957). Grade 2 or more is called radiographic osteoarthritis. The limits between the"
        " grades are not sharp, and readers often differ by one grade. So does the model, and therefore it also names"
        " the grades that it cannot rule out."
    )
    _html(scale())
    gr.Markdown(
        "The films are synthetic. They show one knee, drawn at each grade, so that only the grade differs. Do not use"
        " them to learn to diagnose."
    )


def _documents(parts: Iterable[tuple[str, str]]) -> None:
    """Show the parts, or why the evidence of the bundle does not allow it. Films can be graded all the same."""
    try:
        shown = list(parts)
    except KneeOAError as error:
        shown = [("html", fill(_HINT, text=error.message))]
    for kind, text in shown:
        if kind == "html":
            _html(text)
        else:
            gr.Markdown(text, elem_classes="document")


def _endpoints(grader: KneeGrader, turn: dict[str, Any]) -> None:
    def grade(film: str) -> dict[str, Any]:
        """Grade every knee of a frontal radiograph by the Kellgren-Lawrence scale, 0 to 4. Research use only, not for
        diagnosis.

        Args:
            film: one radiograph: PNG, JPEG, TIFF, BMP, WebP or DICOM, of any bit depth

        Returns:
            for each knee the grade, probabilities, prediction set, severity, box and side; or why the film was refused
        """
        try:
            return grader.grade(film).to_dict()
        except KneeOAError as error:
            raise gr.Error(error.for_visitors, print_exception=False) from None

    def model() -> dict[str, str]:
        """Return name and revision of the model that grades.

        Returns:
            its name and its revision
        """
        return {"model": grader.model, "revision": grader.revision}

    film, report = gr.File(visible=False, label="film"), gr.JSON(visible=False, label="report")
    film.data_model = SentFilm
    gr.Button(visible=False).click(grade, film, report, api_name="grade", **turn)
    gr.Button(visible=False).click(model, None, report, api_name="model")


def _html(text: str, *, js_on_load: str | None = None, **options: Any) -> gr.HTML:
    """Return an HTML block with the style of the demo alone. Gradio's would frame each cell and colour the badges."""
    return gr.HTML(text, js_on_load=js_on_load, apply_default_css=False, padding=False, **options)


def grade_films(grader: KneeGrader, paths: Sequence[str]) -> Shown:
    """Return the page and the JSON of films. They are unpacked one by one, since a small file may unfold to 160 MB."""
    reports: list[dict[str, Any]] = []

    def answers() -> Iterator[tuple[str, Answer]]:
        for path in paths:
            (answer,) = grader.grade_batch([path])
            reports.append(_document(answer))
            yield Path(path).name, answer
            del answer  # before the next film is unpacked beside it

    shown = render.films(answers(), several=len(paths) > 1)
    return shown, reports[0] if len(reports) == 1 else {"films": reports}


def _document(answer: Answer) -> dict[str, Any]:
    if isinstance(answer, KneeOAError):
        return {"error": {"code": answer.code, "detail": answer.for_visitors}}
    return answer.to_dict()


SAMPLE_CLICK = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-sample]");
  if (!button) return;
  for (const other of element.querySelectorAll("button[data-sample]"))
    other.setAttribute("aria-pressed", other === button);
  trigger("click", { sample: button.dataset.sample });
});
"""


def _sample_buttons(films: dict[str, Phantom]) -> Html:
    buttons = join(
        fill(
            _SAMPLE,
            name=name,
            pressed=str(name == samples.FIRST).lower(),
            title=samples.title_of(name),
            film=film_address(film.pixels, THUMBNAIL_SIDE),
        )
        for name, film in films.items()
    )
    return fill(_SAMPLES, buttons=buttons)


def _banner() -> Html:
    return fill(_BANNER, disclaimer=DISCLAIMER)


def _footer(grader: KneeGrader) -> Html:
    return fill(
        _FOOTER,
        model=grader.model,
        revision=grader.revision,
        readers=readers_followed(grader.bundle.config.protocol),
        minutes=DELETE_AFTER_S // 60,
    )
