"""Folds: which are trained, for how long, what they leave for the stages that follow, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from autobrats.dataset.cases import Dataset, ImageFile
from autobrats.dataset.volumes import read_mask
from autobrats.errors import UserError
from autobrats.evaluation.metrics_file import read_metrics
from autobrats.evaluation.probability_file import read_probabilities, to_volume
from autobrats.files import read_model, write_json
from autobrats.plan import Inference, Part, PatchBatch, Plan
from autobrats.preprocessing.dataset import preprocess_dataset
from autobrats.preprocessing.store import CaseStore
from autobrats.training import cross_validation
from autobrats.training import validation as validation_module
from autobrats.training.checkpoints import load_facts, load_tensors
from autobrats.training.cross_validation import FoldResult, TrainingOptions, train_folds
from autobrats.training.run_directory import RunDirectory
from autobrats.training.trainer import Trainer
from autobrats.workspace import DatasetFolder

CPU = torch.device("cpu")


def train(folder: DatasetFolder, *folds: str, name: str = "3d_fullres", **options: Any) -> list[FoldResult]:
    return train_folds(folder, name, folds or ["0"], TrainingOptions(device=CPU, loading_threads=0, **options))


def run_of(folder: DatasetFolder, fold: str = "0") -> RunDirectory:
    return RunDirectory(folder.run("3d_fullres", fold))


def edit_plan(folder: DatasetFolder, **changes: Any) -> None:
    plan = read_model(folder.plan_file, Plan)
    plan.configurations["3d_fullres"] = plan.configurations["3d_fullres"].model_copy(update=changes)
    write_json(folder.plan_file, plan)


def check_validation(folder: DatasetFolder, fold: str) -> None:
    """Every held-back case is scored, and its probabilities lie on the study's own grid."""
    dataset, plan = read_model(folder.dataset_file, Dataset), read_model(folder.plan_file, Plan)
    held_back = json.loads(folder.splits_file.read_text())[int(fold)]["val"]
    run = run_of(folder, fold)
    metrics = read_metrics(run.metrics_file)
    assert set(metrics.cases) == set(held_back) and metrics.folds == [int(fold)]
    for name in held_back:
        probabilities, box, shape = read_probabilities(run.probability_file(name))
        mask = read_mask(dataset.case(name).mask)
        assert probabilities.dtype == np.uint8 and probabilities.shape[0] == len(plan.convention.regions)
        assert tuple(shape) == mask.shape and probabilities.shape[1:] == tuple(stop - start for start, stop in box)
        labels = to_volume(plan.convention.decide(probabilities)[None], box, shape)[0]
        for region, predicted, true in zip(
            plan.convention.regions, plan.convention.to_regions(labels), plan.convention.to_regions(mask), strict=True
        ):
            size = int(predicted.sum()) + int(true.sum())
            dice = 2 * int((predicted & true).sum()) / size if size else 1.0
            assert metrics.cases[name].regions[region]["dice"] == pytest.approx(dice)
    finished = json.loads(run.finished_file.read_text())
    assert finished["configuration"] == "3d_fullres" and finished["fold"] == fold and finished["iterations"] == 6


def test_folds_of_regions(tiny: DatasetFolder) -> None:
    told: list[FoldResult] = []
    options = TrainingOptions(device=CPU, loading_threads=0)
    results = train_folds(tiny, "3d_fullres", ["0", "2", "0"], options, told.append)
    assert results == told and [(r.fold, r.state) for r in results] == [("0", "finished"), ("2", "finished")]
    for fold in ("0", "2"):
        check_validation(tiny, fold)
        without = json.loads(run_of(tiny, fold).missing_modalities_file.read_text())
        assert without["cases"] == 2 and list(without["without"]) == ["t1n", "t1c", "t2w", "t2f"]
        assert all(0 <= dice <= 1 for dice in [without["complete"], *without["without"].values()])
    assert not run_of(tiny, "1").path.exists()


def test_labels_of_one_modality(labels_dataset: DatasetFolder, copy_of: Callable) -> None:
    folder = copy_of(labels_dataset)
    (result,) = train(folder)
    assert result.metrics is not None and list(result.metrics.summary) == ["necrosis", "oedema", "enhancing"]
    check_validation(folder, "0")
    assert not run_of(folder).missing_modalities_file.exists()
    assert load_tensors(run_of(folder).weights_file)[0]["stem.0.weight"].shape[1] == 1
    record = json.loads(run_of(folder).history_file.read_text().splitlines()[-1])
    assert set(record["quick_dice"]) == {"necrosis", "oedema", "enhancing"}


