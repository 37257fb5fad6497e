"""Sets the theme of the demo. It uses fonts of the system, so that a visit asks no other server for anything."""

from pathlib import Path

from gradio.themes import Base, Color, sizes

from kneeoa_hub.output.knee_html import STYLE

SYSTEM_FONTS = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Liberation Sans", "Arial", "sans-serif"]
TEAL = Color(
    c50="#eef6f8", c100="#dcedf1", c200="#b6dae2", c300="#85bfcd", c400="#4a9db1", c500="#1f7a91",
    c600="#0b5568", c700="#094858", c800="#073a47", c900="#052c36", c950="#031d24", name="teal",
)  # fmt: skip
SLATE = Color(
    c50="#f3f6f8", c100="#e7edf1", c200="#d5dee4", c300="#b4c2cb", c400="#8296a2", c500="#5f7482",
    c600="#4d606c", c700="#2c3b45", c800="#172229", c900="#13232d", c950="#0f171c", name="slate",
)  # fmt: skip

THEME = Base(
    primary_hue=TEAL,
    secondary_hue=TEAL,
    neutral_hue=SLATE,
    radius_size=sizes.radius_md,
    font=SYSTEM_FONTS,
    font_mono=["ui-monospace", "Consolas", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color="*neutral_900",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_background_fill="white",
    block_background_fill_dark="*neutral_800",
    block_label_text_color="*neutral_600",
    block_label_text_color_dark="*neutral_200",
    block_title_text_color="*neutral_900",
    block_title_text_color_dark="*neutral_100",
    link_text_color="*primary_600",
    link_text_color_dark="*primary_300",
)


def head() -> str:
    """Return style and script for the head of the page, where Gradio changes neither."""
    folder = Path(__file__).parent
    style, script = ((folder / name).read_text("utf-8") for name in ("style.css", "page.js"))
    return (
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta property="og:title" content="Knee'
        ' osteoarthritis grading"><meta property="og:description" content="Kellgren-Lawrence grade of a frontal knee'
        f' film. Research software, not a medical device."><style>{STYLE}{style}</style><script>{script}</script>'
    )
