"""Variants of the probabilities, and that a model predicts what was tuned on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import tiny_configuration, write_tiny_workspace
from training_runs import CPU

from autobrats.dataset.cases import Dataset
from autobrats.dataset.volumes import read_volume
from autobrats.ensembling.candidates import collect_candidates
from autobrats.ensembling.expected_scores import ChosenPrediction, chosen_labels
from autobrats.ensembling.mixture import Mixture
from autobrats.ensembling.out_of_fold_source import OutOfFoldSource, out_of_fold_source
from autobrats.ensembling.variants import CRF_VARIANTS, GATE_THRESHOLDS, Variant, variants_of, with_variants
from autobrats.evaluation.probability_file import read_probabilities
from autobrats.files import read_json, read_model, write_json
from autobrats.inference.model_folder import write_model_folder
from autobrats.inference.predictor import Predictor
from autobrats.plan import Part, Plan
from autobrats.postprocessing.region_rules import RegionRule
from autobrats.preprocessing.dataset import preprocess_dataset
from autobrats.preprocessing.store import CaseStore
from autobrats.training.cross_validation import train_folds
from autobrats.training.run_directory import RunDirectory
from autobrats.tuning.search_space import UNCHANGED, PostprocessingChoice, SearchSpace
from autobrats.workspace import DatasetFolder

PLAIN, GATED = "3d_fullres", "3d_fullres_gated"
GATED_VALUES = {
    "network": Part(
        name="bifpn",
        options={
            "encoder_channels": [4, 8],
            "features": 8,
            "bifpn_layers": 1,
            "classifier_features": 4,
            "lstm_layers": 1,
        },
    ),
    "loss": Part(name="classification_branch"),
    "postprocessing": [Part(name="slice_gate", options={"threshold": 0.5}), Part(name="components")],
}


class Trained:
    """Fold 0 of a plain configuration, and of one with a slice gate; the networks know next to nothing."""

    def __init__(self, folder: DatasetFolder) -> None:
        self.folder = folder
        self.plan, self.dataset = read_model(folder.plan_file, Plan), read_model(folder.dataset_file, Dataset)
        self.names: list[str] = read_json(folder.splits_file)[0]["val"]
        self.folds = dict.fromkeys(self.names, 0)
        self.candidates = {of.configuration: of for of in collect_candidates(folder, self.plan, 3)}

    def source(self, mixture: Mixture) -> OutOfFoldSource:
        return out_of_fold_source(self.folder, self.dataset, self.plan, mixture, self.folds)

    def with_variants(self, mixture: Mixture, variants: list[Variant], **options) -> OutOfFoldSource:
        source = self.source(mixture)
        return with_variants(source, mixture, self.folds, self.folder, self.plan, variants, workers=0, **options)

    def model(self, path: Path, mixture: Mixture, variant: Variant, parts: Sequence[Part] = ()) -> Predictor:
        """The model of a mixture, which has only the networks of fold 0."""
        write_model_folder(
            path,
            variant.plan(self.plan),
            mixture.networks(self.candidates),
            combination=mixture.combination,
            postprocessing=[*variant.parts(), *parts],
        )
        return Predictor.load(path, device="cpu", backend="torch")


def train_both(folder: DatasetFolder) -> Trained:
    plan = read_model(folder.plan_file, Plan)
    plan.configurations[GATED] = tiny_configuration(plan.modalities, "regions", **GATED_VALUES)
    write_json(folder.plan_file, plan)
    for name in (PLAIN, GATED):
        train_folds(folder, name, ["0"], CPU)
    return Trained(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return train_both(write_tiny_workspace(tmp_path_factory.mktemp("variants")))


def middling(trained: Trained, source: OutOfFoldSource, variant: str = UNCHANGED) -> PostprocessingChoice:
    """Rules that take something away, and leave something, of what untrained networks predict."""
    levels = np.concatenate([source.load(name).variants[variant].reshape(3, -1) for name in trained.names], axis=1)
    rules = []
    for row in levels:
        threshold = float(np.clip(np.quantile(row[row > 0], 0.7) / 255, 0.2, 0.8).round(2))
        rules.append(RegionRule(threshold=threshold, min_component_mm3=1600.0, fill_holes="after"))
    return PostprocessingChoice(tuple(rules), "clip", variant)


def test_the_validation_keeps_every_stage(trained: Trained) -> None:
    run = RunDirectory(trained.folder.run(GATED, 0))
    stages = read_json(run.postprocessing_file)
    assert list(stages) == ["network", "slice_gate", "components"]
    for name in trained.names:
        slices = read_json(run.slice_file(name))
        before, _, _ = read_probabilities(run.probability_file(name))
        after, _, _ = read_probabilities(run.scored_file(name))
        shape = CaseStore(trained.folder.preprocessed).properties(name).shape
        assert list(slices) == ["WT", "TC", "ET"] and len(slices["WT"]) == shape[0]
        assert (after <= before).all()


@pytest.mark.parametrize("variant", [Variant(UNCHANGED), Variant("crf", crf={})], ids=lambda variant: variant.name)
def test_a_model_predicts_what_was_tuned_on(trained: Trained, variant: Variant, tmp_path: Path) -> None:
    """With the network of the case's own fold alone; the network's grid is not the study's."""
    mixture = Mixture.of(PLAIN)
    placement = CaseStore(trained.folder.preprocessed).properties(trained.names[0]).placement
    assert placement.shape != placement.box_shape
    source = trained.with_variants(mixture, [variant] if variant.crf is not None else [])
    choice = middling(trained, source, variant.name)
    parts = SearchSpace(trained.plan.convention).parts(choice)
    predictor = trained.model(tmp_path / "model", mixture, variant, parts)
    sizes = []
    for name in trained.names:
        expected = chosen_labels(name, ChosenPrediction(source, choice, 0))
        found = predictor.predict(trained.dataset.case(name)).labels
        # Where backends differ in their last digits, a voxel at the threshold may fall on its other side. A CRF sees images
        # in half precision in the tuning, and in single precision here.
        most = 2 if variant.crf is None else 0.005 * np.count_nonzero(expected)
        assert np.count_nonzero(found != expected) <= most
        sizes.append(np.count_nonzero(expected))
    assert min(sizes) > 0, "the test needs rules that leave something"


