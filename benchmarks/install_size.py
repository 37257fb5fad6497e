"""Size on disk of an install that only grades: this package with its bundle, and its four dependencies.

    python benchmarks/install_size.py

Makes a virtual environment in a temporary folder, installs the package without extras, and grades a synthetic film. It
needs the package index.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
GRADE = """
import kneeoa_hub
from kneeoa_hub.imaging.phantom import sample_films
knee, = kneeoa_hub.from_pretrained().grade(sample_films()["moderate"].pixels).knees
print("it grades: KL", knee.grade)
"""


def megabytes(folder: Path) -> float:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6


def main() -> None:
    """Install the package, and print the sizes."""
    with TemporaryDirectory() as folder:
        environment = Path(folder) / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
        packages = next(environment.rglob("site-packages"))
        empty = megabytes(packages)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
        installed = megabytes(packages) - empty
        largest = sorted(((megabytes(path), path.name) for path in packages.iterdir() if path.is_dir()), reverse=True)[
            :6
        ]
        print(
            subprocess.run([str(python), "-c", GRADE], check=True, capture_output=True, text=True, cwd=folder).stdout,
            end="",
        )
    print(
        f"the install that grades: {installed:.0f} MB, of which "
        + ", ".join(f"{name} {size:.0f}" for size, name in largest)
    )
    print(f"the shipped bundle:      {megabytes(ROOT / 'kneeoa_hub' / 'pretrained' / 'kneeoa-cnn'):.1f} MB")


if __name__ == "__main__":
    main()