def test_labels_of_regions_that_overlap(tiny: DatasetFolder) -> None:
    """A softmax over BraTS labels is validated by region."""
    edit_plan(tiny, output="labels")
    train(tiny)
    check_validation(tiny, "0")


def test_some_of_the_modalities(tiny: DatasetFolder) -> None:
    edit_plan(tiny, modalities=["t2f", "t1c"])
    train(tiny)
    check_validation(tiny, "0")
    assert list(json.loads(run_of(tiny).missing_modalities_file.read_text())["without"]) == ["t2f", "t1c"]


def test_fold_all_has_every_case_and_no_validation(tiny: DatasetFolder) -> None:
    (result,) = train(tiny, "all")
    assert (result.state, result.metrics) == ("finished", None)
    run = run_of(tiny, "all")
    assert run.read_manifest()["training_cases"] == 6
    assert run.is_finished and run.weights_file.is_file() and not run.validation.exists()
    record = json.loads(run.history_file.read_text().splitlines()[0])
    assert "quick_dice" not in record


def test_a_finished_fold_is_left_alone_until_restarted(tiny: DatasetFolder) -> None:
    (first,) = train(tiny)
    before = {path: path.stat().st_mtime_ns for path in run_of(tiny).path.rglob("*")}
    (again,) = train(tiny)
    assert again.state == "was finished" and again.metrics == first.metrics
    assert {path: path.stat().st_mtime_ns for path in run_of(tiny).path.rglob("*")} == before
    (anew,) = train(tiny, restart=True, epochs=1)
    assert anew.state == "finished" and load_facts(run_of(tiny).weights_file)["iterations"] == 3


def test_epochs_instead_of_the_plan(tiny: DatasetFolder) -> None:
    train(tiny, epochs=3)
    assert load_facts(run_of(tiny).weights_file)["iterations"] == 9
    train(tiny, "1", epochs=2, max_hours=10)
    assert load_facts(run_of(tiny, "1").weights_file)["iterations"] == 6


def test_a_budget_is_shared_by_the_folds_that_are_left(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tiny, "2")
    hours = []

    def spend_half(job: Any, restart: bool) -> FoldResult:
        hours.append(job.configuration.training.max_hours)
        return FoldResult(job.fold, "finished", 0.0, None)

    monkeypatch.setattr(cross_validation, "train_fold", spend_half)
    train(tiny, "0", "1", "2", max_hours=4)
    assert hours == pytest.approx([2.0, 4.0], abs=0.01)  # the first took no time: all is left to the second


def test_a_store_of_another_plan_is_not_trained_on(tiny: DatasetFolder) -> None:
    plan = read_model(tiny.plan_file, Plan)
    plan.preprocessing.spacing_mm = (8.0, 8.0, 8.0)
    write_json(tiny.plan_file, plan)
    with pytest.raises(UserError, match="6 cases are not preprocessed as the plan says"):
        train(tiny)


def test_a_run_does_not_go_on_with_other_cases(tiny: DatasetFolder) -> None:
    train(tiny, "0", "1", epochs=1)
    for fold in ("0", "1"):
        run_of(tiny, fold).finished_file.unlink()
    splits = json.loads(tiny.splits_file.read_text())
    splits[0]["train"].remove(splits[0]["train"][0])
    write_json(tiny.splits_file, splits)
    with pytest.raises(UserError, match="begun with other training and validation cases"):
        train(tiny, "0")
    train(tiny, "1")


def test_a_restart_forgets_nothing_if_the_plan_cannot_be_trained(tiny: DatasetFolder) -> None:
    train(tiny, "0", "1")
    edit_plan(tiny, loss=Part(name="dice_cross_entropy", options={"smoth": 1}))
    with pytest.raises(UserError, match="no option 'smoth'"):
        train(tiny, "0", "1", restart=True)
    assert run_of(tiny, "0").is_finished and run_of(tiny, "1").is_finished


def test_patches_that_the_network_cannot_take_are_told(tiny: DatasetFolder) -> None:
    edit_plan(tiny, pool=[PatchBatch(patch_size=(16, 18, 16), batch_size=1)])
    with pytest.raises(
        UserError, match=r"pool.0.patch_size is \[16, 18, 16\]; its network needs multiples of 4, 4 and 4"
    ):
        train(tiny)


