"""Orthanc is a real archive, with DICOMweb and a rule that sends every new film to the node."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from .ports import free_port
from .waiting import until

PATIENCE = 60
"""An answer of the archive may take this many seconds, since the machine may be busy with something else."""
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
ROUTE = Path(__file__).parents[2] / "flask_app" / "node" / "route.lua"


@dataclass(frozen=True)
class Orthanc:
    url: str
    dicom_port: int

    def get(self, path: str) -> object:
        answer = requests.get(f"{self.url}{path}", timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def find(self, **query: str) -> list[dict]:
        """Return instances as a viewer finds them by QIDO-RS, as values by keyword."""
        answer = requests.get(
            f"{self.url}/dicom-web/instances",
            params=query | {"includefield": "all"},
            headers={"Accept": "application/dicom+json"},
            timeout=PATIENCE,
        )
        answer.raise_for_status()
        return answer.json() if answer.content else []

    def reports(self, **query: str) -> list[str]:
        """SOP Instance UIDs of structured reports."""
        return [one["00080018"]["Value"][0] for one in self.find(**query, Modality="SR")]

    def file(self, uid: str) -> bytes:
        found = requests.post(f"{self.url}/tools/lookup", data=uid, timeout=PATIENCE).json()
        (name,) = (one["ID"] for one in found if one["Type"] == "Instance")
        return requests.get(f"{self.url}/instances/{name}/file", timeout=PATIENCE).content


@contextmanager
def orthanc(folder: Path, node_port: int) -> Iterator[Orthanc]:
    """Yield an archive in a folder, AE title ORTHANC, which routes films to KNEEOA at a port."""
    web, dicom = free_port(), free_port()
    config = {
        "StorageDirectory": str(folder / "files"),
        "IndexDirectory": str(folder / "files"),
        "HttpPort": web,
        "DicomAet": "ORTHANC",
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {"node": ["KNEEOA", "127.0.0.1", node_port]},
        "LuaScripts": [str(ROUTE)],
        "Plugins": [PLUGIN],
        "StableAge": 1,
    }
    (folder / "orthanc.json").write_text(json.dumps(config))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(
            ["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log, env=os.environ | {"LC_ALL": "C.UTF-8"}
        )
    server = Orthanc(f"http://127.0.0.1:{web}", dicom)

    def answers() -> bool:
        assert process.poll() is None, (folder / "orthanc.log").read_text()
        try:
            return bool(server.get("/system"))
        except requests.RequestException:
            return False

    try:
        until(answers)
        yield server
    finally:
        process.terminate()
        process.wait(30)
