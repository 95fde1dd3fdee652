"""What the planner decides, and that it says why."""

from __future__ import annotations

import math

import pytest
import torch
from made_up_dataset import BRATS_MODALITIES, PLAIN, made_up, planner

from autobrats.dataset.known_conventions import KNOWN, plain_labels
from autobrats.plan import Plan
from autobrats.planning.planner import CPU_HOURS, GPU_ITERATIONS, VALIDATION_SHARE

HIPPOCAMPUS = (35, 50, 35)


@pytest.fixture(autouse=True)
def known_speed(machine_of_flops) -> None:
    machine_of_flops(1e12)


def test_every_decision_has_its_reason() -> None:
    dataset, fingerprint = made_up(shape=HIPPOCAMPUS)
    plan = planner(dataset, fingerprint, max_hours=1).plan()
    assert set(plan.why) == {"folds", "crop_to_brain", "spacing_mm", "normalisation"}
    assert set(plan.configurations["3d_fullres"].why) == {
        "network", "pool", "output", "region_weights", "loss", "sampler", "augmentation", "optimiser", "schedule",
        "iterations", "average_decay", "inference",
    }  # fmt: skip
    for sentence in [*plan.why.values(), *plan.configurations["3d_fullres"].why.values()]:
        assert sentence[0].isupper() or sentence[0].isdigit()
        assert sentence.endswith(".") and "None" not in sentence and "nan" not in sentence


def test_the_same_dataset_gets_the_same_plan() -> None:
    dataset, fingerprint = made_up(shape=HIPPOCAMPUS)
    assert planner(dataset, fingerprint, max_hours=1).plan() == planner(dataset, fingerprint, max_hours=1).plan()


@pytest.mark.parametrize(("patients", "folds"), [(1, 0), (2, 2), (3, 3), (5, 5), (40, 5)])
def test_folds(patients: int, folds: int) -> None:
    dataset, fingerprint = made_up(patients)
    decider = planner(dataset, fingerprint)
    assert decider.decide_folds() == folds
    assert "grade" not in decider.plan_why["folds"]
    assert planner(dataset, fingerprint, n_folds=4).decide_folds() == 4


def test_the_grade_is_named_only_where_there_is_one() -> None:
    decider = planner(*made_up(20, clinical={"grade": "HGG"}))
    decider.decide_folds()
    assert "every grade and of every combination of regions" in decider.plan_why["folds"]


def test_one_spacing_is_kept() -> None:
    decider = planner(*made_up(spacings_mm=[(3.0, 1.0, 1.0)]))
    assert decider.decide_spacing() == (3.0, 1.0, 1.0)
    assert "nothing is resampled" in decider.plan_why["spacing_mm"]


def test_mixed_spacings_meet_at_the_median() -> None:
    decider = planner(*made_up(spacings_mm=[(1.0, 1.0, 1.0), (1.2, 0.9, 0.9), (2.0, 0.8, 0.8)], n_cases=9))
    assert decider.decide_spacing() == pytest.approx((1.2, 0.9, 0.9))


def test_a_coarse_axis_keeps_the_detail_of_the_finer_studies() -> None:
    decider = planner(*made_up(spacings_mm=[(2.0, 0.8, 0.8), *[(5.0, 0.8, 0.8)] * 9], n_cases=20))
    assert decider.decide_spacing() == pytest.approx((5.0, 0.8, 0.8))  # two of twenty lie below the 10th percentile
    decider = planner(*made_up(spacings_mm=[(2.0, 0.8, 0.8), *[(5.0, 0.8, 0.8)] * 4], n_cases=20))
    assert decider.decide_spacing() == pytest.approx((2.0, 0.8, 0.8))


def test_raw_intensities_are_scored_by_study() -> None:
    decider = planner(*made_up())
    assert {how.method for how in decider.decide_normalisation().values()} == {"zscore"}
    assert list(decider.decide_normalisation()) == list(BRATS_MODALITIES)


def test_normalised_intensities_get_one_scale() -> None:
    normalisation = planner(*made_up(negative=True)).decide_normalisation()
    assert {how.method for how in normalisation.values()} == {"fixed"}
    assert normalisation["t1c"].mean == pytest.approx(500) and normalisation["t1c"].std == pytest.approx(200)


def test_images_without_background_are_not_cropped() -> None:
    decider = planner(*made_up(bounded=False))
    assert not decider.decide_preprocessing().crop_to_brain
    assert "over the image" in decider.plan_why["normalisation"]
    assert planner(*made_up(bounded=True)).decide_preprocessing().crop_to_brain


