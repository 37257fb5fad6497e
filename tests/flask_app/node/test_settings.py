"""The settings of the node are documented and checked."""

from dataclasses import fields
from pathlib import Path

import pytest

from flask_app.node.settings import PREFIX, Archive, NodeSettings
from kneeoa_hub.errors import SettingsError

ROOT = Path(__file__).parents[3]


def test_each_setting_is_documented_and_checked(tmp_path):
    documented = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert [one.name for one in fields(NodeSettings) if f"`{PREFIX}{one.name.upper()}`" not in documented] == []
    wrong = {
        "FOLDER": "",
        "AE_TITLE": "SEVENTEEN-LETTERS",
        "PORT": "70000",
        "CALLERS": "PACS@nowhere",
        "ARCHIVE": "dicom://127.0.0.1",
        "IDENTIFIERS": "both",
        "PDU": "100",
        "ASSOCIATIONS": "0",
        "TLS_CERT": str(tmp_path / "none.pem"),
        "SETTLE": "soon",
    }
    sound = {f"{PREFIX}FOLDER": str(tmp_path)}
    NodeSettings.from_environ(sound)
    for name, value in wrong.items():
        with pytest.raises(SettingsError, match=name):
            NodeSettings.from_environ(sound | {PREFIX + name: value})
    for name, value in (("CALLERS", "PACS@"), ("CALLERS", "*@"), ("ARCHIVE", "https://admin:secret@host/x")):
        with pytest.raises(SettingsError, match=name) as refused:
            NodeSettings.from_environ(sound | {PREFIX + name: value})
        assert "secret" not in refused.value.message
    for text in ("dicom://PACS@host:104", "dicoms://PACS@host:104", "https://host/dicom-web"):
        assert Archive.parse(text).host == "host"


def test_the_token_of_the_archive_is_in_no_repr():
    assert "secret" not in repr(NodeSettings(token="secret"))
