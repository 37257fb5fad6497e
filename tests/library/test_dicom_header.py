"""The header of a DICOM film gives its side, orientation, modality, body part and view."""

import numpy as np
import pytest

from benchmarks.film_kinds import dicom
from kneeoa_hub.imaging.decode import decode
from kneeoa_hub.imaging.dicom_header import OTHER_PARTS, UNPROCESSED
from kneeoa_hub.imaging.laterality import MIRRORED_WARNING, STACKED_WARNING, right_of_upright
from kneeoa_hub.imaging.phantom import knee_film, two_knee_film
from kneeoa_hub.imaging.refusal import MESSAGES, check_pixels

from ..support.dicom_films import coded, knee


def test_the_side_comes_from_the_header():
    assert decode(dicom(knee(), ImageLaterality="R")).side == "right"
    assert decode(dicom(knee(), Laterality="L")).side == "left"
    assert decode(dicom(knee(), ImageLaterality="B")).side is None
    assert decode(dicom(knee())).side is None


@pytest.fixture(scope="module")
def both() -> np.ndarray:
    """Both knees, uint16 [400,800]."""
    return two_knee_film((0, 4), 5, height=400, width=800, bits=16).pixels


@pytest.mark.parametrize("blurred", [None, "right", "left"])
def test_one_side_in_the_header_names_no_knee_of_two_even_if_one_is_left_out(grader, both, blurred):
    from scipy.ndimage import gaussian_filter

    film = both.copy()
    if blurred:
        half = np.s_[:, :400] if blurred == "right" else np.s_[:, 400:]
        film[half] = gaussian_filter(film[half].astype(np.float32), 16)
    report = grader.grade(dicom(film, Laterality="L"))
    assert [knee.side for knee in report.knees] == [None] * (1 if blurred else 2)
    assert any("header says left, but more than one knee was found" in warning for warning in report.warnings)


def test_knees_one_above_the_other_have_no_sides(grader):
    knee = knee_film(2, 7, height=400, width=400).pixels
    stacked = np.zeros((900, 500), np.uint8)
    stacked[20:420, 20:420] = stacked[470:870, 80:480] = knee
    report = grader.grade(stacked)
    assert [knee.side for knee in report.knees] == [None, None]
    assert report.warnings[:1] == (STACKED_WARNING,)
    at_one_place, close = [(20, 20, 220, 220), (80, 20, 280, 220)], [(20, 20, 220, 220), (190, 20, 390, 220)]
    assert [
        [knee.side for knee in grader.grade(stacked, boxes=boxes, force=True).knees] for boxes in (at_one_place, close)
    ] == [[None, None], ["right", "left"]]


@pytest.mark.parametrize(
    ("header", "sides"),
    [
        ({}, ["right", "left"]),
        ({"PatientOrientation": ["R", "F"]}, ["left", "right"]),
        ({"Laterality": "R"}, [None, None]),
    ],
)
def test_a_knee_whose_neighbour_the_caller_left_out_keeps_its_side(grader, both, header, sides):
    film = dicom(both, **header)
    report = grader.grade(film)
    assert [knee.side for knee in report.knees] == sides
    for one in report.knees:
        (alone,) = grader.grade(film, boxes=[one.box]).knees
        assert (alone.side, alone.probabilities) == (one.side, pytest.approx(one.probabilities, abs=1e-5))
        left, top, right, bottom = one.box
        (drawn,) = grader.grade(film, boxes=[(left + 10, top + 10, right - 10, bottom - 10)]).knees
        assert drawn.side == one.side


