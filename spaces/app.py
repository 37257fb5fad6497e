"""The public demo. A Space runs this file from its root; locally: python -m spaces.app"""

import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from kneeoa_hub import KneeGrader, KneeOAError, from_pretrained
from kneeoa_hub.grades import GRADES
from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.report import DISCLAIMER, FilmReport, film_picture
from kneeoa_hub.settings import Settings

LARGEST_PIXELS = 1600
"""Longer side of the pictures that are sent to the browser."""


def build_demo(grader: KneeGrader) -> gr.Blocks:
    """The page and its endpoints: /grade takes a film's file and returns the report, /model says what answers."""

    def grade(film: str) -> dict[str, Any]:
        """Grade the knees of one film; the report by docs/schemas."""
        return _report(grader, film).to_dict()

    def model() -> dict[str, str]:
        """Name and revision of the bundle."""
        return {"model": grader.model, "revision": grader.revision}

    def show(film: str | None) -> tuple[Any, Any, str, str, dict[str, Any]]:
        if film is None:
            raise gr.Error("Choose a film first.")
        report = _report(grader, film)
        return _shrunk(film_picture(report.film)), _shrunk(report.overlay()), _summary(report), report.findings(), report.to_dict()

    with gr.Blocks(title="Knee osteoarthritis grading", analytics_enabled=False, delete_cache=(600, 600)) as demo:
        gr.Markdown(f"# Knee osteoarthritis grading\n**{DISCLAIMER}** Kellgren-Lawrence grade 0 to 4 of a frontal knee radiograph.")
        with gr.Row():
            with gr.Column(scale=1):
                # gr.Image would re-encode the film and clip 16 bits; a file arrives as it was sent.
                film = gr.File(label="Film: PNG, JPEG, TIFF, BMP, WebP or DICOM", type="filepath")
                button = gr.Button("Grade", variant="primary")
                gr.Examples(_samples(), film, label="Synthetic sample films")
            with gr.Column(scale=2):
                with gr.Row():
                    original = gr.Image(label="Film", interactive=False)
                    overlay = gr.Image(label="Graded: brighter is stronger evidence", interactive=False)
                summary = gr.Markdown()
                findings = gr.Textbox(label="Findings, to copy", lines=8, buttons=["copy"])
                with gr.Accordion("JSON", open=False):
                    answer = gr.JSON(label="Report")
        with gr.Accordion("The scale", open=False):
            gr.Markdown("\n".join(f"- **{g.value} {g.label}**: {g.criterion}" for g in GRADES))
        gr.Markdown(f"Model {grader.model}, revision {grader.revision}. Films are deleted within minutes; none is kept.")
        outputs = [original, overlay, summary, findings, answer]
        button.click(show, film, outputs, api_visibility="private")
        film.upload(show, film, outputs, api_visibility="private")
        report = gr.JSON(visible=False)
        gr.Button(visible=False).click(grade, film, report, api_name="grade")
        gr.Button(visible=False).click(model, None, report, api_name="model")
    return demo.queue(max_size=32)


def unavailable(message: str) -> gr.Blocks:
    """The page of a Space whose model can't be loaded."""
    with gr.Blocks(title="Knee osteoarthritis grading", analytics_enabled=False) as demo:
        gr.Markdown(f"# The model is not available\n{message}")
    return demo


def load_demo(settings: Settings) -> gr.Blocks:
    """The demo of the model in the settings, or the page that says why there is none."""
    try:
        return build_demo(from_pretrained(settings.model or None, revision=settings.revision or None, threads=settings.threads))
    except KneeOAError as error:
        return unavailable(error.message)


def _report(grader: KneeGrader, film: str) -> FilmReport:
    try:
        return grader.grade(film)
    except KneeOAError as error:
        raise gr.Error(error.message, print_exception=False) from None


def _summary(report: FilmReport) -> str:
    lines = [f"**Not graded.** {report.refused.message}"] if report.refused else []
    for knee in report.knees:
        name = f"{knee.side.capitalize()} knee" if knee.side else "Knee"
        lines += [
            f"### {name}: grade {knee.grade}, {knee.label}",
            f"{GRADES[knee.grade].criterion} Grades that can't be ruled out: {', '.join(map(str, knee.grade_set))}. "
            f"Osteoarthritis (KL 2 or more): {knee.oa_probability:.0%}.",
            "| grade | probability | |\n|---|---|---|\n"
            + "\n".join(f"| {g.value} {g.label} | {p:.0%} | {'█' * round(20 * p)} |" for g, p in zip(GRADES, knee.probabilities, strict=True)),
        ]
    return "\n\n".join([*lines, *(f"Note: {warning}" for warning in report.warnings)])


def _shrunk(picture: Image.Image) -> Image.Image:
    picture.thumbnail((LARGEST_PIXELS, LARGEST_PIXELS))
    return picture


def _samples() -> list[str]:
    folder = Path(tempfile.mkdtemp(prefix="kneeoa-samples-"))
    paths = []
    for name, phantom in sample_films().items():
        paths.append(str(folder / f"{name}.png"))
        Image.fromarray(phantom.pixels).save(paths[-1])
    return paths


def main() -> None:
    settings = Settings.from_environ()
    load_demo(settings).launch(max_file_size=settings.max_bytes, show_error=False)


if __name__ == "__main__":
    main()
