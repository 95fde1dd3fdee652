"""report.html: the sections put together, in the order in which a reader asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from autobrats import __version__
from autobrats.evaluation.summary import RESAMPLES
from autobrats.files import write_text
from autobrats.reporting.page.data import ReportData
from autobrats.reporting.page.markup import element, to_html
from autobrats.reporting.page.sections.cases import the_cases
from autobrats.reporting.page.sections.dataset import the_dataset, the_plan
from autobrats.reporting.page.sections.ensemble import the_ensemble
from autobrats.reporting.page.sections.errors import the_errors
from autobrats.reporting.page.sections.model import the_model
from autobrats.reporting.page.sections.provenance import the_provenance
from autobrats.reporting.page.sections.scores import out_of_fold_scores
from autobrats.reporting.page.sections.survival import the_survival
from autobrats.reporting.page.sections.training import the_training
from autobrats.reporting.page.sections.tuning import the_tuning
from autobrats.reporting.page.style import STYLE

SECTIONS: tuple[Callable[[ReportData], Element | None], ...] = (
    the_model,
    out_of_fold_scores,
    the_tuning,
    the_ensemble,
    the_cases,
    the_errors,
    lambda data: the_survival(data.survival),
    the_training,
    the_dataset,
    the_plan,
    the_provenance,
)


def write_report(path: Path, data: ReportData) -> None:
    """Write the report atomically: one file that opens without a network; the same data give the same bytes."""
    write_text(path, page(data))


def page(data: ReportData) -> str:
    """The report as HTML text."""
    sections = [section for build in SECTIONS if (section := build(data)) is not None]
    return document(data.title, f"Dataset {data.dataset.name}, {data.created}", sections)


def document(title: str, subtitle: str, sections: Sequence[Element]) -> str:
    """Sections as a whole page, with their list at its top, as HTML text."""
    html = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name_="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name_="color-scheme", content="light dark"),
            element("meta", name_="generator", content=f"autobrats {__version__}"),
            element("title", title),
            element("style", STYLE),
        ),
        element("body", _header(title, subtitle, sections), element("main", sections), _footer()),
        lang="en",
    )
    return f"<!DOCTYPE html>\n{to_html(html)}\n"


def link_to(section: Element) -> Element:
    """The entry of a section in the list at the top."""
    return element("li", element("a", section.findtext("h2") or "", href=f"#{section.get('id')}"))


def _header(title: str, subtitle: str, sections: Sequence[Element]) -> Element:
    return element(
        "header",
        element("p", "autobrats report", class_="kind"),
        element("h1", title),
        element("p", subtitle, class_="soft"),
        element("nav", element("ol", [link_to(section) for section in sections]), aria_label="Contents"),
    )


def _footer() -> Element:
    return element(
        "footer",
        element(
            "p",
            "For research; not a medical device. Intervals are 95 % percentile bootstraps over patients with "
            f"{RESAMPLES} resamples; in tables they stand below their mean.",
        ),
    )