def test_a_mask_without_a_position_lies_like_its_images(tiny: DatasetFolder, tmp_path: Path) -> None:
    """Its qform and sform codes are 0, so that nibabel would lay it otherwise than the images."""
    train(tiny)
    before = read_metrics(run_of(tiny).metrics_file)
    dataset = read_model(tiny.dataset_file, Dataset)
    for case in dataset.cases:
        mask = nibabel.load(case.mask.path)
        unplaced = nibabel.Nifti1Image(np.asarray(mask.dataobj), None)
        unplaced.header.set_zooms(mask.header.get_zooms())
        case.mask = ImageFile(path=tmp_path / case.mask.path.name)
        nibabel.save(unplaced, case.mask.path)
    write_json(tiny.dataset_file, dataset)
    assert preprocess_dataset(dataset, read_model(tiny.plan_file, Plan), CaseStore(tiny.preprocessed), workers=0) == []
    train(tiny, restart=True)
    after = read_metrics(run_of(tiny).metrics_file)
    assert {name: case.regions for name, case in after.cases.items()} == {
        name: case.regions for name, case in before.cases.items()
    }


def test_an_interrupted_validation_goes_on(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    predict = validation_module._predict
    predicted: list[str] = []

    def broken(job: Any, network: Any, postprocessor: Any, name: str, mirror_axes: list) -> None:
        if len(predicted) == 1:
            raise KeyboardInterrupt
        predict(job, network, postprocessor, name, mirror_axes)
        predicted.append(name)

    with monkeypatch.context() as patch:
        patch.setattr(validation_module, "_predict", broken)
        with pytest.raises(KeyboardInterrupt):
            train(tiny)
    assert not run_of(tiny).is_finished
    extended = DatasetFolder(tiny.path.with_name("extended"))
    shutil.copytree(tiny.path, extended.path)

    def counted(job: Any, network: Any, postprocessor: Any, name: str, mirror_axes: list) -> None:
        predict(job, network, postprocessor, name, mirror_axes)
        predicted.append(name)

    monkeypatch.setattr(validation_module, "_predict", counted)
    train(tiny)
    check_validation(tiny, "0")
    assert len(predicted) == len(set(predicted)) == 2
    # After more epochs, the probabilities of the shorter training are of no use.
    train(extended, epochs=3)
    assert len(predicted) == 4


@pytest.mark.parametrize(
    ("changes", "options", "told"),
    [
        ({"region_weights": {"ET": 2.0}}, {}, "begun with another plan"),
        ({}, {"seed": 5}, "begun with --seed 0"),
        ({"inference": Inference(patch_size=(16, 16, 16), overlap=0.25)}, {}, None),
    ],
)
def test_a_run_goes_on_only_as_it_was_begun(
    tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch, changes: dict, options: dict, told: str | None
) -> None:
    with monkeypatch.context() as patch:
        step = Trainer.step
        patch.setattr(Trainer, "step", lambda self, batch: (step(self, batch), setattr(self, "stop_reason", "a test")))
        assert train(tiny)[0].state == "stopped"
    edit_plan(tiny, **changes)
    if told is None:
        assert train(tiny, **options)[0].state == "finished"
        return
    with pytest.raises(UserError, match=told):
        train(tiny, **options)
    assert train(tiny, **options, restart=True)[0].state == "finished"


def test_a_stopped_fold_ends_the_call(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Trainer.step
    monkeypatch.setattr(
        Trainer, "step", lambda self, batch: (step(self, batch), setattr(self, "stop_reason", "a test"))
    )
    assert [(r.fold, r.state) for r in train(tiny, "0", "1")] == [("0", "stopped")]


def test_wrong_names_are_told(tiny: DatasetFolder) -> None:
    with pytest.raises(UserError, match=r"no configuration '2d'; it has: 3d_fullres"):
        train(tiny, name="2d")
    with pytest.raises(UserError, match=r"no fold '3'; this dataset has: 0, 1, 2, all"):
        train(tiny, "0", "3")
    assert not tiny.runs.exists()


def test_cases_that_are_not_preprocessed_are_told(tiny: DatasetFolder) -> None:
    (tiny.preprocessed / "Phantom_00004.json").unlink()
    with pytest.raises(UserError, match=r"1 case.*Phantom_00004.*autobrats_plan"):
        train(tiny)


def test_a_damaged_checkpoint_is_told(tiny: DatasetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        step = Trainer.step
        patch.setattr(Trainer, "step", lambda self, batch: (step(self, batch), setattr(self, "stop_reason", "a test")))
        train(tiny)
    run_of(tiny).checkpoint_file.write_bytes(b"half of it")
    with pytest.raises(UserError, match=r"checkpoint\.safetensors is damaged.*--restart"):
        train(tiny)
