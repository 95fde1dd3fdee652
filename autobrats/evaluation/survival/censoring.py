"""Who was lost from sight when: the weights that stand in for censored patients, and until when they can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autobrats.evaluation.survival.kaplan_meier import followed_at

LEAST_FOLLOWED = 0.1
"""Beyond the day until which this share would be followed, few patients would stand in for many."""


@dataclass(frozen=True)
class Censoring:
    """The distribution of censoring (Kaplan-Meier), taken to be the same for all patients.

    Attributes:
        days, died: of the scored patients, shape (patient,).
        training: days and died of the patients whose follow-up tells how censoring is distributed; None takes the scored
            patients, anew in each resample.
    """

    days: np.ndarray
    died: np.ndarray
    training: tuple[np.ndarray, np.ndarray] | None = None

    @cached_property
    def horizon_days(self) -> float:
        """The last day that weighted metrics look at.

        It is the last on which at least a tenth of the patients would still be followed if nobody died, within the
        follow-up of the scored patients and of those that the distribution is estimated from.
        """
        days, died = self._source
        known = np.unique(days)
        trusted = followed_at(days, died, known)[0] > LEAST_FOLLOWED - 1e-9
        last = known[trusted][-1] if trusted.any() else 0.0
        return float(min(last, np.max(self.days)))

    def followed(self, at: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """The share that would be followed on given days: shape (resample, at), or (1, at) if it is from training.

        Args:
            at: days, shape (at,).
            draws: how often each scored patient is in each resample, shape (resample, patient).
        """
        return followed_at(*self._source, at, draws if self.training is None else None)

    def death_weights(self, draws: np.ndarray) -> np.ndarray:
        """How many patients each death stands for: 1 / followed on its day, as :meth:`followed` for each patient.

        Zero for who is censored and for deaths after the horizon.
        """
        counted = self.died & (self.days <= self.horizon_days)
        return np.where(counted, _inverse(self.followed(self.days, draws)), 0.0)

    def survivor_weights(self, at: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """How many patients each patient stands for who is observed beyond a day; as :meth:`followed`."""
        return _inverse(self.followed(at, draws))

    @property
    def _source(self) -> tuple[np.ndarray, np.ndarray]:
        return self.training if self.training is not None else (self.days, self.died)


def _inverse(shares: np.ndarray) -> np.ndarray:
    return np.divide(1.0, shares, out=np.zeros_like(shares), where=shares > 0)