@pytest.mark.parametrize("combination", ["mean", "majority"])
def test_a_model_of_two_configurations_predicts_their_combination(
    trained: Trained, combination, tmp_path: Path
) -> None:
    mixture = Mixture(((PLAIN, 2.0), (GATED, 1.0)), combination)
    source = trained.source(mixture)
    predictor = trained.model(tmp_path / "model", mixture, Variant(UNCHANGED))
    for name in trained.names:
        expected = source.load(name).variants[UNCHANGED].astype(int)
        found = predictor.predict(trained.dataset.case(name)).probabilities.astype(int)
        if combination == "mean":
            assert np.abs(found - expected).max() <= 1
        else:  # votes are counted on the network's grid here, and on the study's there
            assert np.mean((found > 127) == (expected > 127)) > 0.9


def test_crfs_are_tried_and_kept_for_the_next_call(trained: Trained) -> None:
    mixture = Mixture.of(PLAIN)
    variants = variants_of(mixture, trained.plan, trained.folder, trained.source(mixture))
    assert [variant.name for variant in variants] == list(CRF_VARIANTS)
    told: list[tuple[int, int]] = []
    source = trained.with_variants(mixture, variants, on_progress=lambda done, total: told.append((done, total)))
    assert source.variants == list(CRF_VARIANTS) and told[-1][0] == told[-1][1]
    files = [path for of in source.variant_files.values() for path in of.values()]
    times = [path.stat().st_mtime_ns for path in files]
    again = trained.with_variants(mixture, variants, on_progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (0, 0) and [path.stat().st_mtime_ns for path in files] == times
    loaded = again.load(trained.names[0]).variants
    assert list(loaded) == [UNCHANGED, *CRF_VARIANTS]
    assert all(not np.array_equal(loaded[UNCHANGED], loaded[name]) for name in CRF_VARIANTS)


def test_what_takes_too_long_is_not_tried(trained: Trained) -> None:
    mixture = Mixture.of(GATED)
    variants = [Variant("crf", crf={"iterations": 2}), Variant("crf of another width", crf={"appearance_mm": 5.0})]
    assert trained.with_variants(mixture, variants, most_seconds=0.0).variants == []
    assert trained.with_variants(mixture, variants, most_seconds=1000.0).variants == [of.name for of in variants]


def test_a_configuration_with_a_crf_of_its_own_gets_no_other(trained: Trained) -> None:
    own = trained.plan.configurations[PLAIN].model_copy(update={"postprocessing": [Part(name="dense_crf")]})
    plan = trained.plan.model_copy(update={"configurations": {**trained.plan.configurations, PLAIN: own}})
    mixture = Mixture.of(PLAIN)
    assert variants_of(mixture, plan, trained.folder, trained.source(mixture)) == []


def test_the_gate_s_threshold_becomes_the_plan_s(trained: Trained) -> None:
    variant = Variant("slice gate 0.3", gate_threshold=0.3)
    plan = variant.plan(trained.plan)
    steps = plan.configurations[GATED].postprocessing
    assert steps[0].options["threshold"] == 0.3 and steps[1] == trained.plan.configurations[GATED].postprocessing[1]
    assert plan.configurations[PLAIN] == trained.plan.configurations[PLAIN]
    assert variant.parts() == [] and trained.plan.configurations[GATED].postprocessing[0].options["threshold"] == 0.5


def test_another_gate_is_what_a_model_with_that_gate_predicts(tmp_path: Path) -> None:
    """On the network's own grid, where alone the gate is tuned."""
    trained = trained_workspace_on_its_grid(tmp_path)
    mixture = Mixture.of(PLAIN, GATED)
    variants = [
        of for of in variants_of(mixture, trained.plan, trained.folder, trained.source(mixture)) if of.crf is None
    ]
    assert [of.gate_threshold for of in variants] == list(GATE_THRESHOLDS)
    source = trained.with_variants(mixture, variants)
    for variant in (variants[0], variants[-1]):
        predictor = trained.model(tmp_path / variant.name, mixture, variant)
        for name in trained.names:
            expected = source.load(name).variants[variant.name].astype(int)
            found = predictor.predict(trained.dataset.case(name)).probabilities.astype(int)
            assert np.mean(np.abs(found - expected) <= 1) > 0.999


def trained_workspace_on_its_grid(path: Path) -> Trained:
    """Preprocessed with the spacing of its first study, which alone is validated."""
    folder = write_tiny_workspace(path)
    plan, dataset = read_model(folder.plan_file, Plan), read_model(folder.dataset_file, Dataset)
    first, *others = [case.name for case in dataset.cases]
    spacing_mm = read_volume(dataset.cases[0].images["t1c"]).geometry.spacing_mm
    preprocessing = plan.preprocessing.model_copy(update={"spacing_mm": spacing_mm})
    write_json(folder.plan_file, plan.model_copy(update={"preprocessing": preprocessing}))
    write_json(folder.splits_file, [{"train": others, "val": [first]}])
    shutil.rmtree(folder.preprocessed)
    plan = read_model(folder.plan_file, Plan)
    assert preprocess_dataset(dataset, plan, CaseStore(folder.preprocessed), workers=0) == []
    return train_both(folder)
