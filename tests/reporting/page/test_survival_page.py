"""The survival section: alone, within the report, and put into a report that was written before."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from survival_story import made_up_story, made_up_survival

from autobrats import __version__
from autobrats.errors import UserError
from autobrats.evaluation.survival.predictions import SurvivalPredictions
from autobrats.evaluation.survival.scores import score_survival
from autobrats.reporting.page.data import ReportData
from autobrats.reporting.page.markup import to_html
from autobrats.reporting.page.page import page, write_report
from autobrats.reporting.page.sections.survival import calibrations, the_survival
from autobrats.reporting.page.style import STYLE
from autobrats.reporting.page.survival_data import PatientSurvival, SurvivalStory, patients_of, read_story, write_story
from autobrats.reporting.page.survival_page import put_survival_section, write_survival_page

IN_ORDER = [
    *("model", "scores", "tuning", "ensemble", "cases", "errors"),
    *("survival", "training", "dataset", "plan", "provenance"),
]


class Reader(HTMLParser):
    """Collects tags and text, and fails where tags are not balanced."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def story() -> SurvivalStory:
    return made_up_story()


def sections(text: str) -> list[str | None]:
    return [attributes["id"] for tag, attributes in Reader(text).tags if tag == "section"]


def links(text: str) -> list[str | None]:
    return [attributes["href"] for tag, attributes in Reader(text).tags if tag == "a"]


def test_a_page_of_its_own_shows_the_numbers_of_the_story(tmp_path: Path, story: SurvivalStory) -> None:
    write_survival_page(tmp_path / "survival.html", story)
    text = (tmp_path / "survival.html").read_text(encoding="utf-8")
    assert sections(text) == ["survival", "provenance"] and links(text) == ["#survival", "#provenance"]
    shown = Reader(text).text
    c = story.models[0].nested["c_harrell"]
    assert f"C-index (Harrell) {c.value:.3f} 95 % interval {c.low:.3f}–{c.high:.3f}" in shown
    mse = story.models[1].nested["mse"].value
    assert mse is not None and f"{mse:,.0f}".replace(",", " ") in shown.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert f"training {story.models[1].training['accuracy'].value:.3f}" in shown
    assert "tuned, chosen" in shown and "IDH was not given" in shown and "0.503" in shown
    for sentence in (
        "Kaplan-Meier survival by predicted class",
        "Log-rank test",
        "Calibration slope",
        "90 % prediction",
    ):
        assert sentence in shown.replace("\N{NARROW NO-BREAK SPACE}", " "), sentence
    assert len(re.findall("<figure", text)) == 4 and not re.search(r"\bnan\b", shown) and "None" not in shown


def test_texts_are_escaped_and_nothing_is_fetched(tmp_path: Path, story: SurvivalStory) -> None:
    write_survival_page(tmp_path / "survival.html", story)
    text = (tmp_path / "survival.html").read_text(encoding="utf-8")
    assert "<script" not in text and "<the>" not in text and "<long>" not in text
    assert "age and <the> grade" in Reader(text).text
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    drawings = [attributes for tag, attributes in Reader(text).tags if tag == "svg"]
    assert all(it.get("aria-hidden") or (it.get("role") == "img" and it.get("aria-label")) for it in drawings)
    write_survival_page(tmp_path / "again.html", story)
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == text


def test_the_report_has_the_section_where_it_belongs(full: ReportData, story: SurvivalStory) -> None:
    text = page(replace(full, survival=story))
    assert sections(text) == IN_ORDER and links(text) == [f"#{name}" for name in IN_ORDER]
    assert "survival" not in sections(page(full))


def test_a_section_put_into_a_report_is_the_one_it_would_have_had(
    tmp_path: Path, full: ReportData, story: SurvivalStory
) -> None:
    write_report(tmp_path / "report.html", full)
    put_survival_section(tmp_path / "report.html", story)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(replace(full, survival=story))
    other = story.model_copy(update={"chosen": ["Another model <section> was chosen."], "models": []})
    put_survival_section(tmp_path / "report.html", other)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == page(replace(full, survival=other))


