"""autobrats_quantise and autobrats_predict --precision, on a model of two trained folds."""

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
from autobrats.inference.backends import choice, openvino_computes_bfloat16
from autobrats.inference.model_folder import TrainedNetwork, read_model_folder, write_model_folder
from autobrats.inference.precision import IN_WORDS, RoundedPrecision
from autobrats.inference.rounding_file import FILES, Rounding, read_rounding, write_rounding
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


def judged(folder: DatasetFolder, precision: RoundedPrecision, low: float) -> None:
    """As if the check had found this lower end of the interval."""
    rounding = read_model(folder.model / FILES[precision], Rounding)
    rounding = rounding.model_copy(update={"check": rounding.check.model_copy(update={"low": low})})
    write_rounding(read_model_folder(folder.model), precision, rounding)


def test_the_checks_are_kept_and_decide(folder: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    code = main(["--cases", "4"])
    said = capsys.readouterr().out
    names = [precision for precision, name in FILES.items() if (folder.model / name).is_file()]
    assert names == (["bf16", "int8"] if openvino_computes_bfloat16() else ["int8"])
    checked = {precision: read_model(folder.model / FILES[precision], Rounding) for precision in names}
    assert code == (0 if all(rounding.check.passed for rounding in checked.values()) else 1)
    for precision, rounding in checked.items():
        assert rounding.check.predictions == 4 and rounding.check.patients >= 2
        assert f"{IN_WORDS[precision]}: the mean Dice changes by {rounding.check.difference:+.4f}" in said
        assert len(rounding.ranges) == 2
        assert all((len(ranges) >= 3) == (precision == "int8") for ranges in rounding.ranges.values())

    studies = str(next(iter(read_model(folder.dataset_file, Dataset).cases)).images["t1n"].path.parents[1])
    for precision in names:
        judged(folder, precision, low=-0.01)
        assert predict_main(["-i", studies, "-o", "refused", "--precision", precision]) == 2
        assert f"in {IN_WORDS[precision]} would change this model's masks" in capsys.readouterr().err
        judged(folder, precision, low=-0.001)
    masks = {}
    for precision in ("float32", *names):
        options = ["--precision", precision, "--backend", "openvino", "--no-mirroring"]
        assert predict_main(["-i", studies, "-o", precision, *options]) == 0
        paths = sorted(Path(precision).glob("*.nii.gz"))
        masks[precision] = np.stack([read_volume(ImageFile(path=path)).voxels for path in paths])
    for precision in names:
        assert masks[precision].shape == masks["float32"].shape and masks["float32"].any()
        assert 0 < (masks["float32"] != masks[precision]).mean() < 0.05

    assert export_main(["-o", "model.zip"]) == 0 and import_main(["model.zip", "-o", "elsewhere"]) == 0
    for precision in names:
        assert read_rounding(read_model_folder(Path("elsewhere")), precision).check.low == -0.001
        assert predict_main(["-i", studies, "-o", "gone", "--precision", precision, "--backend", "torch"]) == 2
        assert f"OpenVINO predicts in {IN_WORDS[precision]}" in capsys.readouterr().err


def test_one_precision_is_checked_by_itself(folder: DatasetFolder, capsys: pytest.CaptureFixture) -> None:
    main(["--cases", "4", "--precision", "int8"])
    assert (folder.model / "int8.json").is_file() and not (folder.model / "bf16.json").exists()
    assert "bfloat16" not in capsys.readouterr().out


def test_a_processor_without_bfloat16_says_so(
    folder: DatasetFolder, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "openvino_computes_bfloat16", lambda: False)
    assert main(["--precision", "bf16"]) == 2
    assert "no instructions for bfloat16 (AMX, AVX-512 BF16); leave --precision bf16 out" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_without_a_check_it_is_refused(folder: DatasetFolder, capsys: pytest.CaptureFixture, precision: str) -> None:
    assert predict_main(["-i", ".", "-o", "out", "--precision", precision]) == 2
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
