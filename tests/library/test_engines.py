"""The examples of docs/archives.md for engines that the package does not need give the grades of one process."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kneeoa_hub
from kneeoa_hub.imaging.phantom import write_films

PAGE = Path(__file__).parents[2] / "docs" / "archives.md"
EXAMPLES = dict(re.findall(r"<!-- example: (\w+) -->\n```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))

pytestmark = pytest.mark.slow


def run(engine: str, folder: Path) -> dict[str, float]:
    """Run the example of an engine on seven films, one of which is damaged; return the expected grades by film."""
    write_films(folder / "films", 5)
    (folder / "films" / "damaged.png").write_bytes(b"no film")
    (folder / "example.py").write_text(EXAMPLES[engine], "utf-8")
    environ = os.environ | {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    subprocess.run(
        [sys.executable, "example.py"], cwd=folder, env=environ, check=True, capture_output=True, timeout=300
    )
    expected = kneeoa_hub.from_pretrained(threads=1).grade_frame(folder / "films")
    return by_film(expected)


def by_film(table) -> dict[str, float]:
    """The probability of osteoarthritis by the name of the film, -1 where it failed."""
    assert table["error"].notna().sum() == 1
    names = [Path(str(film)).name for film in table["film"]]
    return dict(zip(names, table["oa_probability"].astype(float).fillna(-1).round(6), strict=True))


def test_both_engines_have_an_example():
    assert set(EXAMPLES) == {"dask", "spark"}


def test_the_example_for_dask_gives_the_grades_of_one_process(tmp_path: Path):
    pytest.importorskip("dask")
    import pandas as pd

    expected = run("dask", tmp_path)
    assert by_film(pd.read_csv(tmp_path / "grades.csv")) == expected


@pytest.mark.skipif(not shutil.which("java"), reason="Spark needs Java")
def test_the_example_for_spark_gives_the_grades_of_one_process(tmp_path: Path):
    pytest.importorskip("pyspark")
    import pandas as pd

    expected = run("spark", tmp_path)
    assert by_film(pd.read_parquet(tmp_path / "grades")) == expected
