"""What predicting a study costs, measured with each configuration's own network on this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autobrats.dataset.cases import Dataset
from autobrats.devices import choose_device
from autobrats.ensembling.candidates import Candidate
from autobrats.ensembling.mixture import Mixture
from autobrats.files import read_json, write_json
from autobrats.inference.model_folder import Cost, write_model_folder
from autobrats.inference.predictor import Predictor
from autobrats.plan import Part, Plan
from autobrats.preprocessing.store import CaseStore
from autobrats.workspace import DatasetFolder

MOST_PREDICTIONS, MEASURED_FOR_S = 4, 30.0
"""Timed predictions of a network, and the seconds after which no other is begun."""


@dataclass(frozen=True)
class NetworkCost:
    """Of one network and one study of the middle size.

    Attributes:
        seconds: of the network.
        preparing_seconds: of reading and preprocessing, once for all networks.
        memory_gib: the estimated peak.
    """

    seconds: float
    preparing_seconds: float
    memory_gib: float


class PredictionCosts:
    """Costs by configuration; those of weights that were measured before on this device are not measured again.

    Args:
        folder, dataset, plan: of the runs.
        candidates: trained configurations.
        device: where predictions will run; None for the best there is.
    """

    def __init__(
        self,
        folder: DatasetFolder,
        dataset: Dataset,
        plan: Plan,
        candidates: Sequence[Candidate],
        device: str | None = None,
    ) -> None:
        self.device = str(choose_device(device))
        self._dataset, self._plan, self._wanted = dataset, plan, device
        self.candidates = {candidate.configuration: candidate for candidate in candidates}
        path = folder.tuning / "costs.json"
        known = read_json(path) if path.is_file() else {}
        self._costs: dict[str, NetworkCost] = {}
        self._name = name = _middle_case(dataset, CaseStore(folder.preprocessed))
        for candidate in candidates:
            facts = candidate.networks[0].weights.stat()
            key = f"{candidate.configuration} {facts.st_size} {facts.st_mtime_ns} {self.device} {name}"
            if key not in known:
                known[key] = vars(_measure(dataset, plan, candidate, name, device))
            self._costs[candidate.configuration] = NetworkCost(**known[key])
        write_json(path, known)

    def of(self, mixture: Mixture, most_folds: int | None = None, postprocessing: Sequence[Part] = ()) -> Cost:
        """The cost of a mixture with so many folds of each configuration, and with steps on their combination."""
        networks = mixture.networks(self.candidates, most_folds)
        own = [self._costs[network.configuration] for network in networks]
        seconds = max(cost.preparing_seconds for cost in own) + sum(cost.seconds for cost in own)
        if postprocessing:
            first = mixture.configurations[0]
            with_steps = _measure(
                self._dataset, self._plan, self.candidates[first], self._name, self._wanted, postprocessing
            )
            seconds += max(0.0, with_steps.seconds - self._costs[first].seconds)
        return Cost(
            seconds_per_case=round(seconds, 3),
            memory_gib=round(max(cost.memory_gib for cost in own), 2),
            device=self.device,
        )

    def folds_within(self, mixture: Mixture, seconds: float | None) -> int | None:
        """How many folds of each configuration can be afforded; None for all, 0 for none."""
        if seconds is None or self.of(mixture).seconds_per_case <= seconds:
            return None
        if mixture.by_fold:
            return 0
        most = max(len(self.candidates[name].networks) for name in mixture.configurations)
        affordable = (folds for folds in range(most, 0, -1) if self.of(mixture, folds).seconds_per_case <= seconds)
        return next(affordable, 0)


def _middle_case(dataset: Dataset, store: CaseStore) -> str:
    """The case whose grid has the median size."""
    sizes: Mapping[str, int] = {
        case.name: z * y * x for case in dataset.cases for z, y, x in [store.properties(case.name).placement.shape]
    }
    return sorted(sizes, key=lambda name: (sizes[name], name))[len(sizes) // 2]


def _measure(
    dataset: Dataset,
    plan: Plan,
    candidate: Candidate,
    name: str,
    device: str | None,
    postprocessing: Sequence[Part] = (),
) -> NetworkCost:
    """The fastest of several predictions: the first ones warm up, and find out which backend is fastest."""
    with tempfile.TemporaryDirectory() as temporary:
        write_model_folder(Path(temporary) / "model", plan, candidate.networks[:1], postprocessing=postprocessing)
        predictor = Predictor.load(Path(temporary) / "model", device=device)
        case = dataset.case(name)
        predictor.predict(case)
        study = predictor.prepare(case)
        seconds: list[float] = []
        while not seconds or (len(seconds) < MOST_PREDICTIONS and sum(seconds) < MEASURED_FOR_S):
            seconds.append(predictor.predict_prepared(study).seconds - study.seconds)
        return NetworkCost(
            seconds=round(min(seconds), 4),
            preparing_seconds=round(study.seconds, 4),
            memory_gib=round(predictor.memory_gib(study.prepared.placement.shape), 3),
        )