@pytest.mark.parametrize(
    ("orientation", "turns", "mirrored"),
    [
        (["L", "F"], 0, False),
        (["R", "F"], 0, True),
        (["RP", "FA"], 0, True),
        (["F", "R"], 1, False),
        (["H", "R"], 3, True),
    ],
)
def test_sides_follow_the_patient_orientation(grader, both, orientation, turns, mirrored):
    sides = np.repeat([["right", "left"]], 400, 1).repeat(400, 0)
    film, where = (np.rot90(one[:, ::-1] if mirrored else one, turns) for one in (both, sides))
    report = grader.grade(dicom(np.ascontiguousarray(film), PatientOrientation=orientation))
    middles = [((knee.box[1] + knee.box[3]) // 2, (knee.box[0] + knee.box[2]) // 2) for knee in report.knees]
    assert [knee.side for knee in report.knees] == [where[middle] for middle in middles]
    assert {knee.side for knee in report.knees} == {"left", "right"}
    assert (MIRRORED_WARNING in report.warnings) == mirrored
    assert not any("convention" in warning for warning in report.warnings)


@pytest.mark.parametrize("orientation", [["L"], ["", ""], ["F", "L"]])
def test_any_other_patient_orientation_leaves_the_convention(grader, both, orientation):
    report = grader.grade(dicom(both, PatientOrientation=orientation))
    assert [knee.side for knee in report.knees] == ["right", "left"]
    assert any("convention" in warning for warning in report.warnings)


@pytest.mark.parametrize(("turns", "usual"), list(enumerate([("L", "F"), ("F", "R"), ("R", "H"), ("H", "L")])))
def test_the_patient_orientation_is_that_of_the_film_as_it_was_given(both, turns, usual):
    """`usual` is the orientation of a film that was turned anticlockwise by `turns`."""
    swapped = {"L": "R", "R": "L", "F": "F", "H": "H"}
    for letters, toward in ((usual, "L"), (tuple(map(swapped.get, usual)), "R")):
        film = decode(dicom(both, PatientOrientation=list(letters)))
        assert film.orientation == letters
        assert right_of_upright(film, turns) == toward


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("turns", [0, 1])
def test_declared_padding_changes_the_boxes_and_nothing_else(grader, photometric, turns):
    bare = np.rot90(knee() + 1, turns)
    wide = np.pad(bare, ((9, 0), (40, 25)), constant_values=0)
    alone, padded = (
        grader.grade(dicom(film, PixelPaddingValue=0, PhotometricInterpretation=photometric)) for film in (bare, wide)
    )
    assert alone.refused is None
    assert padded.warnings == alone.warnings
    for one, other in zip(padded.knees, alone.knees, strict=True):
        assert one.probabilities == other.probabilities
        assert np.array_equal(one.heatmap, other.heatmap)
        assert one.box == tuple(edge + shift for edge, shift in zip(other.box, (40, 9, 40, 9), strict=True))


def test_padding_stays_where_the_rest_is_smaller_than_a_film_may_be():
    film = np.zeros((200, 200), np.uint16)
    film[:100, :100] = knee()[:100, :100] + 1
    assert decode(dicom(film, PixelPaddingValue=0)).exposed is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"Modality": "MR"}, "other-modality"),
        ({"BodyPartExamined": "CHEST"}, "other-body-part"),
        ({"BodyPartExamined": "LEFT_HAND"}, "other-body-part"),
        ({"ViewPosition": "LL"}, "not-frontal"),
    ],
)
def test_a_film_whose_header_rules_out_a_frontal_knee_is_refused(grader, header, reason):
    content = dicom(knee(), **header)
    report = grader.grade(content)
    assert (report.refused.reason, report.refused.message) == (reason, MESSAGES[reason])
    assert report.knees == ()
    assert len(grader.grade(content, force=True).knees) == 1


OTHER_WORDS = (
    *("HANDS", "FEET", "TOES", "BOTH HIPS", "HIP", "C-SPINE", "PELVIS", "ANKLE FOOT", "CHEST/ABDOMEN"),
    *("THUMBS", "SKULL_AP", "L SPINE", "OS CALCANEUS", "METATARSALS", "HAND FOOT"),
    *("HÜFTE", "SCHÄDEL", "MUÑECA", "PÉ", "MÃO", "ŁOKIEĆ", "КИСТЬ", "手部", "胸部", "骨盆"),
)


@pytest.mark.filterwarnings("ignore:.*for VR CS")  # which films do have
@pytest.mark.parametrize("part", [*OTHER_WORDS, ["ABDOMEN", "CHEST"]])
def test_another_body_part_is_recognised_by_its_words(part):
    assert decode(part_in_utf8(part)).ruled_out == "other-body-part"


def part_in_utf8(part: str | list[str]) -> bytes:
    """A film whose header names a body part in UTF-8, as machines write it into an element that holds ASCII alone."""
    several = part if isinstance(part, list) else [part]
    return dicom(knee(), BodyPartExamined=[one.encode().decode("latin-1") for one in several])


@pytest.mark.parametrize("part", sorted(OTHER_PARTS))
@pytest.mark.filterwarnings("ignore:.*for VR CS")  # which films do have
def test_each_other_body_part_is_refused_unless_a_knee_is_named_too(part: str):
    assert decode(part_in_utf8(part)).ruled_out == "other-body-part"
    assert decode(part_in_utf8(f"{part} KNEE")).ruled_out is None


MAY_HOLD_A_KNEE = (
    *(
        "KNEE",
        "PATELLA",
        "FEMUR",
        "TIBIA",
        "FIBULA",
        "TIBIAFIBULA",
        "LEG",
        "LOWERLEG",
        "LOWLEG",
        "LOWERLIMB",
        "THIGH",
        "CALF",
        "EXTREMITY",
        "WHOLEBODY",
    ),
    *("Hüfte, Knie, Fuß", "cadera y rodilla", "膝関節", "КОЛЕННЫЙ СУСТАВ", "下肢全長", "CADERA TOBILLO"),
    *("LEGS", "TIBIAS", "JOINT", "BONE", "SKELETON", "GENOU FACE", "PROFIL", "HIP TO TOES", "PELVIS HEEL"),
)