def test_regions_overlap_and_labels_exclude_each_other() -> None:
    assert planner(*made_up()).decide_output() == "regions"
    dataset, fingerprint = made_up(convention=PLAIN, modalities=("MRI",), shape=HIPPOCAMPUS)
    configuration = planner(dataset, fingerprint, max_hours=1).plan().configurations["3d_fullres"]
    assert configuration.output == "labels" and list(configuration.region_weights) == ["Anterior", "Posterior"]


def test_the_hours_are_shared_by_the_folds() -> None:
    training = planner(*made_up(shape=HIPPOCAMPUS), max_hours=5).plan().configurations["3d_fullres"].training
    assert training.max_hours == pytest.approx(1.0)
    assert training.iterations_per_epoch * 10 <= training.iterations


def test_the_iterations_are_what_the_hours_buy() -> None:
    decider = planner(*made_up(shape=HIPPOCAMPUS), max_hours=5)
    decider.folds, decider.preprocessing = 5, decider.decide_preprocessing()
    decider.output, decider.modalities = "regions", decider.decide_modalities()
    chosen = decider.decide_network_and_patch()
    assert chosen.iterations == int((1 - VALIDATION_SHARE) * 3600 / chosen.step_s)


def test_epochs_are_as_asked_and_the_network_still_suits_the_cpu() -> None:
    dataset, fingerprint = made_up(shape=HIPPOCAMPUS)
    by_epochs = planner(dataset, fingerprint, epochs=7).plan().configurations["3d_fullres"]
    assert by_epochs.training.iterations == 7 * by_epochs.training.iterations_per_epoch
    assert by_epochs.training.max_hours is None and "7 epochs, as asked." in by_epochs.why["iterations"]
    by_default = planner(dataset, fingerprint).plan().configurations["3d_fullres"]
    assert by_default.training.max_hours == CPU_HOURS / 5
    assert by_epochs.network == by_default.network


def test_another_card_is_planned_for() -> None:
    dataset, fingerprint = made_up(20, shape=(70, 80, 70))
    configuration = planner(dataset, fingerprint, gpu_memory_gib=12.0).plan().configurations["3d_fullres"]
    assert configuration.training.iterations == GPU_ITERATIONS and configuration.training.max_hours is None
    assert configuration.training.iterations_per_epoch == 250
    assert "12.0 GiB on the card planned for" in configuration.why["pool"]
    assert configuration.inference.patch_size == configuration.pool[0].patch_size
    assert math.prod(configuration.pool[0].patch_size) > 64**3


@pytest.mark.parametrize("patients", [1, 2])
def test_one_or_two_patients_are_enough_for_a_plan(patients: int) -> None:
    plan = planner(*made_up(patients, shape=HIPPOCAMPUS), max_hours=0.1).plan()
    assert plan.folds == (0 if patients == 1 else 2)
    assert plan.configurations["3d_fullres"].pool[0].batch_size <= patients
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_little_memory_is_told() -> None:
    configuration = planner(*made_up(shape=HIPPOCAMPUS), ram_gib=0.3, max_hours=1).plan().configurations["3d_fullres"]
    assert "nothing fits the memory" in configuration.why["network"]
    assert configuration.training.max_hours == pytest.approx(0.2)


def test_a_device_without_a_budget_of_time_is_not_measured(machine_of_flops) -> None:
    asked = machine_of_flops(1e12)
    planner(*made_up(shape=HIPPOCAMPUS), gpu_memory_gib=8.0, device=torch.device("cpu")).plan()
    assert asked == []


@pytest.mark.parametrize(
    ("labels", "axes"),
    [
        (["Anterior", "Posterior"], [2]),
        (["hippocampus_left", "hippocampus_right"], []),
        (["L", "R"], []),
        (["tumour"], [0, 1, 2]),
        (None, [0, 1, 2]),
    ],
)
def test_parts_of_a_structure_are_not_turned_upside_down(labels: list[str] | None, axes: list[int]) -> None:
    convention = KNOWN["brats2017"]
    if labels is not None:
        convention = plain_labels({label: number for number, label in enumerate(labels, 1)})
    dataset, fingerprint = made_up(shape=HIPPOCAMPUS, convention=convention)
    configuration = planner(dataset, fingerprint, max_hours=1).plan().configurations["3d_fullres"]
    assert configuration.augmentation.mirror_axes == configuration.inference.mirror_axes == axes
    assert ("mirror_axes" in configuration.why) == (axes != [0, 1, 2])
