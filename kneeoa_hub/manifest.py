"""Checks what a bundle's folder holds: it verifies the manifest and hashes, and refuses files that could run code.

Nothing of a bundle is parsed before every file of its manifest has been found and hashed.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import BundleChanged, BundleError, BundleIncomplete
from .links import links_out_of
from .typed_json import SCHEMA_VERSION, json_object

REQUIRED = ("bundle.json", "model.onnx", "evidence.json", "config.json", "metadata.json", "model.weights.h5")
"""Every bundle has these files."""
NOT_LISTED = ("manifest.json", "README.md", ".gitattributes")
"""The manifest does not list these files."""
NOT_LISTED_FOLDERS = ("figures", ".cache", ".git")
"""The manifest does not list the files of these folders."""
WEIGHTS = "model.weights.h5"
"""This is the only file of a bundle that may have the suffix of a whole Keras model. In Keras's folder layout it holds
arrays.
"""
_DATA = ".json .jsonl .md .txt .csv .tsv .yaml .yml .toml .cff .bib .onnx .png .jpg .jpeg .svg .webp"
HARMLESS = frozenset(["", *_DATA.split()])
"""A bundle may list files with these suffixes beside its weights. No program runs or unpickles them. Suffixes of code
and pickles are too many for a list.
"""
_PYTHON = ".py .pyc .pyd .pyo .pyw .pyz .pth .ipynb .whl"
_BINARIES = ".so .dll .dylib .exe .com .scr .msi .lnk .app .desktop .a .o .node .wasm .jar .class"
_PICKLES = ".p .pk .pkl .pickle .pck .dill .cloudpickle .sav .joblib .npy .npz .msgpack"
_MODELS = ".pt .pt2 .pts .bin .ckpt .pb .keras .h5 .hdf5"
_SHELLS = ".sh .bash .zsh .csh .ksh .fish .command .bat .cmd .ps1 .psm1 .vbs .vbe .wsf .wsh .hta"
_LANGUAGES = ".js .mjs .cjs .ts .rb .pl .php .lua .r .jl"
CODE = frozenset(" ".join([_PYTHON, _BINARIES, _PICKLES, _MODELS, _SHELLS, _LANGUAGES]).split())
"""Not even an unlisted file of a bundle may have one of these suffixes, since Python, a shell or a model's loader would
run it.
"""
PROGRAMS = (b"#!", b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""Scripts, and programs for Windows, Linux and macOS, begin with these bytes, whatever their name."""
MOST_CARD = 256 * 1024
"""An unlisted file has at most 256 kB, figures excepted. A model card takes 30 kB."""
MOST_FIGURE = 8 * 1024**2
"""A figure of a card has at most 8 MB."""
MOST_LISTED = 2 * 1024**3
"""The files that the manifest lists have at most 2 GB together. An ensemble takes a hundred megabytes."""
MOST_JSON = 8 * 1024**2
"""A listed JSON file has at most 8 MB, since parsing may take twenty times its bytes of memory. The largest takes 500
kB."""
MOST_UNLISTED = 100
"""A bundle holds at most 100 files that the manifest does not list."""
BLOCK_BYTES = 16 * 1024**2
"""A file is hashed in blocks of 16 MB. Python's lock is free during a block. Between small blocks, a thread that loads
libraries would take the lock each time for as long as several blocks last."""
_PLAIN_NAME = re.compile(r"(?!.*\.\.)[\w.-]{1,100}(/[\w.-]{1,100}){0,5}", re.ASCII)


def verify(folder: Path) -> bytes:
    """Check every listed file by its hash, and every other file by its kind; return the manifest's bytes.

    Raises BundleIncomplete for a missing file, and BundleChanged for one that differs or could run code.
    """
    if not folder.is_dir():
        raise BundleIncomplete(f"{folder} is not a folder; a bundle is a folder with manifest.json in it.")
    refuse_links(folder)
    content, files = read_manifest(folder)
    for name in REQUIRED:
        if name not in files:
            raise BundleIncomplete(f"{folder}: manifest.json does not list {name}; export or pull the bundle again.")
    for name, entry in files.items():
        path = folder / name
        if not path.is_file():
            raise BundleIncomplete(f"{folder}: {name} is missing; pull the bundle again.")
        if path.stat().st_size != entry["size"] or sha256_of(path) != entry["sha256"]:
            raise BundleChanged(
                f"{folder}: {name} differs from the manifest's sha256; pull the bundle again and do not use this copy."
            )
    everything = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.relative_to(folder).parts[0] != ".git"
    ]
    refuse_code([path.relative_to(folder).as_posix() for path in everything], str(folder), files)
    _refuse_unlisted([path for path in everything if path.relative_to(folder).as_posix() not in files], folder)
    for path in everything:
        with path.open("rb") as file:
            if file.read(4).startswith(PROGRAMS):
                raise BundleChanged(
                    f"{folder}: {path.relative_to(folder)} begins like a program and has no place in a bundle; do not"
                    " use this copy."
                )
    return content


