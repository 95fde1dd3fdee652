"""What made the report: versions, command, seed."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from autobrats.reporting.page import blocks
from autobrats.reporting.page.data import ReportData


def the_provenance(data: ReportData) -> Element | None:
    """The facts as given."""
    if not data.facts:
        return None
    return blocks.section("provenance", "How this was made", blocks.definitions(data.facts))
