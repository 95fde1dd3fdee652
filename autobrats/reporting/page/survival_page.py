"""The survival section on a page of its own, and in a report that was written before."""

from __future__ import annotations

import re
from pathlib import Path

from autobrats.errors import UserError
from autobrats.files import write_text
from autobrats.reporting.page import blocks
from autobrats.reporting.page.markup import to_html
from autobrats.reporting.page.page import document, link_to
from autobrats.reporting.page.sections.survival import SECTION, the_survival
from autobrats.reporting.page.style import STYLE
from autobrats.reporting.page.survival_data import SurvivalStory

FOLLOWING = ("training", "dataset")
"""Sections of the report that come after it; the dataset's is always there."""


def write_survival_page(path: Path, story: SurvivalStory) -> None:
    """Write the section as a page of its own, atomically; the same story gives the same bytes."""
    sections = [the_survival(story)]
    if story.facts:
        sections.append(blocks.section("provenance", "How this was made", blocks.definitions(story.facts)))
    write_text(path, document(story.title, story.created, [section for section in sections if section is not None]))


def put_survival_section(report: Path, story: SurvivalStory) -> None:
    """Replace the survival section of a report, or add it where it belongs, with its entry in the list of contents.

    The rest of the page stays as it is, but for the stylesheet, which the section needs in its current form.

    Raises:
        UserError: if the file is missing or not a report of autobrats.
    """
    try:
        text = report.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{report} does not exist; run autobrats_find_best_config.") from None
    except UnicodeDecodeError:
        raise UserError(f"{report} is not a report of autobrats; run autobrats_find_best_config.") from None
    section = the_survival(story)
    assert section is not None
    # Text is escaped and sections do not nest, so that these tags are what they look like.
    text = re.sub(rf'<section id="{SECTION}".*?</section>', "", text, flags=re.DOTALL)
    text = re.sub(rf'<li><a href="#{SECTION}">[^<]*</a></li>', "", text)
    follower = next((name for name in FOLLOWING if f'<section id="{name}"' in text), None)
    link = f'<li><a href="#{follower}">'
    if follower is None or link not in text or 'content="autobrats ' not in text:
        raise UserError(f"{report} is not a report of autobrats; run autobrats_find_best_config.")
    text = text.replace(f'<section id="{follower}"', f'{to_html(section)}<section id="{follower}"', 1)
    text = text.replace(link, to_html(link_to(section)) + link, 1)
    start, end = text.index("<style>") + len("<style>"), text.index("</style>")
    write_text(report, text[:start] + STYLE + text[end:])
