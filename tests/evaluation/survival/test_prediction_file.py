"""survival.csv comes back as it was written; the portal's two columns are read; wrong tables are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autobrats.errors import UserError
from autobrats.evaluation.survival.prediction_file import read_predictions, write_predictions
from autobrats.evaluation.survival.predictions import SurvivalPredictions

FULL = SurvivalPredictions(
    days=np.array([100.0, 500.5]),
    risk=np.array([0.25, -1.5]),
    days_low=np.array([20.0, 60.0]),
    days_high=np.array([900.0, 1500.0]),
    classes=np.array([0, 2]),
    probabilities=np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]]),
)


def test_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "survival.csv"
    write_predictions(path, ["a, the first", "b"], FULL)
    assert path.read_text().splitlines()[0] == "patient,days,days_low,days_high,class,p_short,p_mid,p_long,risk"
    read = read_predictions(path)
    assert read.patients == ("a, the first", "b")
    for name in ("days", "risk", "days_low", "days_high", "classes", "probabilities"):
        assert getattr(read.predictions, name) == pytest.approx(getattr(FULL, name)), name


def test_what_was_not_predicted_stays_unknown(tmp_path: Path) -> None:
    path = tmp_path / "survival.csv"
    write_predictions(path, ["a", "b"], SurvivalPredictions(risk=np.array([1.0, 2.0])))
    read = read_predictions(path).predictions
    assert read.days is None and read.probabilities is None and read.predicted_classes is None
    assert read.risk is not None and read.risk.tolist() == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "BraTS20_Training_001,289\nBraTS20_Training_002,616.5\n",
        "id,days\nBraTS20_Training_001,289\nBraTS20_Training_002,616.5\n",
        "BraTS20ID,Survival\r\nBraTS20_Training_001,289\r\n\r\nBraTS20_Training_002,616.5\r\n",
        "\ufeffdays;ID\n289;BraTS20_Training_001\n616.5;BraTS20_Training_002\n",
    ],
)
def test_two_columns_are_ids_and_days(tmp_path: Path, text: str) -> None:
    (tmp_path / "days.csv").write_text(text, encoding="utf-8")
    read = read_predictions(tmp_path / "days.csv")
    assert read.patients == ("BraTS20_Training_001", "BraTS20_Training_002")
    assert read.predictions.days is not None and read.predictions.days.tolist() == [289, 616.5]


def test_rounded_probabilities_sum_to_one_again(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("patient,risk,p_short,p_mid,p_long\na,1,0.33,0.33,0.33\n")
    read = read_predictions(tmp_path / "p.csv").predictions
    assert read.probabilities is not None and read.probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("patient,days\n", "no patients"),
        ("a,1\na,2\n", "a has several rows"),
        ("patient,days,risk\na,many,1\n", "'days' of a is 'many'"),
        ("patient,days,risk\na,,1\nb,3,1\n", "'days' of a is ''"),
        ("patient,days,risk\na,nan,1\n", "'days' of a is 'nan'"),
        ("patient,age,sex\na,3,f\n", "neither a column 'days' nor 'risk'"),
        ("name,days,risk\na,3,1\n", "no column 'patient'"),
        ("patient,days,class\na,3,medium\n", "class of a is 'medium'"),
        ("patient,days,p_short\na,3,0.5\n", "no 'p_mid'"),
        ("patient,days,p_short,p_mid,p_long\na,3,0.5,0.5,0.5\n", "sum to 1"),
        ("patient,days,days_low,days_high\na,3,5,4\n", "days_low of a is above days_high"),
        ("patient,days,risk\na,3\n", "2 cells instead of 3"),
        ("patient,days,risk\n,3,1\n", "has no id"),
    ],
)
def test_wrong_tables_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        read_predictions(path)
    assert said in str(error.value) and str(path) in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_predictions(tmp_path / "none.csv")
