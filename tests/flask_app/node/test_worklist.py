"""The worklist shows the outcome of each study to authorised readers, and the audit trail records every look."""

import csv
import io
import re
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from flask_app import archive, create_app, turns
from flask_app.keys import new_key
from flask_app.node import worklist
from flask_app.node.digests import Digests
from flask_app.node.grade import StudyGrader
from flask_app.node.queue import Queue
from flask_app.node.rows import Wanted, rows
from flask_app.node.settings import NodeSettings
from kneeoa_hub.errors import SettingsError
from kneeoa_hub.imaging.identity import read_identity
from kneeoa_hub.settings import Settings

from ...support.dicom_films import study
from ...support.flask_requests import token_of

MORNING = datetime(2024, 3, 1, 9, 30).astimezone().timestamp()
KEY, DIGEST = new_key()
KEYS = {DIGEST: "dr-gray"}
STUDIES = {"1.2.1": {}, "1.2.2": {"ViewPosition": "LATERAL"}, "1.2.3": {"PixelData": b"\0\0"}, "1.2.4": {}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, grader):
    """A queue with four studies: sent, refused, faulty and waiting."""
    folder, times = tmp_path_factory.mktemp("queue"), [MORNING]
    queue = Queue(folder, clock=lambda: times[0])
    for uid, header in STUDIES.items():
        film = study(StudyInstanceUID=uid, SOPInstanceUID=f"{uid}.1", AccessionNumber=f"A{uid[-1]}", **header)
        identity = read_identity(film)
        queue.receive(film, identity, Digests.of(film, identity), "PACS", 60 * (uid == "1.2.4"))
        times[0] += 1
    studies = StudyGrader(queue, grader, capture=False, dead=NodeSettings(folder=str(folder)).dead)
    while studies.grade_next():
        pass
    (report,) = queue.to_send(9)
    queue.sent(report.object)
    queue.close()
    return folder


@pytest.fixture(scope="module")
def grade(grader):
    """The grade of the study that was sent, as the library gives it."""
    (knee,) = grader.grade(study()).knees
    return knee.grade


def client(grader, folder, **settings: str):
    node = replace(NodeSettings(folder=str(folder)), **settings)
    return create_app(Settings(), grader, node=node).test_client()


@pytest.fixture
def hidden(grader, folder):
    return client(grader, folder)


@pytest.fixture
def shown(grader, folder, tmp_path):
    (tmp_path / "keys").write_text(f"dr-gray:{DIGEST}\n")
    node = NodeSettings(folder=str(folder), identifiers="shown")
    return create_app(Settings(api_keys=str(tmp_path / "keys")), grader, node=node).test_client()


def search(client, path: str = "/studies", auth: Any = None, **fields: str):
    token = token_of(client.get("/studies", auth=auth).text)
    return client.post(path, data={"csrf_token": token, **fields}, auth=auth)


def studies_of(page: str) -> list[str]:
    return re.findall(r'<th scope="row"[^>]*>([^<]*)</th>', page)


def test_each_study_has_a_row_with_its_state_under_pseudonyms(hidden, grade):
    page = hidden.get("/studies").text
    names = studies_of(page)
    assert len(names) == len(set(names)) == 4
    assert all(re.fullmatch("[0-9a-f]{12}", name) for name in names)
    for words in ("Waits to be graded", "Report sent", "Not graded: refused", "not frontal", "Not graded: faulty"):
        assert words in page
    assert ">Date<" not in page  # a date of a study would help to find out whose it is
    assert f'Right: <strong>grade {grade}</strong> <span class="unbroken">(not ruled out: ' in page
    for identifier in (*STUDIES, "A1<", "12345", "DOE", "19500101"):
        assert identifier not in page


def test_day_state_and_identifier_find_a_row_and_stay_out_of_the_address(hidden):
    every = studies_of(hidden.get("/studies").text)
    for fields, count in (
        ({"day": "2024-03-01"}, 4),
        ({"day": "2024-03-02"}, 0),
        ({"state": "sent"}, 1),
        ({"search": every[0]}, 1),
        ({"search": every[0], "state": "sent"}, 0),
    ):
        assert len(studies_of(search(hidden, **fields).text)) == count, fields
    for fields in ({"day": "2024-02-31"}, {"day": "9999-12-31"}, {"state": "lost"}):
        assert search(hidden, **fields).status_code == 400
    assert 'method="post"' in hidden.get("/studies").text
    assert len(studies_of(hidden.get("/studies?search=A2").text)) == 4


def test_days_and_times_are_those_of_the_servers_zone(hidden, monkeypatch):
    try:
        monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # 14 hours before UTC
        time.tzset()
        page = search(hidden, day=datetime.fromtimestamp(MORNING).date().isoformat()).text
        assert len(studies_of(page)) == 4
        assert datetime.fromtimestamp(MORNING).strftime("%Y-%m-%d %H:%M:%S") in page
        assert "UTC+14:00 now" in page
        monkeypatch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        queue = Queue(Path(hidden.application.extensions["kneeoa_node"].queue.folder))
        asked = []
        monkeypatch.setattr(queue, "select", lambda query, *values: asked.append(values[:2]) or [])
        list(rows(queue, Wanted(day="2024-03-31"), by_identifier=False))  # the day on which the clocks are put forward
        queue.close()
        assert [last - first for first, last in asked] == [23 * 3600]
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_search_by_an_identifier_needs_a_key_since_it_says_whose_a_pseudonym_is(hidden, shown, grader, folder):
    for identifier, count in (("A2", 1), ("1.2.3", 1), ("12345", 4), ("A", 0)):
        assert studies_of(search(hidden, search=identifier).text) == []
        page = search(shown, search=identifier, auth=("dr-gray", KEY)).text
        assert len(studies_of(page)) == count, identifier
        assert page.count("12345, born 1950-01-01") == count
    assert "Pseudonym of a study" in hidden.get("/studies").text
    assert "Search by a pseudonym" in search(hidden, search="A2").text
    assert "Search by a pseudonym" not in search(shown, search="A0", auth=("dr-gray", KEY)).text


