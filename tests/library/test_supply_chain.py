"""The dependencies of the package: no dependency without use, licences that agree, versions by hash, and a bill of
materials.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.supply_chain import brought, is_permitted, licence, page

ROOT = Path(__file__).parents[2]
LIKE_THE_IMAGE = sys.platform == "linux" and f"ARG PYTHON={sys.version_info[0]}.{sys.version_info[1]}\n" in (
    ROOT / "Dockerfile"
).read_text("utf-8")


def test_every_dependency_is_used_and_every_import_is_declared():
    command = [str(Path(sys.executable).parent / "deptry"), "kneeoa_hub", "flask_app", "spaces", "tuning", "--no-ansi"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.slow
def test_every_package_that_an_extra_brings_is_listed_and_agrees_with_the_project_s_licence():
    packages = {package.metadata["Name"]: licence(package) for package in brought()}
    assert len(packages) > 50
    assert {f"{name}: {words}" for name, words in packages.items() if not is_permitted(words)} == set()
    listed = (ROOT / "docs" / "licences.md").read_text("utf-8").splitlines()
    made = page(brought()).splitlines()
    if LIKE_THE_IMAGE:  # other Pythons and systems have other versions of some packages, and some others
        assert listed == made
    assert len(set(listed) & set(made)) > 0.8 * len(made)


@pytest.mark.parametrize(
    "words",
    [
        *(
            "GPL-3.0-only",
            "GNU General Public License v3 (GPLv3)",
            "MIT AND GPL-2.0-or-later",
            "Proprietary",
            "none named",
            "",
        ),
        *(
            "BSD-3-Clause, GPL-3.0",
            "MIT/GPL-3.0",
            "Apache-2.0 with Commons Clause",
            "MIT License or GNU General Public License v3 (GPLv3)",
        ),
        *(
            "GPL-2.0-only WITH Classpath-exception-2.0",
            "MIT AND (GPL-2.0-only OR AGPL-3.0-only)",
            "LicenseRef-Apache-2.0",
            "Apache-2.0 OR",
        ),
    ],
)
def test_an_incompatible_licence_is_reported(words: str):
    assert not is_permitted(words)


@pytest.mark.parametrize(
    "words",
    [
        "MIT",
        "mit",
        "GPL-2.0-only OR Apache-2.0",
        "MPL-2.0 AND (GPL-2.0-only OR MIT)",
        "Apache-2.0 WITH LLVM-exception",
        "ISC License (ISCL)",
    ],
)
def test_a_compatible_licence_is_not_reported(words: str):
    assert is_permitted(words)


def bill_of_materials(file: Path, *options: str) -> list[dict]:
    """The components in the bill of materials that is written to `file`."""
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.supply_chain", "--sbom", str(file), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    bill = json.loads(file.read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    return bill["components"]


@pytest.mark.slow
def test_the_bill_of_materials_is_of_what_the_image_installs_with_its_hashes(tmp_path: Path):
    parts = bill_of_materials(tmp_path / "sbom.cdx.json")
    named = [(re.sub(r"[-_.]+", "-", part["name"]).lower(), part["version"]) for part in parts]
    installed = {
        package.metadata["Name"].lower().replace("_", "-"): package.version
        for package in brought(("flask", "node", "dicom", "report", "postgres"))
    }
    if LIKE_THE_IMAGE:
        assert dict(named) == installed
    assert len(named) == len(dict(named)) > 0.8 * len(installed)
    assert all(
        reference["hashes"]
        for part in parts
        for reference in part["externalReferences"]
        if reference["type"] == "distribution"
    )


@pytest.mark.slow
def test_the_bill_of_an_environment_names_what_is_installed(tmp_path: Path):
    """An environment with the records of two packages of this one, because the records of all take long to read."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.rglob("site-packages")
    records = [package for package in brought() if package.metadata["Name"] in ("Flask", "numpy")]
    for package in records:
        (record,) = {file.parent for file in package.files or () if file.name == "METADATA"}
        shutil.copytree(str(package.locate_file(record)), packages / record.name)
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    parts = bill_of_materials(tmp_path / "sbom.cdx.json", "--python", str(python))
    assert len(records) == 2
    assert {(package.metadata["Name"], package.version) for package in records} == {
        (part["name"], part["version"]) for part in parts
    }
