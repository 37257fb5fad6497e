"""The sizes of folders, modules and functions are counted: python -m benchmarks.house [CHECKOUT]

docs/decisions.md shows the table for 0.8.0 and for a later version. Tests and benchmarks are not counted.
"""

import ast
import sys
from collections import Counter
from pathlib import Path
from statistics import median

from .measuring import ROOT

PACKAGES = "kneeoa_hub", "flask_app", "spaces", "tuning"
LONG = 60
"""A function of more lines no longer fits a screen."""


def table(root: Path) -> str:
    """Return the measures of a checkout as Markdown."""
    sources = {path: path.read_text("utf-8") for name in PACKAGES for path in sorted((root / name).rglob("*.py"))}
    lines = [text.count("\n") for text in sources.values()]
    folders = Counter(str(path.parent.relative_to(root)) for path in sources)
    functions = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for text in sources.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    rows = (
        ("modules, lines", f"{len(lines)}, {round(sum(lines), -2):,}"),
        ("modules of each folder", ", ".join(f"{count} in `{folder}`" for folder, count in folders.most_common())),
        ("median module, largest module (lines)", f"{median(lines):.0f}, {max(lines)}"),
        (
            f"longest function (lines), functions over {LONG} lines",
            f"{max(functions)}, {sum(count > LONG for count in functions)}",
        ),
    )
    return "".join(f"| {name} | {value} |\n" for name, value in rows)


if __name__ == "__main__":
    print(table(Path(sys.argv[1]).resolve() if sys.argv[1:] else ROOT), end="")
