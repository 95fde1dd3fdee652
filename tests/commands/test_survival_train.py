"""autobrats_survival_train from the outside: what it reads, what it writes, messages, exit codes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from survival.study_files import write_studies
from survival_tables import check_predictions, rows_of, write_tables
from tiny_dataset import tiny_configuration

from autobrats.commands.survival_evaluate import main as evaluate
from autobrats.commands.survival_train import main
from autobrats.dataset.reading import read_dataset
from autobrats.evaluation.survival.metrics import read_survival_metrics
from autobrats.files import read_json, write_csv, write_json
from autobrats.plan import Normalisation, Plan, Preprocessing
from autobrats.reporting.page.data import ReportData
from autobrats.reporting.page.page import write_report
from autobrats.survival.survival_predictor import SurvivalPredictor
from autobrats.survival.training_files import WRITTEN
from autobrats.workspace import DatasetFolder, Workspace

ROOT = Path(__file__).parents[2]
QUICK = ("--trials", "0", "--repeats", "1", "--folds", "2", "--workers", "0")


def train(*arguments: object, quick: bool = True) -> int:
    return main([str(argument) for argument in (*arguments, *(QUICK if quick else ()))])


@pytest.fixture(autouse=True)
def no_dataset(workspace: Path) -> Path:
    """The workspace is empty unless a test puts something into it."""
    return workspace


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_tables(tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def trained(tables: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    features, clinical = tables
    folder = tmp_path_factory.mktemp("trained") / "model"
    assert train("--features", features, "--clinical", clinical, "-o", folder) == 0
    return folder


@pytest.fixture
def masks(tmp_path: Path) -> tuple[Path, Path]:
    """Label maps without images of 20 patients, and their clinical table."""
    names = write_studies(tmp_path / "studies", 20)
    (tmp_path / "masks").mkdir()
    for name in names:
        (tmp_path / "studies" / name / f"{name}_seg.nii.gz").rename(tmp_path / "masks" / f"{name}.nii.gz")
    rows = [[name, 50 + number, 900 - 20 * number] for number, name in enumerate(names)]
    write_csv(tmp_path / "ages.csv", ["ID", "Age", "Survival"], rows)
    return tmp_path / "masks", tmp_path / "ages.csv"


def test_everything_is_written_and_nothing_else(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {*WRITTEN, "clinical_report.csv", "nested"}
    assert read_json(trained / "features.json")["source"] == "table"
    scores = {(row["model"], row["metric"]): row for row in rows_of(trained / "scores.csv")}
    age = scores["age", "c_harrell"]
    assert float(age["low"]) < float(age["value"]) < float(age["high"]) and age["training"]
    assert {"age", "age and resection", "tuned"} < {model for model, _ in scores}
    assert read_json(trained / "story.json")["patients"][0]["patient"] == "P000"
    assert "<svg" in (trained / "report.html").read_text(encoding="utf-8")
    assert float(rows_of(trained / "importances.csv")[0]["drop_of_c_index"]) > 0


def test_the_screen_says_what_was_taken_and_why(tables: tuple[Path, Path], trained: Path, capsys) -> None:
    features, clinical = tables
    assert train("--features", features, "--clinical", clinical, "-o", trained) == 0
    told = capsys.readouterr().out
    assert "40 patients with survival, " in told and "read as survival_days" in told
    assert "nested cross-validation: 2 of 2" in told and "1 of 2" not in told  # of the finished splits
    assert " is taken" in told and "95 % interval" in told and f"Report: {trained / 'report.html'}" in told


def test_out_of_fold_predictions_score_as_the_table_says(
    trained: Path, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    assert len(check_predictions(trained / "out_of_fold.csv")) == 40
    arguments = ["-p", trained / "out_of_fold.csv", "-r", tables[1], "-o", tmp_path / "scores"]
    assert evaluate([str(it) for it in arguments]) == 0
    found = read_survival_metrics(tmp_path / "scores" / "survival_metrics.json").scores
    first = rows_of(trained / "scores.csv")[0]["model"]
    told = {row["metric"]: row["value"] for row in rows_of(trained / "scores.csv") if row["model"] == first}
    # One repeat: nothing is averaged. The order is scored within folds here, and among all patients there.
    for metric in ("accuracy", "mse", "median_se", "interval_coverage"):
        assert found[metric].value == pytest.approx(float(told[metric]), rel=2e-3), metric


def assert_same(one: Path, other: Path) -> None:
    """All files but those that hold a date, and the archive of estimators, which has one inside."""
    for name in set(WRITTEN) - {"story.json", "report.html", "survival.json", "model.skops"}:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    models = [read_json(folder / "survival.json") for folder in (one, other)]
    for model in models:
        del model["estimators_sha256"]
    assert models[0] == models[1]


def test_the_same_seed_gives_the_same_files(tables: tuple[Path, Path], trained: Path, tmp_path: Path) -> None:
    features, clinical = tables
    assert train("--features", features, "--clinical", clinical, "-o", tmp_path / "again") == 0
    assert_same(tmp_path / "again", trained)
    assert train("--features", features, "--clinical", clinical, "-o", tmp_path / "other", "--seed", 1) == 0
    assert (tmp_path / "other" / "scores.csv").read_bytes() != (trained / "scores.csv").read_bytes()


def test_clinical_data_alone_needs_no_workspace(tables: tuple[Path, Path], tmp_path: Path, workspace: Path) -> None:
    assert train("--clinical", tables[1], "-o", tmp_path / "model", "--gtr-only") == 0
    assert read_json(tmp_path / "model" / "features.json")["source"] == "clinical"
    assert len(rows_of(tmp_path / "model" / "out_of_fold.csv")) == 20
    assert not (tmp_path / "model" / "features.csv").exists() and not workspace.exists()
    assert SurvivalPredictor.load(tmp_path / "model").model.features == ("clinical_age",)


def test_without_an_output_the_model_is_the_workspaces(tables: tuple[Path, Path], workspace: Path, capsys) -> None:
    assert train("--clinical", tables[1]) == 0
    assert "the clinical data alone is learnt from" in capsys.readouterr().out
    assert (workspace / "survival" / "survival.json").is_file()


def test_masks_without_images(masks: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    folder, clinical = masks
    arguments = ("-s", folder, "--clinical", clinical, "-o", tmp_path / "model", "--no-radiomics")
    assert train(*arguments) == 0
    assert read_json(tmp_path / "model" / "features.json")["source"] == "images"
    features = rows_of(tmp_path / "model" / "features.csv")
    assert [row["patient"] for row in features] == [f"BraTS2021_{number:05d}" for number in range(20)]
    assert float(features[3]["size_WT_ml"]) > float(features[0]["size_WT_ml"]) > 0
    assert not any("shape_" in name for name in features[0])
    cached = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "model" / "features").iterdir()}
    assert cached
    assert train(*arguments) == 0
    assert cached == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "model" / "features").iterdir()}
    assert "20 cases, such as BraTS2021_00000: the brain is not known" in capsys.readouterr().err


def test_a_bad_case_is_left_out_and_named(masks: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    folder, clinical = masks
    write_studies(tmp_path / "more", 21)
    last = tmp_path / "more" / "BraTS2021_00020" / "BraTS2021_00020_seg.nii.gz"
    (folder / "BraTS2021_00020.nii.gz").write_bytes(last.read_bytes()[:60])
    clinical.write_text(clinical.read_text() + "BraTS2021_00020,60,600\n")
    assert train("-s", folder, "--clinical", clinical, "-o", tmp_path / "model", "--no-radiomics") == 1
    assert "BraTS2021_00020: left out: " in capsys.readouterr().err
    assert len(rows_of(tmp_path / "model" / "out_of_fold.csv")) == 20


def test_other_patients_are_noticed_before_features_are_computed(
    masks: tuple[Path, Path], tables: tuple[Path, Path], tmp_path: Path, capsys
) -> None:
    assert train("-s", masks[0], "--clinical", tables[1], "-o", tmp_path / "model") == 2
    error = capsys.readouterr().err
    assert "'BraTS2021_00000', the clinical table like 'P000'" in error and error.count("\n") == 1
    assert not (tmp_path / "model").exists()


@pytest.fixture
def glioma(tmp_path: Path, workspace: Path) -> DatasetFolder:
    """A planned dataset of 20 studies with ages and survival, and its report."""
    names = write_studies(tmp_path / "studies", 20)
    rows = [[name, f"patient_{name[-2:]}", 50 + number, 900 - 20 * number] for number, name in enumerate(names)]
    write_csv(tmp_path / "studies" / "cases.csv", ["case", "patient", "age", "survival_days"], rows)
    folder = Workspace(workspace).new_dataset("glioma")
    dataset, _ = read_dataset(tmp_path / "studies", name="glioma")
    write_json(folder.dataset_file, dataset)
    plan = Plan(
        dataset="glioma",
        modalities=dataset.modalities,
        convention=dataset.convention,
        preprocessing=Preprocessing(
            crop_to_brain=True,
            spacing_mm=(2.0, 1.0, 1.0),
            normalisation={modality: Normalisation() for modality in dataset.modalities},
        ),
        configurations={"3d_fullres": tiny_configuration(dataset.modalities, "regions")},
    )
    write_report(folder.report_file, ReportData(title="Glioma", created="today", dataset=dataset, plan=plan))
    return folder


def test_a_planned_dataset_and_the_section_of_its_report(glioma: DatasetFolder, capsys) -> None:
    before = glioma.report_file.read_text(encoding="utf-8")
    assert train("--no-radiomics") == 0
    assert "patient_00" in (glioma.survival / "out_of_fold.csv").read_text()
    first = glioma.report_file.read_text(encoding="utf-8")
    assert before.count('<section id="survival"') == 0 and first.count('<section id="survival"') == 1
    assert train("--no-radiomics", "--seed", "1") == 0
    second = glioma.report_file.read_text(encoding="utf-8")
    assert second.count('<section id="survival"') == 1 and second != first
    assert capsys.readouterr().out.endswith(f"Report: {glioma.report_file}\n")


def test_a_table_of_features_for_a_named_dataset(glioma: DatasetFolder, tables: tuple[Path, Path]) -> None:
    features, clinical = tables
    assert train("-d", "glioma", "--features", features, "--clinical", clinical) == 0
    assert read_json(glioma.survival / "features.json")["source"] == "table"
    assert '<section id="survival"' in glioma.report_file.read_text(encoding="utf-8")


def test_a_folder_of_its_own_and_a_clinical_table_leave_the_dataset_alone(
    glioma: DatasetFolder, tables: tuple[Path, Path], tmp_path: Path
) -> None:
    before = glioma.report_file.read_bytes()
    assert train("--clinical", tables[1], "-o", tmp_path / "model") == 0
    assert read_json(tmp_path / "model" / "features.json")["source"] == "clinical"
    assert glioma.report_file.read_bytes() == before and not glioma.survival.exists()


def test_several_tables_and_a_column_map(tables: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    features, clinical = tables
    text = clinical.read_text().replace("OS,1-dead 0-alive", "follow_up_length,outcome")
    (tmp_path / "mine.csv").write_text(text)
    (tmp_path / "grades.csv").write_text("ID,Grade\n" + "".join(f"P{n:03d},{2 + n % 3}\n" for n in range(40)))
    arguments = ["--features", features, "--clinical", tmp_path / "mine.csv", tmp_path / "grades.csv"]
    arguments += ["--columns", "survival_days=follow_up_length", "died=outcome", "-o", tmp_path / "model"]
    assert (
        train(*arguments, "--trials", "9", "--max-hours", "0.0001", *QUICK[2:], "--objective", "mse", quick=False) == 0
    )
    told = capsys.readouterr().out
    assert "age, grade and resection" in told and " is taken" in told


def test_a_null_check_and_intervals_without_an_upper_end(tmp_path: Path, capsys) -> None:
    features, clinical = write_tables(tmp_path, censored=0.6)
    arguments = ("--features", features, "--clinical", clinical, "-o", tmp_path / "model")
    assert train(*arguments, "--null-checks", "1") == 0
    told = capsys.readouterr().out
    assert "Check 1 with survival shuffled between the patients: C-index of the tuned models is " in told
    assert "inf" in {row["days_high"] for row in check_predictions(tmp_path / "model" / "out_of_fold.csv")}
    assert read_json(tmp_path / "model" / "story.json")["patients"][0]["days_high"] is None


@pytest.mark.slow
def test_a_recipe(tables: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    features, clinical = tables
    text = features.read_text().replace("load,noise_1", "original_shape_Load,original_firstorder_Noise")
    (tmp_path / "radiomics.csv").write_text(text)
    arguments = ("--features", tmp_path / "radiomics.csv", "--clinical", clinical, "-o", tmp_path / "model")
    assert train(*arguments, "--recipe", "anand2020") == 0
    assert "'anand2020' is taken, because it was asked for." in capsys.readouterr().out
    assert "original_shape_Load" in SurvivalPredictor.load(tmp_path / "model").model.features


def wrong_tables(folder: Path) -> dict[str, Path]:
    _, clinical = write_tables(folder, 12)
    (folder / "file").write_text("mine")
    (folder / "mine").mkdir()
    (folder / "mine" / "scores.csv").write_text("mine")
    (folder / "grades.csv").write_text("ID,Grade\n" + "".join(f"P{number:03d},4\n" for number in range(40)))
    (folder / "others.csv").write_text("ID,Age,OS\n" + "".join(f"X{n},60,{n + 90}\n" for n in range(40)))
    return {
        "FEW": clinical,
        "GRADES": folder / "grades.csv",
        "OTHERS": folder / "others.csv",
        "FILE": folder / "file",
        "MINE": folder / "mine",
        "BELOW": folder / "file" / "model",
        "STUDIES": folder / "mine",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--clinical", "missing.csv"], "missing.csv does not exist"),
        (["--features", "missing.csv"], "missing.csv does not exist"),
        (["--clinical", "FEW"], "12 patients with known survival"),
        (["--clinical", "GRADES"], "There are 0 patients with known survival"),
        (["--clinical", "OTHERS"], "the features have ids like 'P000', the clinical table like 'X0'"),
        (["-i", "STUDIES"], "not both"),
        (["-s", "STUDIES"], "not both"),
        (["--columns", "survival_days=nothing"], "has no column 'nothing'"),
        (["--columns", "survival_days"], "ROLE=HEADER"),
        (["--recipe", "nobody2020"], "There is no survival recipe 'nobody2020'; known: anand2020."),
        (["--folds", "30"], "40 patients are too few for 30 folds; give --folds 20 or less"),
        (["--convention", "brats2021"], "--convention is of the label maps"),
        (["-d", "glioma"], "holds no dataset yet"),
        (["-o", "FILE"], "is a file; name a folder"),
        (["-o", "BELOW"], "Nothing can be written into"),
        (["-o", "MINE"], "scores.csv is not from autobrats_survival_train"),
    ],
)
def test_wrong_use_is_one_sentence_and_code_2(
    tables: tuple[Path, Path], tmp_path: Path, capsys, change: list[str], said: str
) -> None:
    places = wrong_tables(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    arguments = ["--features", tables[0], "--clinical", tables[1], "-o", tmp_path / "model", *QUICK]
    assert train(*arguments, *(places.get(word, word) for word in change), quick=False) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "mine" / "scores.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "There is nothing to learn from: the workspace "),
        (["--features", "TABLE", "-o", "model"], "No clinical data is given; name a table"),
        (["--columns", "age_years=Age"], "nothing to learn from"),
    ],
)
def test_too_little_is_one_sentence_and_code_2(
    tables: tuple[Path, Path], capsys, arguments: list[str], said: str
) -> None:
    assert train(*(tables[0] if word == "TABLE" else word for word in arguments)) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [["--folds", "1"], ["--max-hours", "0"], ["--max-hours", "nan"], ["--objective", "auc"]]
)
def test_impossible_numbers_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        train(*arguments)
    assert end.value.code == 2


def test_an_interrupted_training_goes_on_from_the_finished_splits(
    tables: tuple[Path, Path], trained: Path, tmp_path: Path, capsys
) -> None:
    features, clinical = tables
    options = ["--features", features, "--clinical", clinical, "-o", tmp_path / "model", *QUICK]
    # Of two splits one is there, so that the signal comes in the midst of the other; it is a long one.
    kept = next((trained / "nested").iterdir())
    place = tmp_path / "model" / "nested" / kept.name
    place.mkdir(parents=True)
    shutil.copy(kept / "repeat_0_fold_0.json", place)
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_TRAINING, *map(str, options)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("nested cross-validation: 1 of 2"):
            break
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on from there" in told
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["clinical_report.csv", "nested"]

    assert train(*options, quick=False) == 0
    assert "nested cross-validation: 0 of 2" not in capsys.readouterr().out
    assert_same(tmp_path / "model", trained)


SLOW_TRAINING = """
import sys, time
from autobrats.commands.survival_train import main
from autobrats.survival.tuning import nested
quick = nested.search_model
nested.search_model = lambda *arguments, **options: (time.sleep(60), quick(*arguments, **options))[1]
sys.exit(main())
"""
"""The command with a search that waits."""


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("files", "patients"),
    [(["brats2017.csv"], 59), (["brats2019.csv", "name_mapping.csv"], 60)],
)
def test_the_tables_of_the_challenge_alone(
    realdata: Path, tmp_path: Path, capsys, files: list[str], patients: int
) -> None:
    tables = [realdata / "survival_tables" / file for file in files]
    assert train("--clinical", *tables, "-o", tmp_path / "model", "--trials", "0", *QUICK[2:], quick=False) == 0
    assert f"{patients} patients with survival, " in capsys.readouterr().out
    assert len(check_predictions(tmp_path / "model" / "out_of_fold.csv")) == patients
