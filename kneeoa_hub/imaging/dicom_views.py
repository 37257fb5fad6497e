"""Reads the view of a film from the words of its DICOM header: frontal, or a view that the models do not know.

View Position (0018,5101) and the coded view (PS3.3 C.8.11.5) describe the film itself. The descriptions are typed by
people, in their language, for a series or a protocol, which may hold several views. They count only if nothing else
says that the view is frontal.
"""

import re
from typing import Any

from .dicom_codes import VIEW, coded_words, named_words
from .dicom_values import several, words

DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription")
"""On many machines these elements of free text name the view. Like all texts, they never leave the header."""
READ_ELEMENTS = ("ViewPosition", *VIEW, *DESCRIPTIONS)
"""This module reads these elements."""
OTHER_VIEW = re.compile(
    r"(KNEES?|[LR]T?|LEFT|RIGHT|XT?|XTABLE)?LAT[LRS]?"
    r"|(MEDIO|LATERO)?LATERA(L\w{0,2}|AL)|LATERO(MEDIAL\w?)?|PROFIE?L\w?|PERFIL|SEITL\w*|SAGITTA\w*|ZIJDELINGS"
    r"|CROSS|CROSSTABLE|HBL|SAG|BOCZ?N\w{1,2}|BOK|SIDOBILD|SIVU\w*|YAN|OLDAL\w*|ΠΛΑΓΙ\w+|БОКОВ\w+|\w*(側面|[侧側]位|측면|جانبي)\w*"
    r"|OBLS?|OBLI[CKQ]\w*|SCHRAE?G\w*|[LR][LPA]O|MLO|LMO|[LR]LD|\w*斜位\w*"
    r"|AX|AXL|AXIALS?|AXIALE[NRS]?|AXIAAL|ASSIAL[EI]|TANGEN[TZ]\w*|INFEROSUPERIOR|SUPEROINFERIOR|\w*[轴軸]位\w*"
    r"|SKYLINE|SUNRISE|MERCHANT|LAURIN|HUGHSTON|SETTEGAST|DEFILES?"
    r"|TUNNEL\w*|(INTERCONDYLAR)?NOTCH|INTERCONDYL\w+|HOLMBLAD|FRIK"
    r"|(FEMORO)?PATELL(A|AE|AS|AR|AIRES?)|PATELLO(FEMORAL)?|ROTUL[AE]S?|KNIESCHEIBEN?"
)
"""A word for a view that is not frontal matches this, in capitals and without accents: lateral, oblique, axial, of the
patella, or of the intercondylar notch. The words are the defined terms of PS3.3 C.8.1.1, the views of PS3.16 CID 4010
and 4014, and what people write.
"""
FRONTAL_VIEW = re.compile(
    r"(KNEES?|[LR]T?|LEFT|RIGHT)?(AP|PA)|ANTERO\w*|POSTERO\w*|FRONTA\w*|FACE|FRENTE|CORONAL|SCHUSS|ROSENBERG"
    r"|\w*(正[位侧側面]|정면)\w*"
)
"""A word for a frontal view matches this."""
SHORT_VIEWS = {"LL", "RL", "ML", "LM"}
"""These defined terms mean lateral views. They may mean something else, such as the lower limb, so they count only
alone or beside KNEE_WORDS.
"""
KNEE_WORDS = re.compile(r"KNEES?|KNIE|GENOUX?|RODILLA|GINOCCHIO|JOELHO|[LR]T?|LEFT|RIGHT|DX|SX|RE|LI|XR")
"""These words mean the knee or its side."""
SPLIT = {"BI", "UNI", "CONTRA", "IPSI"}
"""Words that begin so, such as bi-lateral, name no view."""


def is_not_frontal(header: Any) -> bool:
    """Tell whether a header says that the view is lateral, oblique or axial."""
    stated = [named_words(header, "ViewPosition"), *(coded_words(header, keyword) for keyword in VIEW)]
    if any(_names_other_view(one) for one in stated):
        return True
    described = [words(several(header, keyword)) for keyword in DESCRIPTIONS]
    return not any(map(_names_frontal_view, stated)) and any(
        _names_other_view(one) and not _names_frontal_view(one) for one in described
    )


def _names_other_view(named: set[str]) -> bool:
    if named & SPLIT:
        named = {word for word in named if not word.startswith("LAT")}
    others = {word for word in named if not KNEE_WORDS.fullmatch(word)}
    return bool(others) and (others <= SHORT_VIEWS or any(map(OTHER_VIEW.fullmatch, others)))


def _names_frontal_view(named: set[str]) -> bool:
    return {"A", "P"} <= named or any(map(FRONTAL_VIEW.fullmatch, named))
