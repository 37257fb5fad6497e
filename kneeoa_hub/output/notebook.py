"""Shows reports in a notebook, and makes pandas tables of them.

The methods of a report that show it import this module when they are called.
"""

import base64
import io
from collections.abc import Iterable
from string import Template
from typing import TYPE_CHECKING

from PIL import Image

from ..errors import MissingExtra
from ..knee import KneeGrade
from ..overlay import heatmap_picture
from ..report import DISCLAIMER, Answer, FilmReport
from . import knee_html as markup
from .knee_view import FilmView, KneeView
from .tables import CSV_COLUMNS, rows

if TYPE_CHECKING:
    import pandas

PICTURE_SIDE = 640
"""The longest side of the overlay in a notebook has 640 pixels. A larger film is shrunk."""
KNEE_SIDE = 256
"""The longest side of a knee's heatmap has 256 pixels."""
WHOLE = ("knee", "grade", "likeliest", "left", "top", "right", "bottom", "film_number")
"""These columns hold whole numbers, which are missing for a film without knees."""
TEXT = ("film", "side", "label", "refused", "error", "model", "revision", "warnings", "protocol")
REAL = ("severity", "oa_probability", "p0", "p1", "p2", "p3", "p4", "level", "quality")
OWN_STYLE = """
color: var(--ink); background: #fff; padding: .8rem; max-width: 62rem;
img { max-width: 100%; height: auto; }
.knee { margin-block: 1rem; }
table, tr, th, td { color: inherit; background: none !important; }
"""
STYLE = f".kneeoa {{ {markup.STYLE.replace(':root', '&')} {OWN_STYLE} }}"
"""The style of a knee applies only within a report, not to the rest of the notebook."""
_BOX = Template('<div class="kneeoa"><style>$style</style>$content</div>')
_REPORT = Template("""$problem$picture$knees$warnings<p><small>$model $disclaimer</small></p>""")
_PICTURE = Template(
    '<img alt="The film with each knee\'s frame, grade and evidence" src="data:image/png;base64,$content">'
)


def frame(answers: Iterable[tuple[str, Answer]]) -> "pandas.DataFrame":
    """Return answers as a table with the columns of the CSV, one row for each knee, and one for a film without knees.

    Whole numbers and probabilities are numbers, and missing if a film has no knee. A grade set is a tuple.

    Args:
        answers: The name of each film, and its answer.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingExtra("A table needs pandas; pip install 'kneeoa-hub[pandas]'") from None
    table = pandas.DataFrame([row for film, answer in answers for row in rows(film, answer)], columns=list(CSV_COLUMNS))
    kinds = dict.fromkeys(WHOLE, "Int64") | dict.fromkeys(REAL, "float64") | dict.fromkeys(TEXT, "string")
    return table.astype(kinds)


def report_html(report: FilmReport) -> markup.Html:
    """Return a report with its picture, knees and warnings."""
    film = FilmView.of("", report)
    content = markup.fill(
        _REPORT,
        problem=markup.problem_html(film),
        picture=markup.fill(_PICTURE, content=base64.b64encode(report_png(report)).decode()),
        knees=markup.join(map(markup.knee_html, film.knees)),
        warnings=markup.warnings_html(film),
        model=film.model,
        disclaimer=DISCLAIMER,
    )
    return markup.fill(_BOX, style=markup.Html(STYLE), content=content)


def report_png(report: FilmReport) -> bytes:
    """Return the overlay as PNG, with at most PICTURE_SIDE pixels a side."""
    picture = report.overlay()
    picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS)
    return _png(picture)


def knee_html(knee: KneeGrade) -> markup.Html:
    """Return one knee with its probabilities. A knee by itself knows no coverage level."""
    name = f"{knee.side.capitalize()} knee" if knee.side else "Knee"
    return markup.fill(_BOX, style=markup.Html(STYLE), content=markup.knee_html(KneeView.of(name, knee)))


def knee_png(knee: KneeGrade) -> bytes:
    """Return the heatmap over the box of a knee as PNG."""
    left, top, right, bottom = knee.box
    scale = KNEE_SIDE / max(right - left, bottom - top)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    return _png(heatmap_picture(Image.fromarray(knee.heatmap).resize(size, Image.Resampling.BILINEAR)))


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
