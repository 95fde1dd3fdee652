"""What is known of one patient beside the images."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Resection = Literal["GTR", "STR", "biopsy"]


@dataclass(frozen=True)
class ClinicalRecord:
    """Clinical data of a patient; None where a value is not known.

    Attributes:
        patient: the id as the table has it.
        age_years: at the scan, in years.
        male: the sex.
        grade: of the WHO, 2 to 4.
        idh_mutated: whether IDH1 or IDH2 is mutated.
        mgmt_methylated: whether the promoter of MGMT is methylated.
        codeleted_1p19q: whether 1p and 19q are both deleted.
        resection: gross total, subtotal, or a biopsy only.
        kps: Karnofsky performance status, 10 to 100.
        survival_days: above 0: to death, or to the day the patient was last seen alive.
        died: True if the patient died on that day, False if censored there.
        aliases: other ids of the same patient.
    """

    patient: str
    age_years: float | None = None
    male: bool | None = None
    grade: int | None = None
    idh_mutated: bool | None = None
    mgmt_methylated: bool | None = None
    codeleted_1p19q: bool | None = None
    resection: Resection | None = None
    kps: float | None = None
    survival_days: float | None = None
    died: bool | None = None
    aliases: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id of the patient, the table's own first."""
        return (self.patient, *self.aliases)

    @property
    def has_survival(self) -> bool:
        """Whether both the time and what happened then are known."""
        return self.survival_days is not None and self.died is not None


VALUES = tuple(field.name for field in fields(ClinicalRecord) if field.name not in ("patient", "aliases"))
"""The names of a record's values, its ids left out."""
