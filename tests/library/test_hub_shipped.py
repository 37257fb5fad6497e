"""The shipped bundle on a Hub: what its page shows, and what another user gets from it."""

import json
import subprocess
import sys

import numpy as np
import pytest

from kneeoa_hub.imaging.phantom import sample_films

from ..support.bundles import contents
from ..support.hub_people import Person
from ..support.hub_server import HubServer

pytestmark = pytest.mark.slow

REPO = "lab/kneeoa-cnn"
GRADE = """
import json, sys
from pathlib import Path
from kneeoa_hub import from_pretrained
grader = from_pretrained(sys.argv[1])
print(json.dumps([grader.revision, *(grader.grade(path).to_dict()["knees"] for path in sys.argv[2:])]))
"""
KERAS = """
import sys, keras, numpy
model = keras.saving.load_model("hf://" + sys.argv[1])
image = numpy.load(sys.argv[2])
numpy.save(sys.argv[3], model.predict(image, verbose=0)["probabilities"])
"""


@pytest.fixture(scope="module")
def hub(grader, tmp_path_factory):
    """A Hub with the shipped bundle at v1.0, and someone who pushed nothing."""
    folder = tmp_path_factory.mktemp("people")
    with HubServer() as server:
        owner = Person(folder / "owner", server.url, "w")
        assert owner.does("push", grader.bundle.folder, REPO, tag="v1.0")["answer"] == f"{REPO}@v1.0"
        yield server, Person(folder / "stranger", server.url)


def run(person: Person, code: str, *arguments: object) -> str:
    environment = person.environment | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, env=environment, timeout=180
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_one_tagged_commit_of_all_its_files(hub, grader):
    server, _ = hub
    _, commit = server.commits(REPO)
    assert server.refs(REPO) == {"main": commit, "v1.0": commit}
    assert {name: content for name, content in server.files(REPO).items() if name != ".gitattributes"} == contents(
        grader.bundle.folder
    )


def test_its_card_has_the_metadata_that_the_hub_shows(hub, grader):
    from huggingface_hub import ModelCard, ModelCardData

    server, _ = hub
    data = ModelCard(server.files(REPO)["README.md"].decode()).data
    assert isinstance(data, ModelCardData)
    assert (data.library_name, data.pipeline_tag, data.license) == (
        "keras",
        "image-classification",
        "cc-by-4.0",
    )
    assert data.datasets
    assert data.eval_results
    assert set(data.datasets) == {"gornale", "oai"}
    assert {result.metric_type for result in data.eval_results} == {"cohen_kappa", "accuracy"}
    kappas = [
        result for result in data.eval_results if (result.dataset_type, result.metric_type) == ("oai", "cohen_kappa")
    ]
    shown = {result.dataset_split: result.metric_value for result in kappas}
    measured = {
        name.split("_")[1]: figures.qwk.value
        for name, figures in grader.bundle.evidence.metrics.items()
        if name == "oai_test"
    }
    assert shown == pytest.approx(measured, abs=1e-4)


def test_a_stranger_gets_the_same_grades_from_it(hub, grader, films):
    server, stranger = hub
    revision, *graded = json.loads(run(stranger, GRADE, f"hf://{REPO}@v1.0", films["moderate"], films["both-knees"]))
    assert revision == server.refs(REPO)["v1.0"]
    for knees, name in zip(graded, ("moderate", "both-knees"), strict=True):
        for here, there in zip(knees, grader.grade(films[name]).to_dict()["knees"], strict=True):
            assert here["grade"] == there["grade"]
            assert here["probabilities"] == pytest.approx(there["probabilities"], abs=1e-6)


def test_the_snippet_of_the_hubs_page_loads_the_keras_model(hub, grader, tmp_path):
    from kneeoa_hub.imaging.letterbox import network_input

    _, stranger = hub
    pixels = sample_films()["severe"].pixels
    image = network_input(pixels, (0, 0, pixels.shape[1], pixels.shape[0]), grader.bundle.config.input)[None]
    np.save(tmp_path / "image.npy", image)
    run(stranger, KERAS, REPO, tmp_path / "image.npy", tmp_path / "answer.npy")
    (knee,) = grader.grade(pixels, boxes=[(0, 0, pixels.shape[1], pixels.shape[0])]).knees
    assert np.abs(np.load(tmp_path / "answer.npy")[0] - knee.probabilities).max() <= 1e-4
