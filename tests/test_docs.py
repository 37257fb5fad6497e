"""What a user can meet is documented."""

import inspect
import re
from pathlib import Path

from PIL import Image

from kneeoa_hub import errors
from kneeoa_hub.imaging.gate import MESSAGES
from kneeoa_hub.imaging.phantom import sample_films

ROOT = Path(__file__).parent.parent


def test_every_error_and_refusal_is_documented():
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    kinds = [c for c in vars(errors).values() if inspect.isclass(c) and issubclass(c, errors.KneeOAError)]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(f"| `{kind.__name__}` | `{kind.code}` | {kind.status} |" in text for kind in kinds)
    assert all(f"| `{reason}` | {message} |" in text for reason, message in MESSAGES.items())


def test_the_links_of_the_readme_lead_somewhere():
    text = (ROOT / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if not link.startswith("http")]
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_the_readme_example_runs(tmp_path, monkeypatch, capsys):
    text = (ROOT / "README.md").read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    Image.fromarray(sample_films()["severe"].pixels).save(tmp_path / "knee.png")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert (tmp_path / "graded.png").stat().st_size > 0
    assert "Kellgren-Lawrence grade" in capsys.readouterr().out


def test_no_path_of_a_machine_is_in_the_bundle_or_its_card():
    folder = ROOT / "kneeoa_hub" / "pretrained" / "kneeoa-cnn"
    for path in [*folder.glob("*.json"), folder / "README.md", ROOT / "model_card.md"]:
        assert not re.search(r"(/tmp/|/root/|/home/|/work/|[A-Z]:\\\\)", path.read_text("utf-8")), path
