"""The folder that Gradio keeps uploads in, one for each process of the test run."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _uploads_are_of_this_process(tmp_path_factory: pytest.TempPathFactory):
    """Gradio names an upload by its content alone, and a demo that stops deletes its uploads: in a shared folder it
    would delete the same film under another process's demo.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        yield
