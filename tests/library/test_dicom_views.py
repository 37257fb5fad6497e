"""A view that is not frontal is recognised by what a DICOM header says of it, and a frontal one is not refused."""

import numpy as np
import pytest

from benchmarks.film_kinds import dicom
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.dicom_views import DESCRIPTIONS

from ..support.dicom_films import coded

pytestmark = pytest.mark.filterwarnings("ignore:.*for VR CS")  # which films do have

LATERAL = (
    *("LL", "RL", "ML", "LM", "KNEE LL", "R LL", "LLD", "LAT", "LLAT", "RLAT", "LAT LEFT", "LAT KNEE", "KNEE-LAT."),
    *("KneeLat", "LATL", "L.LAT", "XTABLE LAT", "LATERAL", "LATERAL_KNEE", "Laterale", "MEDIOLATERAL", "LATERO-MEDIAL"),
    *("PROFIL", "Genou de profil G", "PROFILE", "PERFIL", "Profilo", "SEITLICH", "Knie seitl.", "LATERAAL", "BOCZNE"),
    *("HBL", "Knee SAG", "bok", "Sidobild", "Sivukuva", "Yan", "oldalirányú"),
)
OBLIQUE = ("LLO", "RLO", "LPO", "RPO", "LAO", "RAO", "MLO", "LMO", "OBL", "OBLS", "OBLIQUE", "OBLICUA", "Schräg")
AXIAL = (
    *(
        "AX",
        "AXIAL",
        "AXIALE",
        "TANGENTIAL",
        "Tangenziale",
        "SKYLINE VIEW",
        "SUNRISE",
        "MERCHANT 45",
        "PATELLA",
        "PATELLAE",
    ),
    *("Patella 30", "Défilé", "femoro-patellaire", "Laurin", "AXL", "Hughston", "SETTEGAST"),
)
NOTCH = ("TUNNEL", "NOTCH", "Intercondylar notch", "Tunnelaufnahme n. Frik", "HOLMBLAD")
FRONTAL = (
    *("AP", "PA", "A.P.", "FRONTAL", "FACE", "SCHUSS", "Genou face schuss", "ROSENBERG", "AP BILATERAL", "AP LL"),
    *("PA FLEX 30", "STANDING", "WEIGHT BEARING", "BILAT", "BILATERAL", "BI-LATERAL", "Bi Lat standing", "UNILATERAL"),
    *("TIBIAL PLATEAU", "FLAT PANEL", "LATERALITY L", "LL STANDING", "COLLATERAL", "KNEE L", "Translation", "VERTICAL"),
    *("OBLITERATED", "TRANSVERSAL FEMUR", "KNEE", "1 KNEE 2V", ""),
)


def ruled_out(**header: object) -> str | None:
    """What the header of a film rules out."""
    return decode(dicom(np.arange(128 * 128, dtype=np.uint16).reshape(128, 128), **header)).ruled_out


@pytest.mark.parametrize("keyword", ["ViewPosition", *DESCRIPTIONS])
@pytest.mark.parametrize("view", [*LATERAL, *OBLIQUE, *AXIAL, *NOTCH])
def test_a_view_that_is_not_frontal_is_recognised_by_its_words(keyword: str, view: str):
    assert ruled_out(**{keyword: view}) == "not-frontal"


@pytest.mark.parametrize("keyword", ["ViewPosition", *DESCRIPTIONS])
@pytest.mark.parametrize("view", FRONTAL)
def test_a_frontal_view_and_an_unknown_one_pass(keyword: str, view: str):
    assert ruled_out(**{keyword: view}) is None


@pytest.mark.parametrize("view", ["Lateral", "ML", "profil", "Skyline", "seitlich", "oblique", "Patella axial"])
def test_the_meaning_of_a_coded_view_counts_like_any_word(view: str):
    assert ruled_out(ViewCodeSequence=coded("99", "99LOCAL", view)) == "not-frontal"


@pytest.mark.parametrize("view", ["AP", "PA bilateral", "face", "Frontal"])
def test_a_coded_frontal_view_passes(view: str):
    assert ruled_out(ViewCodeSequence=coded("99", "99LOCAL", view)) is None


@pytest.mark.parametrize("view", ["AP/LAT", "Knie a.p. + seitlich", "FACE PROFIL", "AP, LAT, SKYLINE", "KNEE AP OBL"])
def test_a_description_of_several_views_rules_out_none_of_them(view: str):
    assert ruled_out(SeriesDescription=view) is None


@pytest.mark.parametrize(
    ("script", "view"),
    [
        ("ISO_IR 144", "Колено боковая"),
        ("ISO_IR 192", "膝関節側面"),
        ("ISO_IR 126", "Γόνατο πλάγια"),
        ("ISO_IR 127", "ركبة جانبية"),
    ],
)
def test_a_description_in_another_script_is_read(script: str, view: str):
    header = {"SpecificCharacterSet": script, "SeriesDescription": view}
    assert ruled_out(**header) == "not-frontal"
    frontal = header | {
        "SeriesDescription": {
            "Колено боковая": "Колено прямая",
            "膝関節側面": "膝関節正面",
            "Γόνατο πλάγια": "Γόνατο",
            "ركبة جانبية": "ركبة",
        }[view]
    }
    assert ruled_out(**frontal) is None


@pytest.mark.parametrize("stated", [{"ViewPosition": "AP"}, {"ViewCodeSequence": coded("399348003")}])
def test_a_description_gives_way_to_a_view_that_the_header_states(stated):
    assert ruled_out(SeriesDescription="KNEE LAT", **stated) is None
    assert ruled_out(SeriesDescription="KNEE LAT", ViewPosition="") == "not-frontal"
    assert ruled_out(SeriesDescription="KNEE AP", ViewPosition="LAT") == "not-frontal"
