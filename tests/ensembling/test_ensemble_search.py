"""The search for the best mixture, and that its scores are those of the predictions themselves."""

from __future__ import annotations

import numpy as np
import pytest
from predicted_runs import Quality, copy_planned, finish_runs, reference_of

from autobrats.dataset.cases import Dataset
from autobrats.ensembling.candidates import Candidate, collect_candidates
from autobrats.ensembling.ensemble_search import EnsembleSearch
from autobrats.ensembling.expected_scores import ChosenPrediction, chosen_labels, score_chosen
from autobrats.ensembling.mixture import Mixture
from autobrats.ensembling.out_of_fold_source import OutOfFoldSource, out_of_fold_source
from autobrats.evaluation.cases import score_case
from autobrats.evaluation.probability_file import read_probabilities, to_volume
from autobrats.files import read_json, read_model
from autobrats.inference.combination import Combination
from autobrats.plan import Plan
from autobrats.training.run_directory import RunDirectory
from autobrats.tuning.tuning_case import default_choice
from autobrats.workspace import DatasetFolder

LEFT, RIGHT, POOR = "3d_left", "3d_right", "3d_poor"


class Workplace:
    """Two configurations of which each is blind where the other sees, and a poor one."""

    def __init__(self, folder: DatasetFolder) -> None:
        self.folder = folder
        self.plan, self.dataset = read_model(folder.plan_file, Plan), read_model(folder.dataset_file, Dataset)
        splits = read_json(folder.splits_file)
        self.folds = {name: fold for fold, split in enumerate(splits) for name in split["val"]}
        self.candidates = collect_candidates(folder, self.plan, len(splits))

    @property
    def by_name(self) -> dict[str, Candidate]:
        return {candidate.configuration: candidate for candidate in self.candidates}

    def search(self) -> EnsembleSearch:
        return EnsembleSearch(self.folder, self.dataset, self.plan, self.candidates, self.folds)

    def source(self, mixture: Mixture) -> OutOfFoldSource:
        return out_of_fold_source(self.folder, self.dataset, self.plan, mixture, self.folds)


