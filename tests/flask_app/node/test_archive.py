"""The node with a real archive (Orthanc), DCMTK's storescu, movescu and echoscu, and validators of its reports."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import generate_uid

from flask_app import create_app
from flask_app.keys import new_key
from flask_app.node.deliver import Delivery
from flask_app.node.grade import StudyGrader
from flask_app.node.queue import Queue
from flask_app.node.settings import NodeSettings
from kneeoa_hub.cli import main
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.imaging.phantom import knee_film
from kneeoa_hub.settings import Settings

from ...support.dicom_films import study
from ...support.flask_requests import token_of
from ...support.node_queue import take
from ...support.orthanc import PLUGIN, Orthanc, orthanc
from ...support.ports import free_port
from ...support.waiting import until

KEY, DIGEST = new_key()
ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(shutil.which, ("Orthanc", "storescu", "movescu", "echoscu", "dsrdump", "dciodvfy")))
        or not os.path.exists(PLUGIN),
        reason="orthanc, orthanc-dicomweb, dcmtk or dicom3tools (Debian) is not installed",
    ),
]


@dataclass(frozen=True)
class Network:
    archive: Orthanc
    node_port: int
    node: subprocess.Popen

    def kill_worker(self) -> None:
        """Kill the worker as soon as there is one."""
        path = Path(f"/proc/{self.node.pid}/task/{self.node.pid}/children")
        (worker,) = until(lambda: path.read_text().split())
        os.kill(int(worker), signal.SIGKILL)


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Iterator[Network]:
    folder, port = tmp_path_factory.mktemp("archive"), free_port()
    with orthanc(folder, port) as archive:
        variables = {
            "FOLDER": str(folder / "queue"),
            "PORT": str(port),
            "ARCHIVE": f"dicom://ORTHANC@127.0.0.1:{archive.dicom_port}",
            "CALLERS": "ORTHANC@127.0.0.1, STORESCU",
            "CAPTURE": "1",
            "SETTLE": "0",
        }
        with (folder / "node.log").open("w") as log:
            node = subprocess.Popen(
                [sys.executable, "-m", "flask_app.node"],
                cwd=ROOT,
                env=os.environ | {f"KNEEOA_NODE_{name}": value for name, value in variables.items()},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            assert node.stdout
            assert f"127.0.0.1:{port}" in node.stdout.readline(), (folder / "node.log").read_text()
            yield Network(archive, port, node)
        finally:
            node.terminate()
            node.communicate(timeout=60)
        assert "DOE" not in (folder / "node.log").read_text()


def film(**header: object) -> bytes:
    """A small film of its own study."""
    pixels = knee_film(2, 7, bits=16).pixels >> 4
    uids = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    return study(pixels, **(uids | header))


def send(port: int, title: str, *films: Path) -> None:
    done = subprocess.run(
        ["storescu", "-aet", "STORESCU", "-aec", title, "127.0.0.1", str(port), *films], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_film_goes_from_the_archive_to_the_node_and_its_report_comes_back(network, tmp_path):
    path = tmp_path / "film.dcm"
    path.write_bytes(film())
    header = pydicom.dcmread(path)
    echo = ["echoscu", "-aec", "KNEEOA", "127.0.0.1", str(network.node_port)]
    assert subprocess.run([*echo, "-aet", "STORESCU"]).returncode == 0
    assert "Calling AE Title Not Recognized" in subprocess.run(echo, capture_output=True, text=True).stderr
    send(network.archive.dicom_port, "ORTHANC", path)
    uid = str(header.StudyInstanceUID)
    (report,) = until(lambda: network.archive.reports(StudyInstanceUID=uid))
    (tmp_path / "sr.dcm").write_bytes(network.archive.file(report))
    made = pydicom.dcmread(tmp_path / "sr.dcm")
    assert (made.PatientID, made.AccessionNumber) == (header.PatientID, header.AccessionNumber)
    dumped = subprocess.run(["dsrdump", tmp_path / "sr.dcm"], capture_output=True, text=True)
    assert re.search(r'Kellgren-Lawrence grade"\)=\(KL\d', dumped.stdout), dumped
    checked = subprocess.run(["dciodvfy", tmp_path / "sr.dcm"], capture_output=True, encoding="latin-1")
    assert "Error" not in checked.stdout + checked.stderr
    until(lambda: len(network.archive.find(StudyInstanceUID=uid)) == 3)  # the film, the report, the capture
    move = ["movescu", "-S", "-aet", "KNEEOA", "-aec", "ORTHANC", "-aem", "KNEEOA", "-k", "QueryRetrieveLevel=STUDY"]
    place = ["127.0.0.1", str(network.archive.dicom_port)]
    assert subprocess.run([*move, "-k", f"StudyInstanceUID={uid}", *place]).returncode == 0  # the whole study once more
    assert len(network.archive.reports(StudyInstanceUID=uid)) == 1


def test_a_study_of_the_archive_is_graded_over_dicomweb_as_the_node_grades_it(network, grader, tmp_path, capsys):
    uid = generate_uid()
    for side in ("L", "R"):
        (tmp_path / side).write_bytes(film(StudyInstanceUID=uid, ImageLaterality=side))
    (tmp_path / "lateral").write_bytes(film(StudyInstanceUID=uid, ViewPosition="LATERAL"))
    send(network.archive.dicom_port, "ORTHANC", *(tmp_path / name for name in ("L", "R", "lateral")))
    address = f"{network.archive.url}/dicom-web/studies/{uid}"
    assert main(["grade", "--study", address, "--json", "--store", "--dicom", str(tmp_path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert [knee["side"] for knee in json.loads(line)["report"]["knees"]] == ["right", "left"]
    made = str(pydicom.dcmread(tmp_path / f"{uid}.sr.dcm").SOPInstanceUID)
    assert made in network.archive.reports(StudyInstanceUID=uid)
    (tmp_path / "keys").write_text(f"dr-gray:{DIGEST}\n")
    settings = Settings(dicomweb=f"{network.archive.url}/dicom-web", api_keys=str(tmp_path / "keys"))
    client = create_app(settings, grader).test_client()
    assert client.get("/archive").status_code == 401
    token = token_of(client.get("/archive", auth=("dr-gray", KEY)).text)

    def post(study: str):
        form = {"csrf_token": token, "study": study, "store": "1"}
        return client.post("/archive", data=form, auth=("dr-gray", KEY), follow_redirects=True)

    page = post(uid).text
    assert "one answer for all its films" in page
    assert page.count("Kellgren-Lawrence grade") > 2
    assert (post("1.2.3").status_code, post("../../system").status_code) == (502, 400)
    assert network.archive.reports(StudyInstanceUID=uid).count(made) == 1  # the node, the command and the page agree
    queue, late = Queue(tmp_path / "queue"), film()
    take(queue, late)
    StudyGrader(queue, grader, capture=False, dead=NodeSettings(folder=str(queue.folder)).dead).grade_next()
    assert Delivery(queue, NodeSettings(archive=f"{network.archive.url}/dicom-web")).send_due()
    assert len(network.archive.reports(StudyInstanceUID=read_identity(late).study)) == 1
    queue.close()
    assert main(["grade", "--study", f"{network.archive.url}/dicom-web/studies/1.2.3"]) == 1
    assert "has 0 plain films" in capsys.readouterr().err


def test_a_worker_that_is_killed_twice_loses_no_film_and_sends_no_report_twice(network, tmp_path):
    paths = [tmp_path / f"{number}.dcm" for number in range(8)]
    for path in paths:
        path.write_bytes(film())
    before = set(network.archive.reports())
    senders = [
        subprocess.Popen(
            ["storescu", "-aet", "STORESCU", "-aec", "KNEEOA", "127.0.0.1", str(network.node_port), *paths[first::4]]
        )
        for first in range(4)
    ]
    network.kill_worker()
    assert [sender.wait(60) for sender in senders] == [0, 0, 0, 0]
    until(lambda: set(network.archive.reports()) > before)
    network.kill_worker()
    until(lambda: len(network.archive.reports()) >= len(before) + len(paths))
    for path in paths:
        assert len(network.archive.reports(StudyInstanceUID=str(pydicom.dcmread(path).StudyInstanceUID))) == 1
