"""autobrats_quantise and autobrats_predict --precision int8, on a model of two trained folds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_dataset import write_tiny_workspace

from autobrats.commands.export_model import main as export_main
from autobrats.commands.import_model import main as import_main
from autobrats.commands.predict import main as predict_main
from autobrats.commands.quantise import main
from autobrats.dataset.cases import Dataset, ImageFile
from autobrats.dataset.volumes import read_volume
from autobrats.files import read_model
from autobrats.inference.int8_file import Int8, read_int8, write_int8
from autobrats.inference.model_folder import TrainedNetwork, read_model_folder, write_model_folder
from autobrats.networks.building import build_network
from autobrats.plan import Part, Plan
from autobrats.workspace import DatasetFolder

WIDE = Part(
    name="residual_encoder_unet",
    options={"channels": [16, 16], "blocks": [1, 1], "strides": [[1, 1, 1], [2, 2, 2]]},
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """A planned dataset with a model of random networks of folds 0 and 1, wide enough for 8 bits."""
    folder = write_tiny_workspace(tmp_path_factory.mktemp("made"))
    plan = read_model(folder.plan_file, Plan)
    plan.configurations["3d_fullres"] = plan.configurations["3d_fullres"].model_copy(update={"network": WIDE})
    networks = []
    for fold in (0, 1):
        torch.manual_seed(fold)
        weights = folder.path / f"fold_{fold}.safetensors"
        save_file(build_network(WIDE.name, WIDE.options, 4, 3).state_dict(), weights)
        networks.append(TrainedNetwork("3d_fullres", fold, weights))
    write_model_folder(folder.model, plan, networks)
    return folder


@pytest.fixture
def folder(made: DatasetFolder, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetFolder:
    shutil.copytree(made.path, workspace / "tiny")
    monkeypatch.chdir(workspace.parent)
    return DatasetFolder(workspace / "tiny")


def judged(folder: DatasetFolder, low: float) -> Int8:
    """As if the check had found this lower end of the interval."""
    model = read_model_folder(folder.model)
    int8 = read_model(folder.model / "int8.json", Int8)
    int8 = int8.model_copy(update={"check": int8.check.model_copy(update={"low": low})})
    write_int8(model, int8)
    return int8


def test_the_check_is_kept_and_decides(folder: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    code = main(["--cases", "4"])
    said = capsys.readouterr().out
    int8 = read_model(folder.model / "int8.json", Int8)
    assert code == (0 if int8.check.passed else 1)
    assert int8.check.predictions == 4 and int8.check.patients >= 2 and f"{int8.check.difference:+.4f}" in said
    assert len(int8.ranges) == 2 and all(len(ranges) >= 3 for ranges in int8.ranges.values())

    studies = str(next(iter(read_model(folder.dataset_file, Dataset).cases)).images["t1n"].path.parents[1])
    judged(folder, low=-0.01)
    assert predict_main(["-i", studies, "-o", "refused", "--precision", "int8"]) == 2
    assert "8 bits would change this model's masks" in capsys.readouterr().err

    judged(folder, low=-0.001)
    for precision in ("float32", "int8"):
        options = ["--precision", precision, "--backend", "openvino", "--no-mirroring"]
        assert predict_main(["-i", studies, "-o", precision, *options]) == 0
    masks = [
        np.stack([read_volume(ImageFile(path=path)).voxels for path in sorted(Path(precision).glob("*.nii.gz"))])
        for precision in ("float32", "int8")
    ]
    assert masks[0].shape == masks[1].shape and masks[0].any()
    assert 0 < (masks[0] != masks[1]).mean() < 0.05

    assert export_main(["-o", "model.zip"]) == 0 and import_main(["model.zip", "-o", "elsewhere"]) == 0
    assert read_int8(read_model_folder(Path("elsewhere"))).check.low == -0.001
    assert predict_main(["-i", studies, "-o", "gone", "--precision", "int8", "--backend", "torch"]) == 2
    assert "8 bits are computed by OpenVINO" in capsys.readouterr().err


def test_without_a_check_it_is_refused(folder: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    assert predict_main(["-i", ".", "-o", "out", "--precision", "int8"]) == 2
    assert "run autobrats_quantise" in capsys.readouterr().err


def test_a_model_of_another_dataset_is_refused(folder: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    shutil.copytree(folder.path, folder.path.with_name("other"))
    assert main([str(folder.model), "-d", "other"]) == 2
    assert "was trained on the dataset tiny, not on other" in capsys.readouterr().err


def test_a_network_of_all_cases_has_no_case_to_check(folder: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    plan = read_model(folder.model / "plan.json", Plan)
    weights = folder.path / "fold_0.safetensors"
    write_model_folder(folder.model, plan, [TrainedNetwork("3d_fullres", "all", weights)])
    assert main([]) == 2
    assert "was trained on all cases" in capsys.readouterr().err
    write_model_folder(folder.model, plan, [TrainedNetwork("3d_fullres", 7, weights)])
    assert main([]) == 2
    assert "fold 7, which the dataset's splits do not have" in capsys.readouterr().err