def test_a_report_of_before_gets_the_styles_that_the_section_needs(
    tmp_path: Path, bare: ReportData, story: SurvivalStory
) -> None:
    report = tmp_path / "report.html"
    old = page(bare).replace(STYLE, "p { color: red; }").replace(f"autobrats {__version__}", "autobrats 0.0.1")
    report.write_text(old, encoding="utf-8")
    put_survival_section(report, story)
    text = report.read_text(encoding="utf-8")
    assert sections(text) == ["model", "survival", "dataset"] and STYLE in text and "autobrats 0.0.1" in text


@pytest.mark.parametrize("content", [None, b"<html><body>mine</body></html>", b"\xff\xfe\x00"])
def test_what_is_not_a_report_is_left_alone(tmp_path: Path, story: SurvivalStory, content: bytes | None) -> None:
    report = tmp_path / "report.html"
    if content is not None:
        report.write_bytes(content)
    with pytest.raises(UserError, match=r"report\.html"):
        put_survival_section(report, story)
    assert content is None or report.read_bytes() == content


def test_a_story_comes_back_as_it_was_written(tmp_path: Path, story: SurvivalStory) -> None:
    write_story(tmp_path / "story.json", story)
    assert read_story(tmp_path / "story.json") == story
    (tmp_path / "story.json").write_text('{"models": [{"name": "a"}]}')
    with pytest.raises(UserError, match=r"story\.json.*nested"):
        read_story(tmp_path / "story.json")


def test_an_empty_story_leaves_no_holes(tmp_path: Path) -> None:
    write_survival_page(tmp_path / "survival.html", SurvivalStory())
    text = (tmp_path / "survival.html").read_text(encoding="utf-8")
    assert sections(text) == ["survival"] and "<figure" not in text and "<table" not in text


def test_days_alone_or_risks_alone_show_what_they_can(tmp_path: Path) -> None:
    few = [
        PatientSurvival(patient=f"p{number}", days=100.0 * number + 50, died=number % 2 == 0, predicted_days=400.0)
        for number in range(6)
    ]
    for patients, figures in ((few, 1), ([it.model_copy(update={"predicted_days": None}) for it in few], 0)):
        write_survival_page(tmp_path / "survival.html", SurvivalStory(patients=patients))
        text = (tmp_path / "survival.html").read_text(encoding="utf-8")
        assert len(re.findall("<figure", text)) == figures and "nan" not in Reader(text).text


def test_one_class_and_one_patient_can_be_shown(tmp_path: Path) -> None:
    alone = PatientSurvival(
        patient="p", days=200, died=True, predicted_days=100, predicted_class="short", probabilities=(0.8, 0.1, 0.1)
    )
    write_survival_page(tmp_path / "survival.html", SurvivalStory(patients=[alone]))
    shown = Reader((tmp_path / "survival.html").read_text(encoding="utf-8")).text
    assert "predicted short, less than 300 days (1 patient)" in shown and "nan" not in shown
    assert "Log-rank" not in shown


def test_the_calibration_shown_is_that_of_the_metrics(story: SurvivalStory) -> None:
    days, died, predicted = made_up_survival()
    expected = score_survival(days, died, predicted).calibration
    assert np.allclose(story.days, days) and (story.died == died).all()
    for shown, computed in zip(calibrations(story), expected, strict=True):
        assert shown.day == computed.day and shown.slope.value == pytest.approx(computed.slope.value)
        assert [it.observed for it in shown.groups] == pytest.approx([it.observed for it in computed.groups])


def test_an_interval_without_an_upper_end_is_kept_as_such() -> None:
    predicted = SurvivalPredictions(
        days=np.array([100.0, 900.0]), days_low=np.array([50.0, 500.0]), days_high=np.array([200.0, np.inf])
    )
    patients = patients_of(["a", "b"], np.array([120.0, 3000.0]), np.array([True, True]), predicted)
    assert [it.days_high for it in patients] == [200.0, None]
    story = SurvivalStory(patients=patients, interval_share=0.9)
    assert SurvivalStory.model_validate_json(story.model_dump_json()) == story
    assert "held the day of death of 100" in to_html(the_survival(story))
