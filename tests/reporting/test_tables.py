"""Tables as text, and what a score looks like."""

from __future__ import annotations

import io

import pytest

from autobrats.evaluation.metrics_file import build_metrics, case_metrics
from autobrats.evaluation.summary import Summary
from autobrats.reporting.tables import fold_list, plain_table, print_scores, print_summary, print_table, with_interval


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def metrics(configuration: str = "3d_fullres", fold: int = 0):
    scores = {
        "WT": {"dice": 0.9, "hd95": 2.0, "sensitivity": 0.8, "precision": 1.0},
        "ET": {"dice": 0.7, "hd95": float("nan"), "sensitivity": float("nan"), "precision": 0.5},
    }
    return build_metrics(configuration, {name: case_metrics(name, scores, fold) for name in "abc"})


def test_columns_are_aligned_numbers_to_the_right() -> None:
    text = plain_table(["case", "Dice"], [["a", "0.5"], ["long name", "10.25"]], title="Scores")
    assert text.splitlines() == [
        "Scores",
        "case        Dice",
        "---------  -----",
        "a            0.5",
        "long name  10.25",
    ]


def test_a_name_that_begins_with_a_digit_is_no_number() -> None:
    assert plain_table(["configuration"], [["3d_fullres"]]).splitlines()[2] == "3d_fullres"


def test_a_cell_of_several_lines() -> None:
    assert plain_table(["a", "b"], [["x\ny", "z"]]).splitlines()[2:] == ["x  z", "y"]


def test_a_table_without_rows_is_its_headings() -> None:
    assert plain_table(["a", "b"], []).splitlines() == ["a  b", "-  -"]


@pytest.mark.parametrize("file", [io.StringIO(), Terminal()])
def test_markup_in_a_value_is_shown_as_it_is(file: io.StringIO) -> None:
    print_table(["file", "fault"], [["[red]x[/red]", None]], title="T", file=file)
    assert "[red]x[/red]" in file.getvalue() and "-" in file.getvalue()


def test_a_mean_with_its_interval() -> None:
    assert with_interval(Summary(n=3, mean=0.91234, low=0.9, high=0.92)) == "0.912 (0.900-0.920)"
    assert with_interval(Summary(n=1, mean=2.345), 1) == "2.3"
    assert with_interval(Summary(n=0)) is None and with_interval(None) is None


def test_scores_by_configuration() -> None:
    file = io.StringIO()
    print_scores({"one": metrics("one"), "two": metrics("two", 1)}, file=file)
    lines = file.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[2].split() == [
        "one", "0", "3", "0.900", "(0.900-0.900)", "0.700", "(0.700-0.700)", "0.800", "(0.800-0.800)", "2.0", "/", "-",
    ]  # fmt: skip


def test_the_summary_of_a_run_has_a_line_a_region() -> None:
    file = io.StringIO()
    print_summary(metrics(), file=file)
    lines = file.getvalue().splitlines()[2:]
    assert [line.split()[0] for line in lines] == ["WT", "ET"]
    assert lines[1].split()[-3:] == ["-", "0.500", "(0.500-0.500)"]


@pytest.mark.parametrize(
    "folds, text",
    [([0, 1, 2, 3, 4], "0-4"), ([0, 1], "0, 1"), ([0, 2, 4], "0, 2, 4"), (["all"], "all"), ([], "")],
)
def test_folds_as_people_write_them(folds: list, text: str) -> None:
    assert fold_list(folds) == text
