"""autobrats_plan on small studies: what is written, what is honoured, and what is told when something is wrong."""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import blosc2
import nibabel
import numpy as np
import pytest

from autobrats.commands import plan as commands_plan
from autobrats.commands.plan import _importing_beside, _name_of, _stratum, main
from autobrats.dataset.cases import Dataset
from autobrats.files import read_json, read_model, write_json
from autobrats.plan import Plan
from autobrats.planning import network_search, planned_state, speed
from autobrats.preprocessing import dataset as preprocessing
from autobrats.preprocessing.store import CaseStore

SHAPE = (24, 22, 20)
AFFINE = np.diag([-2.0, -2, 2, 1])


@pytest.fixture(autouse=True)
def known_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step takes 10 ms for a batch of 32^3 voxels, however busy this machine is."""

    def step_s(network, loss, in_channels, out_channels, patch_size, batch_size, device) -> float:
        return 0.01 * batch_size * math.prod(patch_size) / 32**3

    for module in (network_search, speed):
        monkeypatch.setattr(module, "measure_step_s", step_s)


def write_study(folder: Path, name: str, seed: int) -> None:
    """A study of two modalities in the manner of BraTS 2021: a bright brain, a tumour with three labels."""
    random = np.random.default_rng(seed)
    inside = np.zeros(SHAPE, bool)
    inside[2:-2, 2:-3, 3:-2] = True
    mask = np.zeros(SHAPE, np.uint8)
    mask[6:16, 6:14, 6:14] = 2
    mask[8:14, 8:12, 8:12] = 4
    mask[10:12, 9:11, 9:11] = 1
    (folder / name).mkdir(parents=True)
    for modality in ("t1ce", "flair"):
        image = np.where(inside, random.integers(100, 400, SHAPE) + 200 * mask, 0).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(image, AFFINE), folder / name / f"{name}_{modality}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(mask, AFFINE), folder / name / f"{name}_seg.nii.gz")


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "glioma"
    for index in range(6):
        write_study(folder, f"BraTS2021_{index:05d}", index)
    return folder


def plan_it(studies: Path, *more: str) -> int:
    return main(["-i", str(studies), "--workers", "0", "--device", "cpu", "--max-hours", "0.5", *more])


def test_everything_is_written(studies: Path, workspace: Path, capsys: pytest.CaptureFixture) -> None:
    assert plan_it(studies) == 0
    output = capsys.readouterr().out
    folder = workspace / "glioma"
    plan = read_model(folder / "plan.json", Plan)
    assert plan.modalities == ["t1c", "t2f"] and plan.convention.name == "brats2017" and plan.folds == 5
    splits = read_json(folder / "splits.json")
    assert sorted(case for fold in splits for case in fold["val"]) == [f"BraTS2021_{index:05d}" for index in range(6)]
    assert len(list((folder / "preprocessed").glob("BraTS2021_*.json"))) == 6
    assert set(read_json(folder / "fingerprint.json")) == {"dataset", "machine", "training_step"}
    assert "6 cases of 6 patients, layout brats" in output
    assert "Convention brats2017 (1 NCR, 2 ED, 4 ET)" in output
    assert output.splitlines()[-1] == "Next: autobrats_train 3d_fullres 0"


def test_what_is_planned_already_is_seen_at_once(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    first = capsys.readouterr().out.splitlines()
    made = {file: file.stat().st_mtime_ns for file in (workspace / "glioma").rglob("*.json")}
    command = ["-i", str(studies), "--device", "cpu", "--max-hours", "0.5"]
    code = f"import sys; from autobrats.commands.plan import main; code = main({command!r})\n"
    code += "assert not {'torch', 'blosc2', 'sklearn'} & set(sys.modules); sys.exit(code)"
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    told = again.stdout.splitlines()
    assert told[-2].startswith("Nothing changed since it was planned and preprocessed in")
    assert [*told[:-2], told[-1]] == [*first[:-2], first[-1]]
    assert {file: file.stat().st_mtime_ns for file in made} == made


def test_a_changed_file_or_option_is_noticed(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    before = read_json(workspace / "glioma" / ".planned.json")
    os.utime(studies / "BraTS2021_00003" / "BraTS2021_00003_seg.nii.gz", ns=(1, 1))
    assert plan_it(studies) == 0
    assert "Nothing changed" not in capsys.readouterr().out
    assert read_json(workspace / "glioma" / ".planned.json")["before"] != before["before"]
    (workspace / "glioma" / "preprocessed" / "BraTS2021_00002.json").unlink()
    assert plan_it(studies) == 0
    assert "Nothing changed" not in capsys.readouterr().out
    assert plan_it(studies, "--max-hours", "0.6") == 0
    assert "Nothing changed" not in capsys.readouterr().out


def test_what_a_planning_depends_on_is_in_its_state(studies, tmp_path, monkeypatch) -> None:
    def state() -> str:
        return planned_state.state_before(studies, None, {})

    states = [state()]
    monkeypatch.setattr(platform, "node", lambda: "another")
    states.append(state())
    (tmp_path / "recipes").mkdir()
    monkeypatch.setattr(planned_state, "recipes_folder", lambda: tmp_path / "recipes")
    states.append(state())
    (tmp_path / "recipes" / "mine.json").write_text("{}")
    states.append(state())
    (studies / "cases.csv").write_text("case,age\nnobody,50\n")
    states.append(state())
    assert len(set(states)) == 5 and state() == states[-1]


def test_a_failing_import_beside_is_left_to_who_needs_it() -> None:
    with _importing_beside("no.such.module") as goes_on:
        pass
    assert not goes_on()
    with pytest.raises(ZeroDivisionError), _importing_beside("json"):
        raise ZeroDivisionError
    assert not [thread for thread in threading.enumerate() if "import_them" in thread.name]
    assert gc.isenabled()


def stored_in(folder: Path) -> dict[str, object]:
    """The arrays and the facts of all cases."""
    arrays = {file.name: blosc2.open(str(file))[:].tolist() for file in folder.glob("*.b2nd")}
    return arrays | {file.name: read_json(file) for file in folder.glob("*.json")}


def test_cases_are_preprocessed_while_imports_go_on(studies, workspace, monkeypatch, capsys) -> None:
    """Whatever was made ahead is what would have been made."""
    assert plan_it(studies) == 0
    preprocessed = workspace / "glioma" / "preprocessed"
    plain = stored_in(preprocessed)
    shutil.rmtree(workspace / "glioma")
    ahead = []
    preprocess_ahead = preprocessing.preprocess_ahead

    def remember(dataset, plan, store, workers, is_wanted) -> None:
        preprocess_ahead(dataset, plan, store, workers, is_wanted=lambda: True)
        ahead.extend(case.name for case in dataset.cases if preprocessing.is_preprocessed(case, plan, store))

    monkeypatch.setattr(preprocessing, "preprocess_ahead", remember)
    monkeypatch.setattr(commands_plan, "_importing_beside", lambda *_: contextlib.nullcontext(lambda: True))
    assert plan_it(studies, "--workers", "1") == 0
    assert len(ahead) == 4, "only a full few at a time"
    assert stored_in(preprocessed) == plain
    assert capsys.readouterr().out.count("Planned and preprocessed") == 2


def test_nothing_is_preprocessed_ahead_for_a_plan_that_is_kept(studies, workspace, monkeypatch) -> None:
    assert plan_it(studies) == 0
    (workspace / "glioma" / "runs" / "3d_fullres" / "fold_0").mkdir(parents=True)
    asked = []
    monkeypatch.setattr(preprocessing, "preprocess_ahead", lambda *given: asked.append(given))
    monkeypatch.setattr(commands_plan, "_importing_beside", lambda *_: contextlib.nullcontext(lambda: True))
    assert plan_it(studies, "--workers", "1", "--seed", "5") == 0 and not asked
    assert plan_it(studies, "--workers", "1", "--seed", "5", "--overwrite") == 0 and len(asked) == 1


def test_preprocessing_ahead_ends_when_it_is_not_wanted_or_a_case_fails(studies, workspace, monkeypatch) -> None:
    assert plan_it(studies) == 0
    folder = workspace / "glioma"
    dataset, plan = read_model(folder / "dataset.json", Dataset), read_model(folder / "plan.json", Plan)
    store = CaseStore(workspace / "ahead")
    monkeypatch.setattr(preprocessing, "A_FEW", 2)
    answers = iter([True, True, False])
    preprocessing.preprocess_ahead(dataset, plan, store, 1, lambda: next(answers))
    held = [preprocessing.is_preprocessed(case, plan, store) for case in dataset.cases]
    assert held == [True, True, True, True, False, False]
    shutil.rmtree(store.folder)
    dataset.cases[1].images["t2f"].path.write_bytes(b"broken")
    preprocessing.preprocess_ahead(dataset, plan, store, 1, lambda: True)
    held = [preprocessing.is_preprocessed(case, plan, store) for case in dataset.cases]
    assert held == [True, False, False, False, False, False]


def test_an_edited_plan_is_honoured_until_overwritten(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    file = workspace / "glioma" / "plan.json"
    plan = read_json(file)
    plan["preprocessing"]["spacing_mm"] = [4.0, 4.0, 4.0]
    write_json(file, plan)
    capsys.readouterr()
    assert plan_it(studies) == 0
    assert "kept as it is, because it was edited (--overwrite decides anew)" in capsys.readouterr().out
    assert read_json(file) == plan
    stored = read_json(workspace / "glioma" / "preprocessed" / "BraTS2021_00000.json")
    assert stored["placement"]["spacing_mm"] == pytest.approx([4.0, 4.0, 4.0], rel=0.2)
    assert plan_it(studies, "--overwrite") == 0
    assert read_json(file)["preprocessing"]["spacing_mm"] == [2.0, 2.0, 2.0]


def test_a_wrong_edit_stops_and_changes_nothing(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    file = workspace / "glioma" / "plan.json"
    file.write_text(file.read_text().replace('"batch_size": ', '"batch": 1, "batch_size": ', 1))
    before = file.read_text()
    assert plan_it(studies) == 2
    error = capsys.readouterr().err
    assert "pool.0.batch'; allowed there: batch_size, memory_gib, patch_size" in error and "Traceback" not in error
    assert file.read_text() == before


def test_a_kept_plan_of_another_dataset_is_refused(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    file = workspace / "glioma" / "plan.json"
    plan = read_json(file)
    plan["modalities"].reverse()
    write_json(file, plan)
    assert plan_it(studies) == 2
    assert "its modalities or its convention are not those" in capsys.readouterr().err


def test_a_plan_that_was_trained_with_is_kept(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    folder = workspace / "glioma"
    (folder / "runs" / "3d_fullres" / "fold_0").mkdir(parents=True)
    before = [(folder / name).read_text() for name in ("plan.json", "splits.json")]
    for _ in range(2):
        assert plan_it(studies, "--seed", "5") == 0
        told = capsys.readouterr().out
        assert "because trainings were begun with it" in told and "Nothing changed" not in told
        assert [(folder / name).read_text() for name in ("plan.json", "splits.json")] == before
    shutil.rmtree(folder / "runs")
    assert plan_it(studies, "--seed", "5") == 0
    assert "is kept as it is" not in capsys.readouterr().out
    assert read_model(folder / "plan.json", Plan).seed == 5
    assert plan_it(studies, "--seed", "5") == 0
    assert "Nothing changed" in capsys.readouterr().out


def test_cases_that_are_added_to_a_trained_dataset_are_in_no_fold(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    (workspace / "glioma" / "runs" / "3d_fullres" / "fold_0").mkdir(parents=True)
    write_study(studies, "BraTS2021_00009", 9)
    assert plan_it(studies) == 0
    assert "In no fold, and so only in fold 'all': 1 case, the first is BraTS2021_00009." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (("loss", "name"), "dice", "There is no loss 'dice'"),
        (("network", "options", "width"), 4, "has no option 'width'"),
        (("inference", "patch_size"), [9, 16, 16], "3d_fullres.inference.patch_size is [9, 16, 16]; its network needs"),
    ],
)
def test_an_edit_that_cannot_be_trained_is_told_at_once(studies, workspace, capsys, keys, value, told) -> None:
    assert plan_it(studies) == 0
    file = workspace / "glioma" / "plan.json"
    plan = read_json(file)
    place = plan["configurations"]["3d_fullres"]
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    write_json(file, plan)
    assert plan_it(studies) == 2
    assert told in capsys.readouterr().err


def test_another_dataset_of_the_same_name_is_refused(studies, workspace, tmp_path, capsys) -> None:
    assert plan_it(studies) == 0
    before = {path: path.read_bytes() for path in (workspace / "glioma").glob("*.json")}
    other = tmp_path / "other" / "glioma"
    for index in range(3):
        write_study(other, f"BraTS2020_{index:05d}", index)
    assert plan_it(other) == 2
    assert f"is that of {studies}; give this one another name with -d" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in (workspace / "glioma").glob("*.json")}
    assert plan_it(other, "-d", "other") == 0


def test_a_dataset_that_does_not_fit_its_trainings_changes_nothing(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    folder = workspace / "glioma"
    (folder / "runs" / "3d_fullres" / "fold_0").mkdir(parents=True)
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    shutil.rmtree(studies / "BraTS2021_00003")
    assert plan_it(studies) == 2
    assert "'BraTS2021_00003', which the dataset does not have. Correct it, or" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.glob("*.json")}


def test_own_folds_do_not_replace_those_that_were_trained_with(studies, workspace, tmp_path, capsys) -> None:
    assert plan_it(studies) == 0
    (workspace / "glioma" / "runs" / "3d_fullres" / "fold_0").mkdir(parents=True)
    names = [f"BraTS2021_{index:05d}" for index in range(6)]
    folds = [{"train": names[:3], "val": names[3:]}, {"train": names[3:], "val": names[:3]}]
    (tmp_path / "mine.json").write_text(json.dumps(folds))
    assert plan_it(studies, "--splits", str(tmp_path / "mine.json")) == 2
    assert "replace it with --splits and --overwrite" in capsys.readouterr().err
    assert plan_it(studies, "--splits", str(tmp_path / "mine.json"), "--overwrite") == 0
    assert read_json(workspace / "glioma" / "splits.json") == folds


def test_the_next_command_finds_the_dataset(studies, workspace, capsys) -> None:
    assert plan_it(studies, "-w", str(workspace), "-d", "mine") == 0
    assert f"Next: autobrats_train 3d_fullres 0 -w {workspace} -d mine" in capsys.readouterr().out


def test_own_folds_are_taken_and_kept(studies, workspace, tmp_path, capsys) -> None:
    names = [f"BraTS2021_{index:05d}" for index in range(6)]
    folds = [{"train": names[:3], "val": names[3:]}, {"train": names[3:], "val": names[:3]}]
    (tmp_path / "mine.json").write_text(json.dumps(folds))
    assert plan_it(studies, "--splits", str(tmp_path / "mine.json")) == 0
    assert "no patient is on both sides" in capsys.readouterr().out
    assert read_json(workspace / "glioma" / "splits.json") == folds
    assert read_model(workspace / "glioma" / "plan.json", Plan).folds == 2
    assert plan_it(studies) == 0
    assert read_json(workspace / "glioma" / "splits.json") == folds


def test_leaking_folds_stop_the_plan(studies, workspace, tmp_path, capsys) -> None:
    (tmp_path / "mine.json").write_text('[{"train": ["BraTS2021_00000"], "val": ["BraTS2021_00000"]}]')
    assert plan_it(studies, "--splits", str(tmp_path / "mine.json")) == 2
    assert "lists the case 'BraTS2021_00000' in training and in validation" in capsys.readouterr().err
    assert not (workspace / "glioma" / "splits.json").exists() and not (workspace / "glioma" / "plan.json").exists()


def test_faults_stop_the_plan_or_are_left_out(studies, workspace, capsys) -> None:
    next((studies / "BraTS2021_00003").glob("*t1ce*")).write_bytes(b"not an image")
    assert plan_it(studies) == 2
    captured = capsys.readouterr()
    assert "1 error, " in captured.out and "BraTS2021_00003" in captured.out
    assert "1 error in the dataset stops the plan; mend it as the table says, or leave" in captured.err
    assert sorted(path.name for path in (workspace / "glioma").iterdir()) == ["faults.csv"]
    assert plan_it(studies, "--skip-faulty") == 0
    assert "Left out as faulty: BraTS2021_00003." in capsys.readouterr().out
    folder = workspace / "glioma"
    assert "BraTS2021_00003" not in (folder / "splits.json").read_text() + (folder / "dataset.json").read_text()
    assert not list((folder / "preprocessed").glob("BraTS2021_00003*"))


def test_nothing_left_after_skipping_is_an_error(studies, workspace, capsys) -> None:
    for mask in studies.glob("*/*_seg.nii.gz"):
        mask.unlink()
    assert plan_it(studies, "--skip-faulty") == 2
    assert "6 errors in the dataset stop the plan; mend them as the table says." in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_preprocessing_goes_on(studies, workspace, capsys, monkeypatch, number) -> None:
    done: list[str] = []
    original = preprocessing.preprocess_case

    def interrupted_after_three(job) -> None:
        if len(done) == 3:
            os.kill(os.getpid(), number)
        done.append(job.case.name)
        original(job)

    monkeypatch.setattr(preprocessing, "preprocess_case", interrupted_after_three)
    assert plan_it(studies) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    made = {path: path.stat().st_mtime_ns for path in (workspace / "glioma" / "preprocessed").glob("*")}
    assert len(done) == 3 and made
    again: list[str] = []
    monkeypatch.setattr(preprocessing, "preprocess_case", lambda job: (again.append(job.case.name), original(job))[1])
    assert plan_it(studies) == 0
    assert sorted(done + again) == [f"BraTS2021_{index:05d}" for index in range(6)]
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_a_case_that_cannot_be_preprocessed_is_a_failure(studies, workspace, capsys, monkeypatch) -> None:
    original = preprocessing.preprocess_case

    def failing(job) -> None:
        if job.case.name.endswith("2"):
            raise OSError("No space left on device")
        original(job)

    monkeypatch.setattr(preprocessing, "preprocess_case", failing)
    assert plan_it(studies) == 1
    captured = capsys.readouterr()
    assert "Case BraTS2021_00002 could not be preprocessed" in captured.err and "No space left" in captured.err
    assert "Next:" not in captured.out
    assert len(list((workspace / "glioma" / "preprocessed").glob("BraTS2021_*.json"))) == 5


def test_the_plan_is_told_without_an_input(studies, workspace, capsys) -> None:
    assert main(["--explain"]) == 2
    assert "holds no dataset yet; run autobrats_plan -i FOLDER first" in capsys.readouterr().err
    assert plan_it(studies) == 0
    capsys.readouterr()
    assert main(["--explain"]) == 0
    assert "The plan of glioma. A study is its t1c and t2f." in capsys.readouterr().out
    assert main([]) == 2
    assert "Say which folder to plan with -i FOLDER" in capsys.readouterr().err


def test_several_datasets_need_a_name(studies, workspace, capsys) -> None:
    for name in ("first", "second"):
        assert plan_it(studies, "-d", name) == 0
    assert main(["--explain"]) == 2
    assert "holds several datasets; choose one with -d: first, second." in capsys.readouterr().err
    assert main(["--explain", "-d", "second"]) == 0
    assert "The plan of second." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-i", "nowhere"], "nowhere does not exist"),
        (["-i", ".", "-d", "../up"], "'../up' cannot name a dataset"),
        (["-i", ".", "--convention", "brats1999"], "brats1999"),
        (["-i", ".", "--device", "tpu"], "There is no device 'tpu'"),
    ],
)
def test_wrong_use_is_one_sentence(studies, workspace, capsys, monkeypatch, arguments, told) -> None:
    monkeypatch.chdir(studies)
    assert main([*arguments, "--workers", "0"]) == 2
    error = capsys.readouterr().err
    assert told in error and len(error.strip().splitlines()) == 1
    assert not list(workspace.glob("*/plan.json"))


@pytest.mark.parametrize("arguments", [["--max-hours", "0"], ["--epochs", "0"], ["--max-hours", "1", "--epochs", "3"]])
def test_a_budget_is_hours_or_epochs(arguments: list[str], capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["-i", ".", *arguments])
    assert end.value.code == 2
    assert "autobrats_plan: error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/BraTS 2021 (training)", "BraTS_2021_training"),
        ("data/Ärzte", "rzte"),
        ("data/_hidden_", "hidden"),
        ("data/cases.csv", "cases"),
        ("data/脳腫瘍", "dataset"),
        ("/", "dataset"),
    ],
)
def test_a_dataset_is_named_after_its_folder(path: str, name: str) -> None:
    assert _name_of(Path(path)) == name


def test_folds_are_stratified_by_grade_and_regions() -> None:
    from made_up_dataset import made_up

    dataset, fingerprint = made_up(1, clinical={"grade": "HGG"})
    case = dataset.cases[0]
    assert _stratum(case, fingerprint.cases[case.name]) == "HGG WT TC ET"


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("folder", "code", "told"),
    [
        ("unregistered_native", 2, "it is not skull-stripped, and so most likely not co-registered"),
        ("faulty/unpaired", 2, "there is a mask but no image of this case"),
    ],
)
def test_real_faults(realdata: Path, workspace: Path, capsys, folder: str, code: int, told: str) -> None:
    assert plan_it(realdata / folder) == code
    assert told in capsys.readouterr().out


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize(
    ("year", "convention", "cases"),
    [("BraTS2021", "brats2017", 3), ("BraTS2018", "brats2017", 1), ("BraTS2023", "brats2023", 1)],
)
def test_real_years(realdata: Path, workspace: Path, year: str, convention: str, cases: int) -> None:
    assert plan_it(realdata / "brats_full" / year) == 0
    plan = read_model(workspace / year / "plan.json", Plan)
    assert plan.convention.name == convention and plan.modalities == ["t1n", "t1c", "t2w", "t2f"]
    assert len(list((workspace / year / "preprocessed").glob("[!.]*.json"))) == cases
    shutil.rmtree(workspace)


def configurations(workspace: Path) -> dict:
    return read_json(workspace / "glioma" / "plan.json")["configurations"]


def test_recipes_are_added_beside_the_default(studies, workspace, capsys) -> None:
    assert plan_it(studies, "--recipe", "tweedy2021", "--recipe", "zhao2019") == 0
    assert list(configurations(workspace)) == ["3d_fullres", "3d_fullres_tweedy2021", "3d_fullres_zhao2019"]
    tweedy = configurations(workspace)["3d_fullres_tweedy2021"]
    assert tweedy["recipe"] == "tweedy2021" and tweedy["modalities"] == ["t1c", "t2f"]
    assert "without t2w, which this dataset does not have" in tweedy["why"]["modalities"]


def test_a_recipe_is_added_to_the_plan_that_is_there(studies, workspace, capsys) -> None:
    assert plan_it(studies) == 0
    before = configurations(workspace)
    capsys.readouterr()
    assert main(["--recipe", "anand2020", "--device", "cpu", "--max-hours", "0.5"]) == 0
    output = capsys.readouterr().out
    assert "Added: 3d_fullres_anand2020." in output
    assert output.splitlines()[-1] == "Next: autobrats_train 3d_fullres_anand2020 0"
    after = configurations(workspace)
    assert list(after) == ["3d_fullres", "3d_fullres_anand2020"] and after["3d_fullres"] == before["3d_fullres"]
    weights = after["3d_fullres_anand2020"]["region_weights"]
    assert set(weights) == {"background", "NCR", "ED", "ET"} and weights["NCR"] > weights["ET"] > weights["ED"]
    assert main(["--recipe", "anand2020", "--device", "cpu"]) == 0
    assert "In the plan already and kept: 3d_fullres_anand2020" in capsys.readouterr().out
    assert configurations(workspace) == after


def test_planning_again_keeps_the_recipes(studies, workspace) -> None:
    assert plan_it(studies, "--recipe", "tweedy2021") == 0
    assert plan_it(studies, "--max-hours", "1") == 0
    assert list(configurations(workspace)) == ["3d_fullres", "3d_fullres_tweedy2021"]
    assert plan_it(studies, "--overwrite") == 0
    assert list(configurations(workspace)) == ["3d_fullres"]


def test_a_recipe_beside_an_edited_plan_leaves_the_edit(studies, workspace) -> None:
    assert plan_it(studies) == 0
    file = workspace / "glioma" / "plan.json"
    plan = read_json(file)
    plan["configurations"]["3d_fullres"]["training"]["iterations"] = 777
    write_json(file, plan)
    assert main(["--recipe", "tweedy2021", "--device", "cpu"]) == 0
    assert plan_it(studies) == 0
    assert configurations(workspace)["3d_fullres"]["training"]["iterations"] == 777
    assert "3d_fullres_tweedy2021" in configurations(workspace)


def test_as_published_keeps_sizes_and_epochs(studies, workspace) -> None:
    assert plan_it(studies) == 0
    assert main(["--recipe", "anand2020", "--as-published", "--device", "cpu"]) == 0
    anand = configurations(workspace)["3d_fullres_anand2020"]
    (entry,) = anand["pool"]
    assert (entry["patch_size"], entry["batch_size"]) == ([64, 64, 64], 4) and entry["memory_gib"] > 0.3
    assert anand["network"]["options"]["growth_rate"] == 4
    assert anand["training"]["max_hours"] is None and anand["training"]["average_decay"] is None


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--recipe", "anand2021"], "There is no recipe 'anand2021'; known: anand2020, nguyen2020_bifpn"),
        (["--as-published"], "--as-published is said of recipes; name one with --recipe."),
        (
            ["--as-published", "--recipe", "anand2020"],
            "--as-published keeps the paper's schedule; leave --max-hours out",
        ),
    ],
)
def test_wrong_wishes_about_recipes_are_told(studies, workspace, capsys, more, told) -> None:
    assert plan_it(studies, *more) == 2
    assert told in capsys.readouterr().err


def test_a_published_split_holds_test_cases_back(studies, workspace, capsys) -> None:
    for index in range(6, 20):
        write_study(studies, f"BraTS2021_{index:05d}", index)
    assert plan_it(studies, "--split", "70:20:10") == 0
    (fold,) = read_json(workspace / "glioma" / "splits.json")
    assert (len(fold["train"]), len(fold["val"])) == (14, 4)
    assert "14 cases train, 4 validate, 2 are held back for testing" in capsys.readouterr().out
    assert read_json(workspace / "glioma" / "plan.json")["folds"] == 1


def test_a_split_of_few_patients_is_refused(studies, workspace, capsys) -> None:
    assert plan_it(studies, "--split", "70:20:10") == 2
    assert "One split needs at least 10 patients" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["-i", str(studies), "--split", "70:20"])
    assert "'70:20' is not of the form 70:20:10" in capsys.readouterr().err
