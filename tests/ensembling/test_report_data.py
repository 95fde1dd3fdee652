"""What the report shows of a workspace: histories, the confusion of labels, and pictures of cases."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from finished_runs import finish_run, write_workspace
from PIL import Image
from tiny_dataset import write_tiny_workspace

from autobrats.dataset.cases import Dataset
from autobrats.dataset.known_conventions import KNOWN
from autobrats.dataset.volumes import read_mask, read_study
from autobrats.ensembling.report_data import confusion_and_panels, count_voxels, training_histories
from autobrats.errors import UserError
from autobrats.evaluation.cases import score_case
from autobrats.evaluation.metrics_file import build_metrics, case_metrics
from autobrats.files import read_model
from autobrats.plan import Plan
from autobrats.workspace import DatasetFolder

BRATS = KNOWN["brats2017"]


def test_histories_of_finished_runs_by_configuration_and_fold(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path, ("3d_fullres", "other"))
    records = [{"epoch": 0, "loss": 1.0}, {"epoch": 1, "loss": 0.5}]
    for name, fold, finished in (
        ("other", 1, True),
        ("3d_fullres", 1, True),
        ("3d_fullres", 0, True),
        ("other", 0, False),
    ):
        finish_run(folder, name, fold, finished=finished).write_history(records)
    finish_run(folder, "3d_fullres", 2)  # without a history
    histories = training_histories(folder)
    assert {name: list(folds) for name, folds in histories.items()} == {"3d_fullres": ["0", "1"], "other": ["1"]}
    assert histories["other"]["1"] == records
    assert training_histories(DatasetFolder(tmp_path / "nothing")) == {}


def test_a_broken_history_is_named(tmp_path: Path) -> None:
    folder = write_workspace(tmp_path)
    run = finish_run(folder, "3d_fullres", 0)
    run.history_file.write_text(json.dumps({"epoch": 0}) + "\n{broken\n")
    with pytest.raises(UserError, match=r"history\.jsonl"):
        training_histories(folder)


def test_voxels_are_counted_by_label() -> None:
    random = np.random.default_rng(0)
    integers = [0, 1, 2, 4]
    reference, prediction = random.choice(integers, (2, 6, 7, 8)).astype(np.uint8)
    counts = count_voxels(reference, prediction, BRATS)
    expected = [[np.sum((reference == a) & (prediction == b)) for b in integers] for a in integers]
    assert counts.tolist() == expected and counts.sum() == reference.size
    reference[0, 0, 0] = 7  # an integer without a meaning is background, as in the regions
    assert count_voxels(reference, prediction, BRATS).sum() == reference.size
    with pytest.raises(ValueError, match=r"case_3: .*shape"):
        count_voxels(reference, prediction[1:], BRATS, "case_3")


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return write_tiny_workspace(tmp_path_factory.mktemp("report_data"))


def test_confusion_and_pictures_of_a_workspace(studies: DatasetFolder) -> None:
    dataset, plan = read_model(studies.dataset_file, Dataset), read_model(studies.plan_file, Plan)
    truth, predicted, scores = {}, {}, {}
    for index, case in enumerate(dataset.cases):
        study = read_study(case, plan.modalities)
        assert case.mask is not None
        truth[case.name] = read_mask(case.mask, study.geometry)
        predicted[case.name] = np.roll(truth[case.name], index, axis=2)  # each case worse than the one before
        scored = score_case(predicted[case.name], truth[case.name], plan.convention, study.spacing_mm)
        scores[case.name] = case_metrics(case.patient, scored, 0)
    metrics = build_metrics("3d_fullres", scores)
    ranking = sorted(scores, key=lambda name: scores[name].mean_dice or 0.0)

    confusion, panels = confusion_and_panels(dataset, plan, metrics, predicted.__getitem__, best=1, worst=2)
    assert list(confusion.labels) == ["background", *plan.convention.labels]
    assert confusion.voxels.sum() == sum(labels.size for labels in truth.values())
    for row, integer in enumerate([0, *plan.convention.labels.values()]):
        assert confusion.voxels[row].sum() == sum(np.sum(labels == integer) for labels in truth.values())
        assert confusion.voxels[:, row].sum() == sum(np.sum(labels == integer) for labels in predicted.values())

    assert [(panel.case, panel.kind) for panel in panels] == [
        (ranking[0], "worst"),
        (ranking[1], "worst"),
        (ranking[-1], "best"),
    ]
    assert panels[0].dice == {region: it["dice"] for region, it in scores[ranking[0]].regions.items()}
    assert panels[0].reason and panels[-1].reason.startswith("all regions agree")
    for panel in panels:
        picture = Image.open(io.BytesIO(panel.png))
        assert picture.format == "PNG" and picture.width == 1080


def test_a_case_is_not_shown_twice(studies: DatasetFolder) -> None:
    dataset, plan = read_model(studies.dataset_file, Dataset), read_model(studies.plan_file, Plan)
    case = dataset.cases[0]
    study = read_study(case, plan.modalities)
    assert case.mask is not None
    truth = read_mask(case.mask, study.geometry)
    scored = score_case(truth, truth, plan.convention, study.spacing_mm)
    metrics = build_metrics("3d_fullres", {case.name: case_metrics(case.patient, scored, 0)})
    confusion, panels = confusion_and_panels(dataset, plan, metrics, lambda _: truth)
    assert [panel.kind for panel in panels] == ["worst"]
    assert (confusion.voxels == np.diag(np.diag(confusion.voxels))).all()