def refuse_links(folder: Path) -> None:
    """Raise BundleChanged for the first link of the folder that leads out of the bundle; see `links_out_of`."""
    for path in links_out_of(folder):
        raise BundleChanged(f"{path} is a link that leads out of the bundle; put the file in its place, or pull again.")


def most_bytes(name: str) -> int:
    """Return the most bytes that a file outside the manifest may have."""
    return MOST_FIGURE if name.startswith("figures/") else MOST_CARD


def _refuse_unlisted(paths: list[Path], folder: Path) -> None:
    """Raise BundleChanged for more or longer unlisted files than a card needs."""
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    kept = {name: path for name, path in named.items() if not name.startswith(".cache/")}
    if len(kept) > MOST_UNLISTED:
        raise BundleChanged(
            f"{folder} holds {len(kept)} files that manifest.json does not list; at most {MOST_UNLISTED} may be there."
        )
    for name, path in kept.items():
        if path.stat().st_size > most_bytes(name):
            raise BundleChanged(
                f"{folder}: {name} has {path.stat().st_size} bytes, and manifest.json does not list it; at most"
                f" {most_bytes(name)} are read of such a file."
            )


def refuse_code(names: Iterable[str], place: str, listed: Iterable[str] = ()) -> None:
    """Raise BundleChanged for the first file that could run code.

    Args:
        names: All files of a bundle, relative to its folder.
        place: Where the bundle is, for the error.
        listed: The files that its manifest lists. Each of these must be known as mere data.
    """
    unknown = [name for name in listed if Path(name.rstrip(".")).suffix.lower() not in HARMLESS]
    code = [name for name in names if CODE.intersection(suffix.lower() for suffix in Path(name).suffixes)]
    for name in (*unknown, *code):
        if name != WEIGHTS:
            raise BundleChanged(f"{place}: {name} could run code and has no place in a bundle; do not use this copy.")


def read_manifest(folder: Path) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """Return the manifest's bytes and its `files`: sha256 and size by name.

    Raises BundleError kinds for a manifest that is missing or wrong, or lists a name that could leave the folder.
    """
    path = folder / "manifest.json"
    try:
        if path.stat().st_size > MOST_CARD:
            raise BundleChanged(f"{path} has {path.stat().st_size} bytes; at most {MOST_CARD} are read of a manifest.")
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleIncomplete(f"{folder}: manifest.json is missing; this is not a whole bundle.") from None
    except OSError as error:
        raise BundleError(f"{path} can't be read ({error.strerror}); check its permissions.") from None
    document = json_object(content, str(path))
    files = document.get("files")
    if not isinstance(files, dict):
        raise BundleError(f"{path} has no object `files`; pull the bundle again.")
    for name, entry in files.items():
        if not _PLAIN_NAME.fullmatch(name):
            raise BundleChanged(
                f"{path} lists {name[:100]!r}, which is not a plain relative name; do not use this copy."
            )
        if not (
            isinstance(entry, dict) and isinstance(entry.get("sha256"), str) and isinstance(entry.get("size"), int)
        ):
            raise BundleError(f"{path}: the entry of {name} needs a `sha256` and a `size`; pull the bundle again.")
        if name.endswith(".json") and entry["size"] > MOST_JSON:
            raise BundleChanged(f"{path}: {name} has {entry['size']} bytes; at most {MOST_JSON} are read of JSON.")
    if any(entry["size"] < 0 for entry in files.values()) or sum(one["size"] for one in files.values()) > MOST_LISTED:
        raise BundleChanged(f"{path} lists over {MOST_LISTED} bytes, or fewer than none; do not use this copy.")
    return content, files


def write_manifest(folder: Path) -> None:
    """Write manifest.json, which lists every file of the folder with its sha256 and size."""
    files = {}
    for path in bundle_files(folder):
        name = path.relative_to(folder).as_posix()
        if name not in NOT_LISTED:
            files[name] = {"sha256": sha256_of(path), "size": path.stat().st_size}
    document = {"schema_version": SCHEMA_VERSION, "files": files}
    (folder / "manifest.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")


def bundle_files(folder: Path) -> list[Path]:
    """Return every file of a bundle in the order of their names, without figures and caches."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in NOT_LISTED_FOLDERS
    )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file as hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
