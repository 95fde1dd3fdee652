"""Which header of a table is what: the one place where the names of clinical columns are known."""

from __future__ import annotations

import re
from dataclasses import dataclass

DAYS = {"days": 1.0, "weeks": 7.0, "months": 365.25 / 12, "years": 365.25}
"""The days in a unit of time; a month is a twelfth of a Julian year."""

_UNIT_WORDS = {
    **dict.fromkeys(("d", "day", "days"), "days"),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), "weeks"),
    **dict.fromkeys(("mo", "mos", "month", "months"), "months"),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), "years"),
}


@dataclass(frozen=True)
class Role:
    """What a column may be.

    Attributes:
        name: the attribute of :class:`~autobrats.dataset.clinical.record.ClinicalRecord`.
        text: what the clinical texts of a dataset's cases call it (dataset.json).
        headers: how tables call it: lower case, without spaces, signs and units.
        telling: headers that also say what the values mean, as ``GTR_over90percent`` does of ``Y``.
        units: that its numbers may have, that of the record first.
    """

    name: str
    text: str
    headers: tuple[str, ...]
    telling: tuple[str, ...] = ()
    units: tuple[str, ...] = ()


MEANS_DEAD, MEANS_ALIVE = "dead", "alive"

PATIENT = Role(
    "patient",
    "patient",
    (
        *("patient", "patientid", "patientname", "patientnumber", "patientbarcode", "bcrpatientbarcode"),
        *("subject", "subjectid", "participant", "participantid"),
    ),
)

ROLES: dict[str, Role] = {
    role.name: role
    for role in (
        PATIENT,
        Role(
            "age_years",
            "age",
            (
                *("age", "ageatscan", "ageatmri", "ageatimaging", "ageatdiagnosis", "ageatinitialdiagnosis"),
                *("ageatsurgery", "ageatbaseline", "diagnosisage", "patientage"),
            ),
            units=("years", "months", "weeks", "days"),
        ),
        Role("male", "sex", ("sex", "gender", "patientsex"), telling=("male", "ismale")),
        Role(
            "grade",
            "grade",
            (
                *("grade", "whograde", "whocnsgrade", "cnswhograde", "tumorgrade", "tumourgrade", "gliomagrade"),
                *("histologicgrade", "histologicalgrade", "neoplasmhistologicgrade"),
            ),
        ),
        Role(
            "idh_mutated",
            "idh",
            ("idh", "idh1", "idhstatus", "idh1status", "idhmutation", "idh1mutation", "idhmutationstatus", "idh12"),
            telling=("idhmutated", "idhmutant"),
        ),
        Role(
            "mgmt_methylated",
            "mgmt",
            ("mgmt", "mgmtstatus", "mgmtmethylation", "mgmtmethylationstatus", "mgmtpromoterstatus", "mgmtpromoter"),
            telling=("mgmtmethylated",),
        ),
        Role(
            "codeleted_1p19q",
            "1p19q",
            ("1p19q", "1p19qstatus", "1p19qcodeletion", "1p19qcodeletionstatus", "codeletion1p19q", "1p19qdeletion"),
            telling=("1p19qcodeleted", "codeleted1p19q"),
        ),
        Role(
            "resection",
            "extent_of_resection",
            ("resection", "resectionstatus", "extentofresection", "eor", "resectionextent", "surgeryextent"),
            telling=("gtr", "gtrover90percent", "gtrstatus", "grosstotalresection"),
        ),
        Role(
            "kps",
            "kps",
            ("kps", "karnofsky", "karnofskyscore", "karnofskyperformancescore", "karnofskyperformancestatus"),
        ),
        Role(
            "survival_days",
            "survival_days",
            (
                *("survival", "os", "ostime", "overallsurvival", "overallsurvivaltime", "survivaltime"),
                *("survivalfromsurgery", "survivalfromdiagnosis", "overallsurvivalfromsurgery", "survivalfrombaseline"),
                *("timetodeathorlastfollowup", "overallsurvivalfromdiagnosis"),
            ),
            units=("days", "weeks", "months", "years"),
        ),
        Role(
            "died",
            "died",
            (),
            telling=(
                *("died", "dead", "death", "deceased", "event", "osevent", "deathevent", "status", "osstatus"),
                *("vitalstatus", "survivalstatus", "overallsurvivalstatus", "survivalevent", "deathstatus"),
                *("censored", "censor", "censoring", "iscensored", "alive", "livingstatus"),
            ),
            units=(MEANS_DEAD, MEANS_ALIVE),
        ),
    )
}
"""By name. The units of ``died`` are what a 1 means."""

_OTHER_IDS = ("id", "case", "caseid", "casename", "sample", "sampleid", "name", "studyid", "scanid")
"""Ids in a table that has none of the patient, in the order of preference."""
_ALIASES = re.compile(
    r"case|caseid|casename|sampleid|(brats|tcga|tcia|ucsfpdgm|upenngbm)+\d*(subject|patient|case)?(id)?"
)
_EVENT = r"(dead|died|death|deceased|event|alive|living|censored)"
_EVENT_PAIR = re.compile(rf"(?<!\d)[0-2]\s*[-:=]\s*{_EVENT}|{_EVENT}\s*[-:=]\s*[0-2](?!\d)", re.I)
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def role_of(header: str) -> tuple[Role, str | None] | None:
    """What a column of that name is, and the unit that the name says; None for one that is not known.

    Ids are left to :func:`is_patient`, :func:`other_id_rank` and :func:`is_alias`.
    """
    words = _words(header)
    whole = "".join(words)
    units = [_UNIT_WORDS[word] for word in words if word in _UNIT_WORDS]
    bare = "".join(word for word in words if word not in _UNIT_WORDS)
    for role in ROLES.values():
        if role is PATIENT:
            continue
        if whole in role.headers + role.telling:
            return role, None
        if len(units) == 1 and units[0] in role.units and bare in role.headers:
            return role, units[0]
    if _EVENT_PAIR.search(header):
        return ROLES["died"], None
    return None


def is_patient(header: str) -> bool:
    """Whether a column of that name holds ids of patients."""
    return "".join(_words(header)) in PATIENT.headers


def other_id_rank(header: str) -> int | None:
    """The place of a name among those of ids that may be a patient's; None if it is none of them."""
    whole = "".join(_words(header))
    return _OTHER_IDS.index(whole) if whole in _OTHER_IDS else None


def is_alias(header: str) -> bool:
    """Whether a column of that name holds the patients' ids in some collection, or their cases."""
    return _ALIASES.fullmatch("".join(_words(header))) is not None


def is_nameless(header: str) -> bool:
    """Whether a column has no name: nothing there, or a value that strayed into the first line."""
    return not header or _NUMBER.fullmatch(header) is not None


def clinical_name(header: str) -> str:
    """How the texts of a dataset's cases call a column: lower case, underscores, the years' spellings mapped.

    A header that says what the values mean, or that they have another unit, is kept.
    """
    found = role_of(header)
    if found is not None:
        role, unit = found
        if "".join(_words(header)) not in role.telling and role.name != "died" and unit in (None, *role.units[:1]):
            return role.text
    return re.sub(r"\W+", "_", header.strip().lower()).strip("_")


TEXT_NAMES = frozenset(role.text for role in ROLES.values() if role is not PATIENT)
"""The names that :func:`clinical_name` gives to columns that it knows."""


def _words(header: str) -> list[str]:
    """``ResectionStatus`` and ``Age at scan (years)`` in lower-case words."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", header)
    return re.findall(r"[^\W_]+", apart.lower())
