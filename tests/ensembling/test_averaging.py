"""Several configurations in one model: their average out of fold, and the model that predicts with all of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import tiny_configuration, write_tiny_workspace
from training_runs import CPU

from autobrats.commands.find_best_config import main
from autobrats.dataset.cases import Dataset
from autobrats.ensembling.averaging import average_candidates
from autobrats.ensembling.candidates import collect_candidates
from autobrats.errors import UserError
from autobrats.evaluation.probability_file import read_probabilities
from autobrats.files import read_json, read_model, write_json
from autobrats.inference.predictor import Predictor
from autobrats.plan import Part, Plan
from autobrats.preprocessing.store import CaseStore
from autobrats.training.cross_validation import train_folds
from autobrats.training.run_directory import RunDirectory
from autobrats.workspace import DatasetFolder

GATED = {
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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """Fold 0 of a plain configuration, and of one with a slice gate."""
    folder = write_tiny_workspace(tmp_path_factory.mktemp("averaging"))
    plan = read_model(folder.plan_file, Plan)
    plan.configurations["3d_fullres_gated"] = tiny_configuration(plan.modalities, "regions", **GATED)
    write_json(folder.plan_file, plan)
    train_folds(folder, "3d_fullres", ["0"], CPU)
    train_folds(folder, "3d_fullres_gated", ["0"], CPU)
    return folder


def test_the_validation_keeps_every_stage(trained: DatasetFolder) -> None:
    run = RunDirectory(trained.run("3d_fullres_gated", 0))
    cases = read_json(trained.splits_file)[0]["val"]
    stages = read_json(run.postprocessing_file)
    assert list(stages) == ["network", "slice_gate", "components"]
    for name in cases:
        slices = read_json(run.slice_file(name))
        before, _, _ = read_probabilities(run.probability_file(name))
        after, _, _ = read_probabilities(run.scored_file(name))
        assert (
            list(slices) == ["WT", "TC", "ET"]
            and len(slices["WT"]) == CaseStore(trained.preprocessed).properties(name).shape[0]
        )
        assert (after <= before).all()
    metrics = read_json(run.metrics_file)
    scored = np.mean([metrics["cases"][name]["regions"]["WT"]["dice"] for name in cases])
    assert stages["components"]["WT"] == pytest.approx(scored, abs=0.05)  # on the network's and on the study's grid


def test_the_average_is_that_of_the_scored_probabilities(trained: DatasetFolder) -> None:
    plan, dataset = read_model(trained.plan_file, Plan), read_model(trained.dataset_file, Dataset)
    parts = collect_candidates(trained, plan, 3)
    averaged = average_candidates(trained, dataset, plan, parts)
    assert averaged.configuration == "3d_fullres + 3d_fullres_gated"
    assert [network.configuration for network in averaged.networks] == ["3d_fullres", "3d_fullres_gated"]
    assert averaged.metrics is not None and parts[0].metrics is not None
    assert list(averaged.metrics.cases) == list(parts[0].metrics.cases)


def test_the_command_writes_a_model_of_both(
    trained: DatasetFolder, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    workspace = str(trained.path.parent)
    assert main(["--together", "-w", workspace]) == 0
    output = capsys.readouterr().out
    assert "Chosen: 3d_fullres + 3d_fullres_gated, fold 0 of each." in output
    model = tmp_path / "model"
    shutil.copytree(trained.model, model)
    predictor = Predictor.load(model, mirroring=False)
    dataset = read_model(trained.dataset_file, Dataset)
    prediction = predictor.predict(dataset.cases[0])
    assert prediction.probabilities.shape[0] == 3 and set(np.unique(prediction.labels)) <= {0, 1, 2, 4}


def test_the_same_folds_are_needed(trained: DatasetFolder, tmp_path: Path) -> None:
    folder = DatasetFolder(tmp_path / "tiny")
    shutil.copytree(trained.path, folder.path)
    shutil.rmtree(folder.run("3d_fullres_gated", 0))
    plan, dataset = read_model(folder.plan_file, Plan), read_model(folder.dataset_file, Dataset)
    parts = collect_candidates(folder, plan, 1)
    with pytest.raises(UserError, match=r"3d_fullres has 0, 3d_fullres_gated has none"):
        average_candidates(folder, dataset, plan, parts)
    with pytest.raises(UserError, match="at least two"):
        average_candidates(folder, dataset, plan, parts[:1])
