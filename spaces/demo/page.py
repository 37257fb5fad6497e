"""The page: what a visitor sees and does, and the two endpoints for programs. Nothing is kept between two answers."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any, Self

import gradio as gr
from gradio.data_classes import FileData

from kneeoa_hub import KneeGrader, KneeOAError
from kneeoa_hub.report import DISCLAIMER

from . import render, samples
from .about import model_card, scale, search_record
from .compare import comparison, half
from .pictures import THUMBNAIL_SIDE, film_address

TITLE = "Knee osteoarthritis grading"
MAX_FILMS = 10
QUEUE = 64
"""Films and questions that may wait; more are told to come back later."""
CONCURRENCY = 2
"""Turns of grading at once: `benchmarks/space.py` measured it."""
DELETE_EVERY_S, DELETE_AFTER_S = 60, 600
"""Uploads older than the second are deleted, looked at as often as the first."""
PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# A radiograph through gr.Image is re-encoded and loses its 16 bits; a file arrives as it was sent.
UPLOAD: dict[str, Any] = {"type": "filepath", "height": 160}

Shown = tuple[str, Any]
"""Outputs of the first tab: the films as HTML, the report as JSON."""


class SentFilm(FileData):
    """What a program sends as a film; for anything else Gradio would say nothing to it, and much to the log."""

    @classmethod
    def model_validate(cls, obj: Any, **options: Any) -> Self:
        if isinstance(obj, dict) and isinstance(obj.get("path"), str):
            return super().model_validate(obj, **options)
        raise gr.Error(
            "That is no file; send the film as a file, as the page's API examples do.", print_exception=False
        )


def build_demo(grader: KneeGrader, concurrency: int = CONCURRENCY) -> gr.Blocks:
    """The page over one grader, with the endpoints /grade (a film's file to its report) and /model."""
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
    """The page of a Space whose model can't be loaded."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as demo:
        _html(_banner(), elem_classes="banner")
        text = (
            "Nothing can be graded until it is. If this Space is yours: see its address and revision in the settings,"
            " then restart it."
        )
        _html(
            '<div class="message bad" role="alert"><h2>The model is not'
            f" available</h2><p>{escape(message)}</p><p>{text}</p></div>"
        )
    return demo


def _grade_tab(grader: KneeGrader, turn: dict[str, Any]) -> None:
    graded = samples.graded_samples(grader)

    def of_sample(name: str) -> Shown:
        report = graded[name].report
        return render.films([(f"{graded[name].title} (synthetic)", report)], samples.NOTE), report.to_dict()

    prepared = {name: of_sample(name) for name in graded}

    def show(paths: list[str] | None) -> Shown:
        if not paths:
            return prepared[samples.FIRST]
        if len(paths) > MAX_FILMS:
            raise gr.Error(f"{len(paths)} films were sent; send at most {MAX_FILMS} at once.", print_exception=False)
        return _shown(grader, paths)

    def show_sample(event: gr.EventData) -> tuple[str, Any, None]:
        # the visitor's own films leave their box, since they are not what is shown
        return *prepared[event.sample], None

    first = prepared[samples.FIRST]
    with gr.Row(elem_classes="sides"):
        with gr.Column(scale=1, min_width=280):
            film = gr.File(label="Your films", file_count="multiple", elem_id="film", **UPLOAD)
            _html('<p class="hint">PNG, JPEG, TIFF or DICOM, 8 or 16 bits; drop, choose or paste them.</p>')
            chooser = _html(_sample_buttons(graded), js_on_load=SAMPLE_CLICK)
        with gr.Column(scale=3, min_width=280):
            result = _html(first[0], elem_id="result")
            with gr.Accordion("The same for programs: JSON", open=False):
                answer = gr.JSON(first[1], label="Report")
    outputs = [result, answer]
    gr.on([film.upload, film.delete, film.clear], show, film, outputs, show_progress_on=result, **turn, **PRIVATE)
    chooser.click(show_sample, None, [*outputs, film], queue=False, show_progress="hidden", **PRIVATE)


def _compare_tab(grader: KneeGrader, turn: dict[str, Any]) -> None:
    example = comparison(*samples.then_and_now(grader), samples.PAIR_NOTE)

    def compare(then: str | None, now: str | None) -> str:
        if then is None and now is None:
            return example
        if then is None or now is None:
            (answer,) = grader.grade_batch([then or now or ""])
            return half("Then" if then else "Now", answer)
        before, after = grader.grade_batch([then, now])
        return comparison(before, after)

    with gr.Row():
        then = gr.File(label="Then: the earlier film", elem_id="then", **UPLOAD)
        now = gr.File(label="Now: the later film", elem_id="now", **UPLOAD)
    result = _html(example, elem_id="change")
    for film in (then, now):
        gr.on([film.upload, film.clear], compare, [then, now], result, **turn, **PRIVATE)


def _scale_tab() -> None:
    gr.Markdown(
        "# The Kellgren-Lawrence scale\nFive grades of osteoarthritis on a frontal film of the knee (Kellgren and"
        " Lawrence, 1957). From grade 2 on one speaks of radiographic osteoarthritis. Neighbouring grades flow into"
        " each other, and readers often differ by one: so does the model, which is why it also names the grades that it"
        " can't rule out."
    )
    _html(scale())
    gr.Markdown(
        "The films are synthetic: one knee drawn at each grade, so that nothing but the grade differs. They are not for"
        " learning to diagnose."
    )


def _documents(parts: Iterable[tuple[str, str]]) -> None:
    """Show the parts; where the bundle's evidence does not allow it, why. Films can be graded all the same."""
    try:
        shown = list(parts)
    except KneeOAError as error:
        shown = [("html", f'<p class="hint">{escape(error.message)}</p>')]
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
            film: one radiograph, PNG, JPEG, TIFF, BMP, WebP or DICOM, 8 or 16 bits

        Returns:
            for each knee grade, probabilities, the grades that can't be ruled out, severity, box and side; or why the film was refused
        """  # noqa: E501
        try:
            return grader.grade(film).to_dict()
        except KneeOAError as error:
            raise gr.Error(error.message, print_exception=False) from None

    def model() -> dict[str, str]:
        """Name and revision of the model that grades.

        Returns:
            its name and its revision
        """
        return {"model": grader.model, "revision": grader.revision}

    film, report = gr.File(visible=False, label="film"), gr.JSON(visible=False, label="report")
    film.data_model = SentFilm
    gr.Button(visible=False).click(grade, film, report, api_name="grade", **turn)
    gr.Button(visible=False).click(model, None, report, api_name="model")


def _html(text: str, *, js_on_load: str | None = None, **options: Any) -> gr.HTML:
    """HTML with the demo's own style alone: Gradio's would frame every cell and colour what lies in badges."""
    return gr.HTML(text, js_on_load=js_on_load, apply_default_css=False, padding=False, **options)


def _shown(grader: KneeGrader, paths: list[str]) -> Shown:
    names = [Path(path).name for path in paths]
    answers = list(zip(names, grader.grade_batch(paths), strict=True))
    reports = [
        (
            answer.to_dict()
            if not isinstance(answer, KneeOAError)
            else {"error": {"code": answer.code, "detail": answer.message}}
        )
        for _, answer in answers
    ]
    return render.films(answers), reports[0] if len(reports) == 1 else {"films": reports}


SAMPLE_CLICK = """
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-sample]");
  if (!button) return;
  for (const other of element.querySelectorAll("button[data-sample]"))
    other.setAttribute("aria-pressed", other === button);
  trigger("click", { sample: button.dataset.sample });
});
"""


def _sample_buttons(graded: dict[str, samples.Sample]) -> str:
    buttons = "".join(
        f'<button type="button" data-sample="{name}" aria-pressed="{str(name == samples.FIRST).lower()}"'
        f' aria-label="Show the synthetic film: {sample.title}"><img'
        f' src="{film_address(sample.film.pixels, THUMBNAIL_SIDE)}" alt="">{sample.title}</button>'
        for name, sample in graded.items()
    )
    return f'<p class="hint">No film at hand? These are synthetic:</p><div class="samples">{buttons}</div>'


def _banner() -> str:
    return (
        '<header class="top"><strong>KneeOA</strong><span>Kellgren-Lawrence grade of a frontal knee'
        f' film</span></header><p class="notice">{DISCLAIMER}</p>'
    )


def _footer(grader: KneeGrader) -> str:
    return (
        f"<footer><p>Model <b>{escape(grader.model)}</b>, revision <code>{escape(grader.revision)}</code></p><p>Uploads"
        f" are deleted after {DELETE_AFTER_S // 60} minutes; nothing is kept, logged or shared. Do not send films with"
        " names burnt in.</p></footer>"
    )
