"""autobrats_survival_evaluate from the outside: tables, the page, messages, exit codes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sksurv.metrics import concordance_index_censored
from survival_story import made_up_survival

from autobrats.commands.survival_evaluate import WRITTEN, main
from autobrats.evaluation.survival.metrics import SURVIVAL_METRICS, read_survival_metrics
from autobrats.evaluation.survival.prediction_file import write_predictions
from autobrats.evaluation.survival.predictions import SurvivalPredictions

NUMBER = 40
NAMES = [f"UCSF-PDGM-{number:03d}" for number in range(NUMBER)]


@pytest.fixture
def days_died() -> tuple[np.ndarray, np.ndarray]:
    days, died, _ = made_up_survival(NUMBER, 3)
    return days, died


@pytest.fixture
def clinical(tmp_path: Path, days_died: tuple[np.ndarray, np.ndarray]) -> Path:
    path = tmp_path / "clinical.csv"
    lines = ["ID,Age,OS,1-dead 0-alive,EOR"]
    for row, (name, days, died) in enumerate(zip(NAMES, *days_died, strict=True)):
        lines.append(f"{name},{50 + row % 30},{days:.0f},{int(died)},{'GTR' if row % 2 else 'STR'}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    """With all columns, in another order of patients than the clinical table."""
    *_, predicted = made_up_survival(NUMBER, 3)
    order = np.random.default_rng(0).permutation(NUMBER)
    write_predictions(tmp_path / "survival.csv", [NAMES[row] for row in order], predicted.rows(order))
    return tmp_path / "survival.csv"


def portal_file(path: Path, days: np.ndarray, names: list[str] = NAMES) -> Path:
    path.write_text("".join(f"{name},{value}\n" for name, value in zip(names, days, strict=True)))
    return path


def test_the_scores_are_those_of_the_patients(
    tmp_path: Path, predictions: Path, clinical: Path, days_died: tuple[np.ndarray, np.ndarray], capsys
) -> None:
    assert main(["-p", str(predictions), "-r", str(clinical), "-o", str(tmp_path / "out")]) == 0
    days, died = days_died
    *_, predicted = made_up_survival(NUMBER, 3)
    told = np.round(predicted.days, 1)
    metrics = read_survival_metrics(tmp_path / "out" / "survival_metrics.json")
    assert metrics.patients == NUMBER and metrics.deaths == died.sum()
    assert metrics.scores["mse"].value == pytest.approx(np.mean((told - days)[died] ** 2))
    assert metrics.scores["spearman_r"].value == pytest.approx(spearmanr(told[died], days[died]).statistic)
    c = concordance_index_censored(died, days, predicted.risk)[0]
    assert metrics.scores["c_harrell"].value == pytest.approx(c)
    inside = (predicted.days_low <= days) & (days <= predicted.days_high)
    assert metrics.scores["interval_coverage"].value == pytest.approx(inside[died].mean())
    assert metrics.scores["brier_integrated"].reason == "no survival curves were predicted"

    shown = capsys.readouterr().out
    for word in (
        "accuracy",
        "medianSE",
        "SpearmanR",
        "C-index (IPCW)",
        "balanced accuracy",
        "was short",
        "calibration",
    ):
        assert word in shown, word
    assert f"{c:.3f} (" in shown and f"{NUMBER} patients are scored" in shown
    table = list(csv.DictReader((tmp_path / "out" / "survival_metrics.csv").open()))
    assert [row["metric"] for row in table][: len(SURVIVAL_METRICS)] == list(SURVIVAL_METRICS)
    page = (tmp_path / "out" / "survival.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 3 and f"{c:.3f}" in page
    assert set(WRITTEN) - {"survival_comparison.csv"} == {path.name for path in (tmp_path / "out").iterdir()}


def test_days_alone_as_the_portal_takes_them(tmp_path: Path, clinical: Path, capsys) -> None:
    *_, predicted = made_up_survival(NUMBER, 3)
    assert main(["-p", str(portal_file(tmp_path / "days.csv", predicted.days)), "-r", str(clinical)]) == 0
    shown = capsys.readouterr().out
    assert "0.000" not in shown.splitlines()[6] and "survival after 300 days was not predicted" in shown
    assert "no intervals were predicted" in shown


def test_total_resections_only(tmp_path: Path, predictions: Path, clinical: Path, capsys) -> None:
    assert main(["-p", str(predictions), "-r", str(clinical), "--gtr-only", "-o", str(tmp_path / "out")]) == 0
    metrics = read_survival_metrics(tmp_path / "out" / "survival_metrics.json")
    assert metrics.patients == NUMBER // 2
    assert "20 left out: resection is STR, not GTR" in capsys.readouterr().out


def test_a_comparison_names_the_better_only_beyond_its_interval(
    tmp_path: Path, predictions: Path, clinical: Path, days_died: tuple[np.ndarray, np.ndarray], capsys
) -> None:
    days, _ = days_died
    oracle = portal_file(tmp_path / "oracle.csv", days)
    *_, predicted = made_up_survival(NUMBER, 3)
    same = tmp_path / "same.csv"
    write_predictions(same, NAMES, predicted)
    arguments = ["-p", str(predictions), "-r", str(clinical), "--compare", str(oracle), str(same)]
    assert main([*arguments, "-o", str(tmp_path / "out")]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "survival_comparison.csv").open()))
    better = {(row["second"], row["metric"]): row["better"] for row in rows}
    assert better["oracle", "c_harrell"] == better["oracle", "mse"] == "oracle"
    assert ("oracle", "brier_300") not in better  # the oracle has no probabilities
    assert not any(better[key] for key in better if key[0] == "same")
    assert "survival minus oracle" in capsys.readouterr().out
    assert main(["-p", str(predictions), "-r", str(clinical), "-o", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / "survival_comparison.csv").exists()


def test_censoring_may_be_taken_from_the_training_patients(
    tmp_path: Path, predictions: Path, clinical: Path, capsys
) -> None:
    training = tmp_path / "training.csv"
    days, died, _ = made_up_survival(200, 9)
    rows = [f"T{row},{day:.0f},{int(event)}" for row, (day, event) in enumerate(zip(days, died, strict=True))]
    training.write_text("\n".join(["ID,OS,1-dead 0-alive", *rows]) + "\n")
    values = []
    for extra in ([], ["--training", str(training)]):
        assert main(["-p", str(predictions), "-r", str(clinical), "-o", str(tmp_path / "out"), *extra]) == 0
        scores = read_survival_metrics(tmp_path / "out" / "survival_metrics.json").scores
        values.append((scores["c_harrell"].value, scores["c_ipcw"].value))
    assert values[0][0] == values[1][0] and values[0][1] != values[1][1]
    assert "as of 200 patients" in capsys.readouterr().out


def test_predictions_without_a_patient_end_with_code_1(tmp_path: Path, clinical: Path, capsys) -> None:
    names = [*NAMES[:30], "somebody_else"]
    path = portal_file(tmp_path / "days.csv", np.linspace(50, 900, 31), names)
    assert main(["-p", str(path), "-r", str(clinical)]) == 1
    told = capsys.readouterr()
    assert "somebody_else" in told.err and "10 more of the clinical table were not predicted" in told.out


def test_a_column_map(tmp_path: Path, predictions: Path, clinical: Path, capsys) -> None:
    text = clinical.read_text().replace("OS,1-dead 0-alive", "follow_up_length,outcome")
    clinical.write_text(text)
    arguments = ["-p", str(predictions), "-r", str(clinical)]
    assert main([*arguments, "--columns", "survival_days=follow_up_length", "died=outcome"]) == 0
    assert f"{NUMBER} patients are scored" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--columns", "survival_days"], "ROLE=HEADER"),
        (["--compare", "FIRST"], "given twice"),
        (["--compare", "SHORT"], "no prediction of"),
        (["-p", "NOBODY"], "can be scored"),
        (["-p", "missing.csv"], "does not exist"),
        (["-r", "missing.csv"], "does not exist"),
        (["-o", "MINE"], "choose another output folder"),
    ],
)
def test_wrong_use_is_one_sentence_and_code_2(
    tmp_path: Path, predictions: Path, clinical: Path, capsys, change: list[str], said: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "survival_metrics.csv").write_text("mine")
    places = {
        "FIRST": predictions,
        "SHORT": portal_file(tmp_path / "short.csv", np.ones(3) * 100, NAMES[:3]),
        "NOBODY": portal_file(tmp_path / "nobody.csv", np.ones(2) * 100, ["x", "y"]),
        "MINE": tmp_path / "mine",
    }
    arguments = ["-p", str(predictions), "-r", str(clinical), *(str(places.get(word, word)) for word in change)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert (tmp_path / "mine" / "survival_metrics.csv").read_text() == "mine"


def test_the_settings_are_kept(tmp_path: Path, predictions: Path, clinical: Path) -> None:
    assert main(["-p", str(predictions), "-r", str(clinical), "-o", str(tmp_path / "out"), "--seed", "7"]) == 0
    settings = json.loads((tmp_path / "out" / "survival_evaluation.json").read_text())
    assert settings["seed"] == 7 and settings["gtr_only"] is False and settings["references"] == str(clinical.resolve())


@pytest.mark.realdata
def test_age_alone_on_real_patients(tmp_path: Path, realdata: Path, capsys) -> None:
    from autobrats.dataset.clinical.reading import read_clinical

    table = realdata / "ucsf_pdgm" / "clinical.csv"
    known = [record for record in read_clinical(table).records if record.age_years is not None]
    age = np.array([record.age_years for record in known])
    write_predictions(tmp_path / "age.csv", [record.patient for record in known], SurvivalPredictions(risk=age))
    assert main(["-p", str(tmp_path / "age.csv"), "-r", str(table), "-o", str(tmp_path / "out")]) == 0
    metrics = read_survival_metrics(tmp_path / "out" / "survival_metrics.json")
    days = np.array([record.survival_days for record in known])
    died = np.array([record.died for record in known])
    expected = concordance_index_censored(died, days, age)[0]
    assert metrics.patients == 391 and metrics.scores["c_harrell"].value == pytest.approx(expected, abs=1e-12)
    assert metrics.scores["accuracy"].reason == "no days were predicted"
