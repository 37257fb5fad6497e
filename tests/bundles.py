"""Small bundles for tests of everything that moves, checks or describes a bundle and never opens its networks."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from kneeoa_hub.bundle import BundleConfig, Conformal, Decision, InputConfig, RefusalConfig, write_manifest
from kneeoa_hub.grades import LABELS

CONFIG = BundleConfig(
    name="kneeoa-test",
    version="1.0",
    grades=LABELS,
    input=InputConfig(256, 256),
    members=({"seed": 1},),
    decision=Decision(),
    temperature=1.0,
    conformal=Conformal(0.9, 0.95, 800),
    refusal=RefusalConfig(0.02, 0.1, 100.0),
)
EVIDENCE = {"metrics": {"oai_test": {"qwk": {"value": 0.801, "low": 0.778, "high": 0.822, "n": 828}}}}
CARD = """---
library_name: keras
pipeline_tag: image-classification
license: cc-by-4.0
tags:
- medical
---
# kneeoa-test

![confusion](figures/confusion.png)
"""


def make_bundle(folder: Path, *, model: bytes = bytes(range(256)) * 64, card: str = CARD, **changes: Any) -> Path:
    """A complete bundle of about 20 kB in a new folder. changes: fields of its BundleConfig, such as version="2.0"."""
    (folder / "figures").mkdir(parents=True)
    (folder / "bundle.json").write_text(replace(CONFIG, **changes).to_json(), "utf-8")
    (folder / "model.onnx").write_bytes(model)
    (folder / "evidence.json").write_text(json.dumps(EVIDENCE), "utf-8")
    (folder / "config.json").write_text("{}", "utf-8")
    (folder / "metadata.json").write_text("{}", "utf-8")
    (folder / "model.weights.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(4000))
    (folder / "README.md").write_text(card, "utf-8")
    Image.new("L", (8, 8), 128).save(folder / "figures" / "confusion.png")
    write_manifest(folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder, by name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
