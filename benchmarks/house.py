"""The sizes of modules and functions of the code are counted: python -m benchmarks.house

docs/decisions.md shows the table. The tests are not counted.
"""

import ast
from collections import Counter
from statistics import median

from .measuring import ROOT

PACKAGES = "kneeoa_hub", "flask_app", "spaces", "tuning", "benchmarks"
LONG = 60
"""A function of more lines no longer fits a screen."""


def table() -> str:
    """Return the measures as Markdown."""
    sources = {path: path.read_text("utf-8") for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))}
    lines = [text.count("\n") for text in sources.values()]
    folder, modules = Counter(path.parent for path in sources).most_common(1)[0]
    functions = [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for text in sources.values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    rows = (
        ("modules in the largest folder", f"{modules} (`{folder.relative_to(ROOT)}`)"),
        ("median module, largest module (lines)", f"{median(lines):.0f}, {max(lines)}"),
        (
            f"longest function (lines), functions over {LONG} lines",
            f"{max(functions)}, {sum(count > LONG for count in functions)}",
        ),
        ("modules, lines without tests", f"{len(lines)}, {round(sum(lines), -2):,}"),
    )
    return "".join(f"| {name} | {value} |\n" for name, value in rows)


if __name__ == "__main__":
    print(table(), end="")
