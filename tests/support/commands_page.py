"""The parsers themselves make the page: python -m tests.support.commands_page > docs/commands.md"""

import argparse
from collections.abc import Iterator

from kneeoa_hub import cli
from tuning import __main__ as tuning

HEAD = """# Commands

`python -m tests.support.commands_page` makes this page from the commands themselves. [Errors](errors.md) lists the exit
codes. [commands.schema.json](schemas/commands.schema.json) describes what `--json` prints. Progress bars appear on a
terminal only.
"""


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([HEAD, *_commands("kneeoa", cli.parser()), *_commands("python -m tuning", tuning.parser())])


def _commands(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    choices = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction)).choices
    for command, sub in choices.items():
        yield f"## `{name} {command}`\n\n{sub.description}\n\n| argument | meaning |\n|---|---|"
        for action in sub._actions:
            if not isinstance(action, argparse._HelpAction):
                yield f"| {_called(action)} | {_meaning(action)} |"
        if sub.epilog:
            examples = sub.epilog.removeprefix("examples:").split("exit code:")[0]
            yield examples.replace("\n  ", "\n    ").rstrip()
        yield ""


def _called(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings)


def _meaning(action: argparse.Action) -> str:
    one_of = f"one of {', '.join(map(str, action.choices))}" if action.choices else ""
    return "; ".join(text for text in (action.help or "", one_of) if text)


if __name__ == "__main__":
    print(page(), end="")
