"""The choice of a model: nested, within its cost, and without the patients of a race."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from predicted_runs import TOGETHER, Quality, copy_planned, finish_run, finish_runs

from autobrats.dataset.cases import Dataset
from autobrats.ensembling.candidates import collect_candidates
from autobrats.ensembling.cost import PredictionCosts
from autobrats.ensembling.ensemble_search import EnsembleSearch
from autobrats.ensembling.mixture import Mixture
from autobrats.ensembling.model_search import ModelChoice, ModelSearch, ModelSearchOptions
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import Metrics
from autobrats.evaluation.patient_groups import patient_groups
from autobrats.files import read_json, read_model
from autobrats.plan import Plan
from autobrats.tuning.postprocessing_tuning import TuningOptions
from autobrats.tuning.tuning_case import default_choice
from autobrats.workspace import DatasetFolder

LEFT, RIGHT, GOOD = "3d_left", "3d_right", "3d_good"
PAIR = {LEFT: Quality(blind="left"), RIGHT: Quality(blind="right")}


@contextmanager
def silent(title: str):
    yield lambda done, total: None


def search(folder: DatasetFolder, *configurations: str, trials: int = 0, **options) -> ModelSearch:
    plan, dataset = read_model(folder.plan_file, Plan), read_model(folder.dataset_file, Dataset)
    trained = [of for of in collect_candidates(folder, plan, 3, configurations) if of.is_trained]
    tuning = TuningOptions(trials=trials, workers=0)
    return ModelSearch(folder, dataset, plan, trained, ModelSearchOptions(tuning=tuning, **options), silent)


def mean_dice(metrics: Metrics | None) -> float:
    assert metrics is not None and metrics.mean_dice.mean is not None
    return metrics.mean_dice.mean


@pytest.fixture(scope="module")
def pair(planned: DatasetFolder, tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    folder = copy_planned(planned, tmp_path_factory.mktemp("pair"), (LEFT, RIGHT))
    finish_runs(folder, PAIR)
    return folder


@pytest.fixture(scope="module")
def chosen(pair: DatasetFolder) -> ModelChoice:
    return search(pair).run()


def test_the_pair_is_chosen_with_all_its_networks(chosen: ModelChoice) -> None:
    assert chosen.mixture == Mixture.of(LEFT, RIGHT) == chosen.steps[0].mixture
    assert sorted((of.configuration, of.fold) for of in chosen.networks) == [
        (name, fold) for name in (LEFT, RIGHT) for fold in range(3)
    ]
    assert chosen.postprocessing == [] and chosen.tuning is None and chosen.notes == []
    assert chosen.best_single is not None and chosen.best_single[0] in (LEFT, RIGHT)
    assert mean_dice(chosen.untuned) > mean_dice(chosen.best_single[1]) + 0.05
    assert [of.other for of in chosen.differences] == list(chosen.compared) and chosen.differences[0].is_clear


def test_the_expected_scores_are_nested_over_the_choice(pair: DatasetFolder, chosen: ModelChoice) -> None:
    """Every case is predicted by the mixture that was best without its group; a patient is in one group."""
    dataset, plan = read_model(pair.dataset_file, Dataset), read_model(pair.plan_file, Plan)
    folds = {name: fold for fold, split in enumerate(read_json(pair.splits_file)) for name in split["val"]}
    groups = patient_groups({name: dataset.case(name).patient for name in sorted(folds)})
    together = [case.name for case in dataset.cases[:TOGETHER]]
    assert len({groups[name] for name in together}) == 1
    ensembles = EnsembleSearch(pair, dataset, plan, collect_candidates(pair, plan, 3), folds)
    assert chosen.expected is not None and set(chosen.expected.cases) == set(folds) == set(chosen.predictions)
    for name, prediction in chosen.predictions.items():
        best = ensembles.choose([other for other in ensembles.folds if groups[other] != groups[name]])[0].mixture
        files = [file.parts[-5] for file, _ in prediction.source.files[name]]
        assert files == [configuration for configuration, _ in best.of_fold(folds[name])]
        assert prediction.fold == folds[name] and prediction.choice == default_choice(plan.convention)
        scores = chosen.expected.cases[name].mean_dice
        assert scores == pytest.approx(ensembles.dice(best, [name]), abs=1e-9)


def test_costs_decide_what_is_taken(pair: DatasetFolder) -> None:
    plan, dataset = read_model(pair.plan_file, Plan), read_model(pair.dataset_file, Dataset)
    candidates = collect_candidates(pair, plan, 3)
    costs = PredictionCosts(pair, dataset, plan, candidates, "cpu")
    single, both = Mixture.of(LEFT), Mixture.of(LEFT, RIGHT)
    one, all_folds = costs.of(single, 1), costs.of(single)
    assert 0 < one.seconds_per_case < all_folds.seconds_per_case < costs.of(both).seconds_per_case
    assert one.device == "cpu" and one.memory_gib > 0
    assert costs.folds_within(both, None) is None and costs.folds_within(both, 1e6) is None
    assert costs.folds_within(both, 1e-6) == 0
    assert costs.folds_within(both, costs.of(both, 2).seconds_per_case) == 2
    by_fold = Mixture(((LEFT, 1.0), (RIGHT, 1.0)), by_fold=((0, LEFT), (1, RIGHT), (2, LEFT)))
    assert costs.folds_within(by_fold, costs.of(by_fold).seconds_per_case / 2) == 0
    before = read_json(pair.tuning / "costs.json")
    PredictionCosts(pair, dataset, plan, candidates, "cpu")
    assert read_json(pair.tuning / "costs.json") == before  # measured once


def test_a_time_limit_takes_fewer_folds_or_cheaper_models(pair: DatasetFolder, chosen: ModelChoice) -> None:
    assert chosen.costs is not None
    two_networks = chosen.costs.of(chosen.mixture, 1).seconds_per_case
    choice = search(pair, max_seconds_per_case=two_networks).run()
    assert choice.mixture == Mixture.of(LEFT, RIGHT) and len(choice.networks) == 2
    assert choice.cost is not None and choice.cost.seconds_per_case <= two_networks
    single = chosen.costs.of(Mixture.of(LEFT), 1).seconds_per_case
    other = chosen.costs.of(Mixture.of(RIGHT), 1).seconds_per_case
    choice = search(pair, max_seconds_per_case=max(single, other)).run()
    assert choice.mixture.is_single and len(choice.networks) == 1
    for configurations, options in (((), {}), ((LEFT,), {}), ((), {"together": True})):
        with pytest.raises(
            UserError, match=r"No model predicts a study in 1e-06 s; the fastest takes .* --max-seconds"
        ):
            search(pair, *configurations, max_seconds_per_case=1e-6, **options).run()


def test_patients_of_a_race_are_left_out_of_what_is_expected(pair: DatasetFolder, chosen: ModelChoice) -> None:
    choice = search(pair, race_fold=1).run()
    assert choice.expected is not None and choice.expected.folds == [0, 2]
    assert chosen.expected is not None and choice.expected.cases == {
        name: case for name, case in chosen.expected.cases.items() if case.fold != 1
    }
    assert choice.notes == [
        "Fold 1 chose the configurations in a race; the expected scores are those of the other folds."
    ]


def test_a_single_configuration_is_expected_to_do_what_it_did(pair: DatasetFolder) -> None:
    choice = search(pair, LEFT).run()
    assert choice.mixture == Mixture.of(LEFT) and choice.steps == [] and choice.differences == []
    (metrics,) = choice.compared.values()
    assert choice.expected is not None and choice.expected.cases == metrics.cases
    assert choice.expected.mean_dice == metrics.mean_dice


def test_together_takes_all_alike_whatever_their_scores(planned: DatasetFolder, tmp_path: Path) -> None:
    folder = copy_planned(planned, tmp_path, (LEFT, GOOD))
    finish_runs(folder, {LEFT: Quality(shift=-4.0), GOOD: Quality()}, folds=(0, 1))
    choice = search(folder, together=True).run()
    assert choice.mixture == Mixture.of(LEFT, GOOD) and len(choice.networks) == 4
    assert choice.untuned is not None and choice.expected is not None
    assert choice.untuned.cases == choice.expected.cases  # nothing was chosen
    with pytest.raises(UserError, match="at least two"):
        search(folder, GOOD, together=True).run()
    finish_run(folder, GOOD, 2)
    with pytest.raises(UserError, match=r"3d_left has 0, 1, 3d_good has 0, 1, 2"):
        search(folder, together=True).run()


def test_folds_that_only_one_has_are_noted_and_still_tell_of_the_winner(planned: DatasetFolder, tmp_path: Path) -> None:
    folder = copy_planned(planned, tmp_path, (LEFT, GOOD))
    finish_runs(folder, {GOOD: Quality()})
    finish_runs(folder, {LEFT: Quality(shift=-4.0)}, folds=(0,))
    choice = search(folder).run()
    common = read_json(folder.splits_file)[0]["val"]
    assert choice.notes == [
        f"The configurations are compared on the {len(common)} cases that all of them have predicted."
    ]
    assert all(set(of.cases) == set(common) for of in choice.compared.values())
    assert choice.mixture.configurations[0] == GOOD or GOOD in choice.mixture.configurations


def test_without_common_cases_it_says_so(planned: DatasetFolder, tmp_path: Path) -> None:
    folder = copy_planned(planned, tmp_path, (LEFT, GOOD))
    finish_run(folder, LEFT, 0, Quality(shift=-4.0))
    finish_run(folder, GOOD, 1)
    choice = search(folder).run()
    assert choice.mixture == Mixture.of(GOOD) and "hardly be compared" in choice.notes[0]


def test_fold_all_alone_promises_nothing(planned: DatasetFolder, tmp_path: Path) -> None:
    folder = copy_planned(planned, tmp_path, (GOOD,))
    finish_run(folder, GOOD, "all")
    choice = search(folder, trials=5).run()
    assert [of.fold for of in choice.networks] == ["all"]
    assert choice.expected is None and choice.cost is None and "no validation" in choice.notes[0]


def test_scored_configurations_go_before_unscored_ones(planned: DatasetFolder, tmp_path: Path) -> None:
    folder = copy_planned(planned, tmp_path, (LEFT, GOOD))
    finish_run(folder, GOOD, "all")
    finish_run(folder, LEFT, 0, Quality(shift=-4.0))
    assert search(folder).run().mixture == Mixture.of(LEFT)


def test_nothing_trained_is_an_error(planned: DatasetFolder) -> None:
    plan, dataset = read_model(planned.plan_file, Plan), read_model(planned.dataset_file, Dataset)
    with pytest.raises(ValueError, match="no candidate is trained"):
        ModelSearch(planned, dataset, plan, [], ModelSearchOptions(), silent)


def test_tuned_rules_are_expected_and_become_the_model_s(planned: DatasetFolder, tmp_path: Path) -> None:
    folder = copy_planned(planned, tmp_path, (GOOD,))
    finish_runs(folder, {GOOD: Quality(false_et=6)})
    choice = search(folder, trials=10).run()
    assert choice.tuning is not None and choice.tuning.applied
    assert choice.postprocessing[-1].name == "region_rules"
    assert choice.expected is not None and choice.untuned is not None
    assert mean_dice(choice.expected) > mean_dice(choice.untuned) + 0.02
    gain = choice.tuning.gain
    expected = {region: summary["dice"].mean for region, summary in choice.expected.summary.items()}
    assert expected == pytest.approx(gain.chosen_dice, abs=1e-9)
    assert np.mean(list(gain.chosen_hd95.values())) < np.mean(list(gain.default_hd95.values()))


def test_too_few_patients_are_not_tuned_on(planned: DatasetFolder, tmp_path: Path) -> None:
    folder = copy_planned(planned, tmp_path, (GOOD,))
    finish_runs(folder, {GOOD: Quality(false_et=6)}, folds=(0, 1))
    choice = search(folder, trials=10).run()
    assert choice.tuning is None and choice.postprocessing == []
    assert choice.notes == ["Postprocessing is not tuned on 7 patients: at least 8 are needed."]