@pytest.fixture(scope="module")
def workplace(planned: DatasetFolder, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = copy_planned(planned, tmp_path_factory.mktemp("ensembles"), (LEFT, RIGHT, POOR))
    finish_runs(
        folder, {LEFT: Quality(blind="left"), RIGHT: Quality(blind="right"), POOR: Quality(shift=-3.0, noise=1.5)}
    )
    return Workplace(folder)


def test_greedy_selection_finds_the_pair_that_complements_itself(workplace: Workplace) -> None:
    search = workplace.search()
    names = list(search.folds)
    steps = search.choose(names)
    assert steps[0].mixture == Mixture.of(LEFT, RIGHT) and steps[0].how == "greedy"
    singles = {step.mixture.label: step.dice for step in steps if step.how == "single"}
    assert set(singles) == {LEFT, RIGHT, POOR} and steps[0].dice > max(singles.values()) + 0.1
    assert [step.dice for step in steps] == sorted((step.dice for step in steps), reverse=True)
    assert {"single", "greedy", "all alike", "majority", "staple"} <= {step.how for step in steps}
    assert len({step.mixture for step in steps}) == len(steps)


def test_only_the_cases_that_are_given_are_looked_at(workplace: Workplace) -> None:
    search = workplace.search()
    some = list(search.folds)[:4]
    for step in search.choose(some):
        assert step.dice == pytest.approx(np.mean([search.dice(step.mixture, [name]) for name in some]))


@pytest.mark.parametrize(
    "mixture",
    [
        Mixture.of(LEFT),
        Mixture.of(LEFT, RIGHT),
        Mixture(((LEFT, 2.0), (POOR, 1.0))),
        Mixture.of(LEFT, RIGHT, POOR, combination="majority"),
        Mixture.of(LEFT, RIGHT, POOR, combination="staple"),
        Mixture(((LEFT, 1.0), (RIGHT, 1.0)), by_fold=((0, RIGHT), (1, LEFT), (2, RIGHT))),
    ],
    ids=lambda mixture: mixture.label,
)
def test_compact_dice_is_that_of_the_whole_volumes(workplace: Workplace, mixture: Mixture) -> None:
    search, source = workplace.search(), workplace.source(mixture)
    convention = workplace.plan.convention
    chosen = ChosenPrediction(source, default_choice(convention), None)
    for name in workplace.folds:
        scores = score_case(
            chosen_labels(name, chosen), source.reference(name), convention, source.load(name).spacing_mm
        )
        assert search.dice(mixture, [name]) == pytest.approx(np.mean([of["dice"] for of in scores.values()]), abs=1e-9)


def test_best_by_fold_takes_each_fold_s_own_best(workplace: Workplace) -> None:
    search = workplace.search()
    names = list(search.folds)
    expected = []
    for fold in range(3):
        own = [name for name in names if search.folds[name] == fold]
        expected.append((fold, max((LEFT, RIGHT, POOR), key=lambda of: search.dice(Mixture.of(of), own))))
    steps = [step for step in search.choose(names) if step.how == "best by fold"]
    assert len({name for _, name in expected}) > 1, "the test needs folds that differ"
    assert [step.mixture.by_fold for step in steps] == [tuple(expected)]
    mixture = steps[0].mixture
    networks = mixture.networks(workplace.by_name)
    assert [(network.fold, network.configuration) for network in networks] == expected
    assert mixture.label == "best configuration of every fold" and not mixture.is_single


def test_what_cannot_be_afforded_is_not_considered(workplace: Workplace) -> None:
    search = workplace.search()
    steps = search.choose(list(search.folds), affordable=lambda mixture: mixture.is_single)
    assert {step.how for step in steps} == {"single"} and len(steps) == 3
    assert search.choose(list(search.folds), affordable=lambda mixture: False) == []
    steps = search.choose(list(search.folds), affordable=lambda mixture: LEFT not in mixture.configurations)
    assert all(LEFT not in step.mixture.configurations for step in steps)


@pytest.mark.parametrize("how", ["mean", "majority", "staple"])
def test_a_source_combines_as_a_model_does(workplace: Workplace, how: Combination) -> None:
    """Every case by the networks of its own fold; the reference is the case's own mask."""
    source = workplace.source(Mixture.of(LEFT, RIGHT, combination=how))
    for name, fold in workplace.folds.items():
        loaded = source.load(name)
        files = [RunDirectory(workplace.folder.run(of, fold)).probability_file(name) for of in (LEFT, RIGHT)]
        one, other = (to_volume(*read_probabilities(file)) for file in files)
        found = loaded.variants["unchanged"]
        assert found.shape == one.shape and found.dtype == np.uint8
        if how == "mean":
            assert np.abs(found - (one.astype(float) + other) / 2).max() <= 0.5
        assert np.array_equal(loaded.reference, reference_of(workplace.dataset, name))
        case = workplace.dataset.case(name)
        assert source.patients[name] == case.patient


def test_a_source_s_key_changes_with_weights_combination_and_files(workplace: Workplace) -> None:
    pair = Mixture.of(LEFT, RIGHT)
    keys = [
        workplace.source(of).key
        for of in (
            pair,
            Mixture(((LEFT, 2.0), (RIGHT, 1.0))),
            Mixture.of(LEFT),
            Mixture.of(LEFT, RIGHT, combination="majority"),
        )
    ]
    assert len(set(keys)) == 4 and workplace.source(pair).key == keys[0]
    assert workplace.source(pair).only(next(iter(workplace.folds))).key != keys[0]


def test_cases_that_were_not_predicted_are_left_out(workplace: Workplace) -> None:
    folds = {**workplace.folds, next(iter(workplace.folds)): 9}
    source = out_of_fold_source(workplace.folder, workplace.dataset, workplace.plan, Mixture.of(LEFT, RIGHT), folds)
    assert set(source.files) == set(list(folds)[1:])


def test_scores_of_the_default_are_those_of_the_validation(workplace: Workplace) -> None:
    source = workplace.source(Mixture.of(LEFT))
    default = default_choice(workplace.plan.convention)
    chosen = {name: ChosenPrediction(source, default, fold) for name, fold in workplace.folds.items()}
    told: list[tuple[int, int]] = []
    scored = score_chosen(chosen, workers=0, on_progress=lambda done, total: told.append((done, total)))
    metrics = workplace.by_name[LEFT].metrics
    assert metrics is not None and scored == metrics.cases and list(scored) == list(chosen)
    assert told[-1] == (len(chosen), len(chosen))