@pytest.mark.filterwarnings("ignore:.*for VR CS")
@pytest.mark.parametrize("part", MAY_HOLD_A_KNEE)
def test_a_body_part_that_may_include_a_knee_passes(part: str):
    assert decode(part_in_utf8(part)).ruled_out is None


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")  # which films do have
@pytest.mark.parametrize(
    "part",
    [
        "HIP TO ANKLE",
        "HIP-ANKLE",
        "HIPS TO ANKLES",
        "PELVIS_FOOT",
        ["HIP", "ANKLE"],
        ["HIP", "KNEE"],
        "KNEES",
        "LEG",
        "CHESTNUT",
    ],
)
def test_a_whole_leg_and_similar_parts_pass(part):
    assert decode(dicom(knee(), BodyPartExamined=part)).ruled_out is None


@pytest.mark.parametrize(
    "header",
    [
        {"Modality": "CR", "BodyPartExamined": "KNEE", "ViewPosition": "AP"},
        {"BodyPartExamined": "HIP KNEE ANKLE"},
        {"BodyPartExamined": "GENOU DROIT"},
        {"BodyPartExamined": "", "ViewPosition": ""},
        {"ViewPosition": "PA"},
    ],
)
def test_any_other_header_rules_nothing_out(grader, header):
    assert check_pixels(decode(dicom(knee(), **header)), grader.bundle.config.refusal) is None


def test_a_film_with_the_values_of_the_detector_gives_a_warning():
    kinds = ("FOR PROCESSING", "FOR PRESENTATION", "")
    assert [UNPROCESSED in decode(dicom(knee(), PresentationIntentType=kind)).warnings for kind in kinds] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("orientation", [["A", "F"], ["P", "F"], ["PL", "F"], ["F", "A"], ["L", "P"]])
def test_rows_or_columns_from_front_to_back_are_no_frontal_view(orientation):
    assert decode(dicom(knee(), PatientOrientation=orientation)).ruled_out == "not-frontal"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"ViewCodeSequence": coded("399067008", meaning="lateral projection")}, "not-frontal"),
        ({"ViewCodeSequence": coded("399067008")}, "not-frontal"),
        ({"ViewCodeSequence": coded("R-10236", "SRT", "seitlich")}, "not-frontal"),
        ({"ViewCodeSequence": coded("399182000"), "ViewPosition": "AP"}, "not-frontal"),
        ({"ViewCodeSequence": coded("30730003")}, "not-frontal"),
        ({"ViewCodeSequence": coded("99", "99LOCAL", "Skyline")}, "not-frontal"),
        ({"ViewCodeSequence": coded("399348003", ViewModifierCodeSequence=coded("111069", "DCM"))}, "not-frontal"),
        ({"AnatomicRegionSequence": coded("85562004", meaning="Main")}, "other-body-part"),
        ({"AnatomicRegionSequence": coded("T-D8700", "SRT"), "BodyPartExamined": "KNEE"}, "other-body-part"),
        ({"AnatomicRegionSequence": coded("53120007")}, "other-body-part"),
        ({"PrimaryAnatomicStructureSequence": coded("816094009")}, "other-body-part"),
        ({"BodyPartExamined": "T-D8700"}, "other-body-part"),
        ({"BodyPartExamined": "85562004"}, "other-body-part"),
        ({"ViewPosition": "R-10236"}, "not-frontal"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*for VR CS")  # which films do have
def test_views_and_parts_that_only_a_code_names_are_read(header, reason):
    assert decode(dicom(knee(), **header)).ruled_out == reason


@pytest.mark.parametrize(
    "header",
    [
        {"ViewCodeSequence": coded("399348003", meaning="antero-posterior")},
        {"ViewCodeSequence": coded("R-10214", "SRT", "postero-anterior")},
        {"AnatomicRegionSequence": coded("72696002", meaning="Genou"), "BodyPartExamined": "LEG"},
        {"AnatomicRegionSequence": coded("61685007", meaning="Lower limb")},
        {"AnatomicRegionSequence": coded("1231522001", meaning="Pelvis and lower extremities")},
        {"AnatomicRegionSequence": coded("816092008"), "BodyPartExamined": "KNEE"},
        {"AnatomicRegionSequence": coded("1", "99LOCAL", "")},
        {"ViewCodeSequence": [], "AnatomicRegionSequence": []},
    ],
)
def test_a_frontal_code_and_a_part_that_may_hold_a_knee_pass(header):
    assert decode(dicom(knee(), **header)).ruled_out is None


def test_the_side_may_be_the_modifier_of_the_coded_part():
    left = coded("72696002", AnatomicRegionModifierSequence=coded("7771000", meaning="Left"))
    assert decode(dicom(knee(), AnatomicRegionSequence=left)).side == "left"
    assert decode(dicom(knee(), AnatomicRegionSequence=left, ImageLaterality="R")).side == "right"
    both = coded("72696002", AnatomicRegionModifierSequence=[*coded("1", meaning="Left"), *coded("2", meaning="Right")])
    assert decode(dicom(knee(), AnatomicRegionSequence=both)).side is None