def test_the_page_says_how_many_faulty_films_are_kept(hidden):
    page = hidden.get("/studies").text
    assert re.search(r"The folder of faulty films holds 1 file of \d+ bytes, from \d{4}-", page)
    assert "100 files or 1.0 GiB" in page
    assert "the DICOM pixel data are cut off or corrupt; export it again." in page  # no class of Python


def test_all_rows_are_saved_as_csv_also_those_that_a_page_does_not_show(hidden, monkeypatch):
    monkeypatch.setattr(worklist, "MOST_ROWS", 1)
    assert len(studies_of(hidden.get("/studies").text)) == 1
    for count in (1, 2, 3, 4, 5):
        monkeypatch.setattr("flask_app.node.rows.AT_A_TIME", count)
        saved = csv.DictReader(io.StringIO(search(hidden, "/studies/csv").text))
        assert [row["state"] for row in saved] == ["waiting", "faulty", "refused", "sent"], count


def test_rows_are_saved_as_csv(hidden, grade, grader):
    answer = search(hidden, "/studies/csv", day="2024-03-01")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["state"] for row in rows] == ["waiting", "faulty", "refused", "sent"]
    assert (rows[3]["side"], rows[3]["grade"]) == ("right", str(grade))
    assert rows[3]["likeliest"] == str(grader.grade(study()).knees[0].likeliest)
    assert list(rows[3])[-1] == "likeliest"
    assert rows[3]["study"] != "1.2.1"


def test_holders_of_a_key_see_identifiers_and_the_audit_trail_names_them(shown, grader, folder):
    assert shown.get("/studies").headers["WWW-Authenticate"].startswith("Basic")
    assert shown.get("/studies", auth=("dr-gray", "guess")).status_code == 401
    page = shown.get("/studies", auth=("dr-gray", KEY)).text
    assert "1.2.1" in studies_of(page)
    assert "A1" in page
    queue = Queue(folder)
    key = queue.pseudonyms.of("1.2.1")
    form = {"csrf_token": token_of(page), "search": "A1", "state": "to send"}
    sent = shown.post(f"/studies/{key}/send", data=form, auth=("dr-gray", KEY)).text
    assert "waits to be sent. The node tries within seconds" in sent
    assert (studies_of(sent), 'name="search" value="A1"' in sent) == (["1.2.1"], True)
    assert "so nothing was sent" in shown.post("/studies/0/send", data=form, auth=("dr-gray", KEY)).text
    assert shown.get(f"/studies/{key}/send", auth=("dr-gray", KEY)).status_code == 303
    assert len(queue.to_send(9)) == 1
    queue.sent(queue.to_send(9)[0].object)
    trail = shown.get("/studies/audit", auth=("dr-gray", KEY)).text
    assert re.search(rf"dr-gray</th><td>sent again</td><td>{key}", trail)
    assert "1.2.1" not in trail
    queue.close()


def test_identifiers_are_never_shown_to_anybody_who_asks(grader, folder):
    with pytest.raises(SettingsError, match="KNEEOA_API_KEYS"):
        client(grader, folder, identifiers="shown")


def test_the_metrics_count_states_and_name_nobody(hidden):
    hidden.get("/studies")
    text = hidden.get("/metrics").text
    assert 'kneeoa_node_studies{state="refused"} 1.0' in text
    assert "1.2.1" not in text


def test_a_search_leaves_a_pseudonym_in_the_trail(hidden):
    search(hidden, search="A2")
    assert "A2" not in hidden.get("/studies/audit").text


def test_an_app_without_a_node_has_no_worklist(grader):
    app = create_app(Settings(), grader).test_client()
    assert app.get("/studies").status_code == 404
    assert "Worklist" not in app.get("/").text


@pytest.mark.parametrize(
    "settings",
    [
        {"dicomweb": "https://archive.example/dicom-web"},
        {"dicomweb": "archive.example", "api_keys": "keys"},
        {"dicomweb": "http://archive.example", "dicomweb_token": "secret", "api_keys": "keys"},
    ],
)
def test_films_of_an_archive_need_keys_an_address_and_an_encrypted_way_for_the_token(settings):
    with pytest.raises(SettingsError) as error:
        archive.check(Settings(**settings))
    assert "secret" not in error.value.message + repr(Settings(**settings))


def test_a_study_of_an_archive_beyond_those_that_are_graded_is_turned_away(grader, tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "PATIENCE_SECONDS", 0)
    (tmp_path / "keys").write_text(f"dr-gray:{DIGEST}\n")
    app = create_app(Settings(dicomweb="http://127.0.0.1:9", api_keys=str(tmp_path / "keys")), grader)
    client, auth = app.test_client(), ("dr-gray", KEY)
    form = {"csrf_token": token_of(client.get("/archive", auth=auth).text), "study": "1.2.3"}
    with ExitStack() as others:
        for _ in range(archive.MOST_STUDIES):
            others.enter_context(app.extensions[archive.EXTENSION].places.place())
        away = client.post("/archive", data=form, auth=auth)
        assert (away.status_code, "Too many studies" in away.text) == (503, True)
    assert client.post("/archive", data=form, auth=auth).status_code == 502  # it asks the archive, which is off
