"""The demo answers as the library does, over its own protocol."""

import importlib.metadata

import pytest
import yaml
from PIL import Image

from kneeoa_hub.imaging.phantom import sample_films
from kneeoa_hub.settings import Settings
from tests.test_floors import ROOT


@pytest.fixture(scope="module")
def client(grader):
    from gradio_client import Client

    from spaces.app import build_demo

    demo = build_demo(grader)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    yield Client(url, verbose=False)
    demo.close()


def test_the_endpoint_answers_as_the_grader_does_and_keeps_sixteen_bits(client, grader, films, tmp_path):
    from gradio_client import handle_file

    tiff = tmp_path / "film.tif"
    Image.fromarray(sample_films()["sixteen-bit"].pixels).save(tiff)
    for path in (*films.values(), tiff):
        assert client.predict(handle_file(str(path)), api_name="/grade") == grader.grade(path).to_dict()


def test_the_model_is_named(client, grader):
    assert client.predict(api_name="/model") == {"model": grader.model, "revision": grader.revision}


def test_a_bad_film_is_a_clean_error(client, tmp_path):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    (tmp_path / "bad.png").write_bytes(b"nothing of the kind")
    with pytest.raises(AppError, match="not an image"):
        client.predict(handle_file(str(tmp_path / "bad.png")), api_name="/grade")


def test_a_missing_model_gives_a_page_that_says_so():
    from spaces.app import load_demo

    page = load_demo(Settings(model="./no-such-bundle"))
    assert "no-such-bundle" in str(page.get_config_file())


def test_the_header_names_the_locked_gradio():
    header = yaml.safe_load((ROOT / "spaces" / "README.md").read_text("utf-8").split("---\n")[1])
    assert header["sdk_version"] == importlib.metadata.version("gradio")
    assert (ROOT / "spaces" / header["app_file"]).is_file()
