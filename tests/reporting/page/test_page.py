"""The page is whole, stands alone, escapes what it is given, and shows the numbers of the data."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from autobrats.reporting.page.data import ReportData
from autobrats.reporting.page.page import page, write_report

VOID = {"meta", "img", "wbr", "br", "link", "input"}


class Reader(HTMLParser):
    """Reads a page, and fails where tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of {tag} stands twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(data for tag, data in self.texts if tag != "style").split())


def section_ids(text: str) -> list[str | None]:
    return [attributes["id"] for attributes in Reader(text).all("section")]


def test_the_page_is_well_formed_and_accessible(full: ReportData) -> None:
    read = Reader(page(full))
    ids = [attributes["id"] for _, attributes in read.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] for attributes in read.all("a")]
    assert links and all(link and link.removeprefix("#") in ids for link in links)
    assert read.all("html")[0]["lang"] == "en"
    assert all(attributes.get("alt") for attributes in read.all("img"))
    drawings = read.all("svg")
    assert all(it.get("aria-hidden") or (it.get("role") == "img" and it.get("aria-label")) for it in drawings)
    assert all(attributes.get("scope") in ("row", "col", "colgroup") for attributes in read.all("th"))
    assert len(read.all("table")) == len(read.all("caption"))
    assert len(read.all("figure")) == len(read.all("figcaption"))


def test_headings_go_down_by_one_level(full: ReportData) -> None:
    levels = [int(tag[1]) for tag, _ in Reader(page(full)).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_nothing_is_fetched_from_anywhere(full: ReportData) -> None:
    text = page(full)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    read = Reader(text)
    assert not read.all("script") and not read.all("link")
    assert all(attributes["src"].startswith("data:image/png;base64,") for attributes in read.all("img"))
    assert not any(key.startswith("on") for _, attributes in read.tags for key in attributes)


def test_names_from_the_data_are_text(full: ReportData) -> None:
    text = page(full)
    assert "<script" not in text and "<the>" not in text and "<b>" not in text
    shown = Reader(text).text
    assert "<script>alert('&\"case\"')</script> (worst)" in shown
    assert "behind <the> best" in shown and "dice <b> & more." in shown


def test_every_section_is_there_and_in_order(full: ReportData) -> None:
    expected = ["model", "scores", "tuning", "ensemble", "cases", "errors", "training", "dataset", "plan", "provenance"]
    assert section_ids(page(full)) == expected


def test_what_is_not_there_leaves_no_hole(bare: ReportData) -> None:
    text = page(bare)
    assert section_ids(text) == ["model", "dataset"]
    assert not Reader(text).all("figure") and "None" not in Reader(text).text and "nan" not in Reader(text).text


@pytest.mark.parametrize(
    ("left_out", "section"),
    [
        ({"tuning": None}, "tuning"),
        ({"curve": (), "members": ()}, "ensemble"),
        ({"cases": ()}, "cases"),
        ({"histories": {}, "race": ()}, "training"),
        ({"plan_told": ""}, "plan"),
        ({"facts": {}}, "provenance"),
        ({"confusion": None, "expected": None, "compared": {}}, "errors"),
    ],
)
def test_a_section_without_data_is_left_out(full: ReportData, left_out: dict, section: str) -> None:
    assert section in section_ids(page(full))
    ids = section_ids(page(replace(full, **left_out)))
    assert section not in ids and "dataset" in ids


def test_the_numbers_are_those_of_the_data(full: ReportData) -> None:
    shown = Reader(page(full)).text
    assert full.expected is not None
    for region, metrics in full.expected.summary.items():
        dice = metrics["dice"]
        assert f"{dice.mean:.3f}" in shown, region
        assert f"95 % interval {dice.low:.3f}–{dice.high:.3f}" in shown, region
        assert f"{dice.median:.3f} {dice.q25:.3f}–{dice.q75:.3f}" in shown, region
    assert "estimated on 10 cases of 10 patients" in shown
    assert "1.2 s a case, on this machine" in shown and "0.50 GiB" in shown
    assert "+0.0100 (−0.0020 to +0.0210)" in shown  # the gain of the tuning
    assert "0.8100 +0.0100 0.400 yes" in shown  # trial 1 against the default
    assert "five 5 1.00 0.800" in shown  # the ensemble that was chosen


def test_the_confusion_is_in_shares_of_the_rows(full: ReportData) -> None:
    shown = Reader(page(full)).text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "NCR 30.0 % 30 60.0 % 60 10.0 % 10 100" in shown
    assert "background 90.0 % 900 0.0 % 0 10.0 % 100 1 000" in shown
    assert "ED – 0 – 0 – 0 0" in shown  # a label that the reference never has


def test_the_plan_is_told_by_configuration(full: ReportData) -> None:
    read = Reader(page(full))
    assert [attributes.get("class") for attributes in read.all("details")] == ["chosen", None]
    summaries = [text for tag, text in read.texts if tag == "summary"]
    assert summaries == ["3d_fullres (recipe default)", "3d_fullres_other (recipe default)"]
    assert "Folds five, by patient." in read.text


def test_one_patient_and_one_configuration_have_no_intervals(full: ReportData) -> None:
    from autobrats.evaluation.metrics_file import pool_metrics

    alone = pool_metrics([full.compared["3d_fullres"]], only=["case_1"])
    text = page(replace(full, expected=alone, compared={"3d_fullres": alone}))
    shown = Reader(text).text
    assert "one patient: no interval" in shown and "nan" not in shown
    assert "Bland-Altman" not in text  # one case has no spread


def test_the_file_is_the_same_for_the_same_data(full: ReportData, tmp_path: Path) -> None:
    write_report(tmp_path / "a.html", full)
    write_report(tmp_path / "b.html", full)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]
