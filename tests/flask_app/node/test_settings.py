"""The settings of the node are documented and checked."""

from dataclasses import fields
from pathlib import Path

import pytest

from flask_app import archive
from flask_app.node.privacy import KEY_FILE
from flask_app.node.queue import Queue
from flask_app.node.settings import PREFIX, Destination, NodeSettings
from kneeoa_hub.errors import SettingsError
from kneeoa_hub.settings import Settings

from ...support.certificates import self_signed

ROOT = Path(__file__).parents[3]


def test_each_setting_is_documented_and_checked(tmp_path):
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate")
    documented = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert [one.name for one in fields(NodeSettings) if f"`{PREFIX}{one.name.upper()}`" not in documented] == []
    wrong = {
        "FOLDER": "",
        "AE_TITLE": "SEVENTEEN-LETTERS",
        "HOST": "nowhere..x",
        "PORT": "70000",
        "CALLERS": "PACS@nowhere",
        "ARCHIVE": "dicom://127.0.0.1",
        "IDENTIFIERS": "both",
        "PDU": "100",
        "ASSOCIATIONS": "0",
        "TLS_CERT": str(tmp_path / "none.pem"),
        "SETTLE": "soon",
        "TIMEOUT": "1000000000000",
        "CAPTURE": "2",
        "TOKEN": "secret",
        "TLS_CA": str(no_pem),
    }
    sound = {f"{PREFIX}FOLDER": str(tmp_path)}
    NodeSettings.from_environ(sound)
    for name, value in wrong.items():
        with pytest.raises(SettingsError, match=name):
            NodeSettings.from_environ(sound | {PREFIX + name: value})
    for name, value in (
        ("CALLERS", "PACS@"),
        ("CALLERS", "*@"),
        ("CALLERS", ","),
        ("KEEP_DAYS", "0"),
        ("MAX_BYTES", "0"),
        ("AE_TITLE", "  "),
        ("PDU", "99999999999"),
        ("ARCHIVE", "https://admin:secret@host/x"),
        ("ARCHIVE", "dicom://THE%20PACS@host:104"),
        ("ARCHIVE", "dicom:// @host:104"),
        ("ARCHIVE", "dicom://PACS@nowhere..x:104"),
        ("ARCHIVE", "https://nowhere..x/rs"),
    ):
        with pytest.raises(SettingsError, match=name) as refused:
            NodeSettings.from_environ(sound | {PREFIX + name: value})
        assert "secret" not in refused.value.message
    for text in ("dicom://PACS@host:104", "dicoms://PACS@host:104", "https://host/dicom-web"):
        assert Destination.parse(text).host == "host"


def test_a_way_to_the_archive_that_cannot_work_is_found_at_the_start(tmp_path):
    certificate, key = self_signed(tmp_path)
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("no certificate")
    sound = {"FOLDER": str(tmp_path), "TLS_CERT": str(certificate), "TLS_KEY": str(key), "TLS_CA": str(certificate)}
    https = {"ARCHIVE": "https://host/rs", "TOKEN": "secret"}

    def read(*changes: dict[str, str]) -> None:
        values = {name: value for one in (sound, *changes) for name, value in one.items()}
        NodeSettings.from_environ({PREFIX + name: value for name, value in values.items()})

    for way in ({"ARCHIVE": "dicoms://THE PACS@host:104"}, https, {}):
        read(way)
        with pytest.raises(SettingsError, match="PEM"):
            read(way, {"TLS_CA": str(no_pem)})
    with pytest.raises(SettingsError, match="PEM"):
        read({"TLS_KEY": str(no_pem)})
    with pytest.raises(SettingsError, match="unencrypted") as refused:
        read(https, {"ARCHIVE": "http://host/rs"})
    assert "secret" not in refused.value.message
    with pytest.raises(SettingsError, match="KNEEOA_DICOMWEB"):
        archive.check(Settings(dicomweb_token="secret"))


def test_callers_are_read_with_the_spaces_that_people_type():
    (one,) = NodeSettings(callers=" THE PACS @ 10.0.0.1 ,").allowed
    assert one.allows("THE PACS", "10.0.0.1")


def test_the_token_of_the_archive_is_in_no_repr():
    assert "secret" not in repr(NodeSettings(token="secret"))


def test_a_damaged_key_of_the_pseudonyms_is_not_used(tmp_path):
    Queue(tmp_path).close()
    (tmp_path / KEY_FILE).write_bytes(b"")  # as after a power cut
    with pytest.raises(SettingsError, match=r"has 0 bytes.*delete the file"):
        Queue(tmp_path)
