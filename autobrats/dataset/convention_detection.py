"""Which convention a dataset's masks follow: the evidence of names and of the integers in the masks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from autobrats.dataset.conventions import Convention
from autobrats.dataset.known_conventions import KNOWN, convention_named

_NAMES = (
    (re.compile(r"^BraTS-PEDs?-", re.I), "brats_ped", "the paediatric task"),
    (re.compile(r"^BraTS-MEN-RT-", re.I), "plain", "the meningioma radiotherapy task"),
    # Time points from 100 on are post-treatment, and so are the patients that were new in 2024 (from 02000 on).
    (re.compile(r"^BraTS-(GLI|MET)-\d+-[1-9]\d\d$", re.I), "brats2024", "post-treatment studies of 2024 and 2025"),
    (re.compile(r"^BraTS-GLI-0*[2-9]\d{3}-", re.I), "brats2024", "post-treatment studies of 2024 and 2025"),
    (re.compile(r"^BraTS-[A-Za-z]+-\d", re.I), "brats2023", "BraTS 2023"),
    (re.compile(r"^BraTS(17|18|19|20|2021)_", re.I), "brats2017", "BraTS 2017 to 2022"),
    (re.compile(r"^(brats_(2013|tcia)_|VSD\.Brain|.*_HG_|.*_LG_)", re.I), "brats2012", "BraTS 2012 to 2016"),
)
_OLD_SPELLINGS = {"t1", "t1ce", "flair"}
_NEW_SPELLINGS = {"t1n", "t2f", "t2w"}


def detect_convention(
    case_names: Sequence[str], spellings: set[str], values: Mapping[str, set[int]], folder: str = ""
) -> tuple[Convention, str]:
    """The convention of glioma masks and a sentence of the evidence for it.

    Names (ids of a year or task) propose, the integers found in the masks decide where they contradict.

    Args:
        case_names: of all cases.
        spellings: of the modalities in the file names, lower case (``t1ce``, ``t2f``, ...).
        values: by case, the integers in its mask; of all cases or of a sample.
        folder: the dataset's folder, whose name may hold a year.
    """
    found = set().union(*values.values()) - {0}
    seen = f"labels {_listed(found)} in {len(values)} mask{'s' * (len(values) != 1)}" if values else "no mask was read"
    proposed, reason = _from_names(case_names, folder)
    if proposed is None:
        return _from_values(found, spellings, seen)
    if proposed == "plain":
        return convention_named("plain", found or {1}), f"{reason}; {seen}"
    if proposed == "brats2023" and {3, 4} <= found and found <= {1, 2, 3, 4}:
        return KNOWN["brats2024"], f"{reason}, and label 4 (resection cavity) beside 3: {seen}"
    if proposed == "brats_ped" and "2023" in folder and 4 not in found:
        return KNOWN["brats2023"], f"{reason}, of 2023, when they had the labels of 2023: {seen}"
    expected = set(KNOWN[proposed].labels.values())
    if found <= expected:
        return KNOWN[proposed], f"{reason}; {seen} {'agree' if values else ''}".rstrip()
    if found <= {1, 2, 4} or found <= {1, 2, 3}:
        better = "brats2017" if 4 in found else "brats2023"
        return KNOWN[better], f"{reason}, but the masks contradict the names: {seen} are those of {better}"
    return KNOWN[proposed], f"{reason}; {seen}: {_listed(found - expected)} unexpected"


def conventions_of_names(case_names: Sequence[str]) -> dict[str, list[str]]:
    """The cases by the convention that their names propose; 2023 and 2024 of one task count as 2024."""
    proposed: dict[str, list[str]] = {}
    for name in case_names:
        for pattern, convention, _ in _NAMES:
            if pattern.search(name):
                proposed.setdefault(convention, []).append(name)
                break
    if "brats2024" in proposed:
        proposed["brats2024"] += proposed.pop("brats2023", [])
    return proposed


def _from_names(case_names: Sequence[str], folder: str) -> tuple[str | None, str]:
    """The convention that the majority of the names propose, and why."""
    votes: dict[tuple[str, str], list[str]] = {}
    for name in case_names:
        for pattern, convention, what in _NAMES:
            if pattern.search(name):
                votes.setdefault((convention, what), []).append(name)
                break
    if votes:
        convention, what = max(votes, key=lambda vote: len(votes[vote]))
        if ("brats2024", _NAMES[2][2]) in votes:
            convention, what = "brats2024", _NAMES[2][2]
        return convention, f"names like {votes[convention, what][0]} are those of {what}"
    year = re.search(r"brats\D{0,3}(20\d\d)", folder, re.I)
    if year and 2012 <= int(year[1]) <= 2025:
        convention = "brats2023" if year[1] == "2023" else convention_named(f"brats{year[1]}").name
        return convention, f"the folder is named {folder}"
    return None, ""


def _from_values(found: set[int], spellings: set[str], seen: str) -> tuple[Convention, str]:
    """The convention that fits the integers; the spelling of the modalities decides where several do."""
    newer = len(spellings & _NEW_SPELLINGS) > len(spellings & _OLD_SPELLINGS)
    spelled = f"the modalities are spelled as {'since 2023' if newer else 'before 2023'}"
    if not found or found == {2} or found == {1, 2}:
        name = "brats2023" if newer else "brats2017"
        return KNOWN[name], f"{spelled}; {seen}"
    if found == {1}:
        return convention_named("plain", found), f"{seen}: a single label"
    if found <= {1, 2, 4}:
        return KNOWN["brats2017"], f"{seen}: without 3, 4 is the enhancing tumour"
    if 3 in found and found <= {1, 2, 3}:
        return KNOWN["brats2023"], f"{seen}: without 4, 3 is the enhancing tumour"
    if found <= {1, 2, 3, 4}:
        name = "brats2024" if newer else "brats2012"
        others = "brats2012, brats2024 and brats_ped"
        return KNOWN[name], f"{seen} fit {others}; {spelled}: say --convention if this is another"
    return convention_named("plain", found), f"{seen} fit no BraTS convention: each label is its own region"


def _listed(values: set[int]) -> str:
    return ", ".join(map(str, sorted(values))) or "none"
