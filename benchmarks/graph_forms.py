"""Other forms of the shipped grading network show what each would save, and how far it would move an answer.

    python -m benchmarks.graph_forms --out docs/evidence/profile    # two minutes; needs the extra `tune`

Writes graph_forms.json and graph_forms.md. Opening and passes are timed in turns, on one thread. A form that is
optimised beforehand leaves the layout of the values to be chosen when it is opened, because that depends on the
processor.
"""

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime

from kneeoa_hub import from_pretrained
from kneeoa_hub.bundle import read_bundle
from kneeoa_hub.card.text import table as markdown_table
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.letterbox import network_input
from kneeoa_hub.imaging.phantom import knee_film

from .measuring import BUNDLE, Machine, ended, in_turns, machine, measured_on, milliseconds, write_figures

ROUNDS, PASSES = 7, 10
KNEES_A_GRADE = 4
SHIPPED = "as shipped: weights of 16 bits, used in 32"


@dataclass(frozen=True)
class Form:
    """A form of the network has a size, times, and a change of its answers.

    Attributes:
        name: What it is.
        megabytes: Size of its file.
        opening: Milliseconds to open it.
        passing: Milliseconds of a pass of one knee.
        change: The greatest change of a probability on synthetic knees, against the shipped form.
    """

    name: str
    megabytes: float
    opening: float
    passing: float
    change: float


def written(folder: Path) -> dict[str, Path]:
    """Write each form of the shipped network to a folder; return where it is."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    shipped = BUNDLE / "model.onnx"
    forms = {SHIPPED: shipped}
    for name, kind, suffix in (
        ("optimised before it is opened", "ONNX", "onnx"),
        ("optimised, in onnxruntime's own format", "ORT", "ort"),
    ):
        options = _options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(folder / f"{kind}.{suffix}")
        options.add_session_config_entry("session.save_model_format", kind)
        onnxruntime.InferenceSession(str(shipped), options, providers=["CPUExecutionProvider"])
        forms[name] = Path(options.optimized_model_filepath)
    whole = folder / "whole.onnx"
    options = _options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(whole)
    onnxruntime.InferenceSession(str(shipped), options, providers=["CPUExecutionProvider"])
    forms["weights of 8 bits, used as such"] = folder / "int8.onnx"
    quantize_dynamic(whole, folder / "int8.onnx", weight_type=QuantType.QUInt8)
    return forms


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return options


def _opened(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), _options(), providers=["CPUExecutionProvider"])


def measure(paths: dict[str, Path]) -> list[Form]:
    """Open and run each form, in turns."""
    images = _knees()
    sessions = {name: _opened(path) for name, path in paths.items()}
    answers = {name: _answers(session, images) for name, session in sessions.items()}
    opening = in_turns({name: partial(milliseconds, partial(_opened, path)) for name, path in paths.items()}, ROUNDS)
    one = images[:1]
    passes = {name: partial(session.run, None, {"image": one}) for name, session in sessions.items()}
    passing = in_turns({name: partial(milliseconds, call, PASSES) for name, call in passes.items()}, ROUNDS)
    return [
        Form(
            name,
            path.stat().st_size / 1e6,
            statistics.median(opening[name]),
            statistics.median(passing[name]),
            float(np.abs(answers[name] - answers[SHIPPED]).max()),
        )
        for name, path in paths.items()
    ]


def _answers(session: onnxruntime.InferenceSession, images: np.ndarray) -> np.ndarray:
    return np.concatenate([np.asarray(session.run(["probabilities"], {"image": image[None]})[0]) for image in images])


def _knees() -> np.ndarray:
    """Return synthetic knees of every grade as the network sees them: float32 [N,H,W,1]."""
    grader, config = from_pretrained(threads=1), read_bundle(BUNDLE).config.input
    knees = []
    for grade in range(5):
        for seed in range(KNEES_A_GRADE):
            film = decode(knee_film(grade, seed).pixels)
            screening = grader.screener(film)
            knees += [network_input(screening.film.pixels, region, config) for region in screening.graded]
    return np.stack(knees)


def table(forms: Sequence[Form], where: Machine) -> str:
    """Return the forms as Markdown."""
    headings = ("form of the network", "MB", "ms to open", "ms a knee", "greatest change of a probability")
    rows = [
        (one.name, f"{one.megabytes:.1f}", f"{one.opening:.0f}", f"{one.passing:.1f}", f"{one.change:.2g}")
        for one in forms
    ]
    return f"{markdown_table(headings, rows)}\n\n{measured_on(where)}\n"


def main(arguments: list[str] | None = None) -> None:
    """Write each form, measure all, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for graph_forms.json and graph_forms.md")
    asked, where = parser.parse_args(arguments), machine()
    with TemporaryDirectory() as folder:
        forms = measure(written(Path(folder)))
    document = {"machine": asdict(ended(where)), "forms": [asdict(one) for one in forms]}
    write_figures(asked.out, "graph_forms", document, table(forms, where))


if __name__ == "__main__":
    main()
