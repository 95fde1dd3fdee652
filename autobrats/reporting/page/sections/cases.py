"""The best and the worst cases, to look at."""

from __future__ import annotations

import base64
from xml.etree.ElementTree import Element

from autobrats.reporting.page import blocks
from autobrats.reporting.page.data import CasePanel, ReportData
from autobrats.reporting.page.markup import element
from autobrats.reporting.page.numbers import decimal
from autobrats.reporting.palette import region_colours


def the_cases(data: ReportData) -> Element | None:
    """The worst first: they teach most."""
    if not data.cases:
        return None
    ordered = [panel for kind in ("worst", "best") for panel in data.cases if panel.kind == kind]
    return blocks.section(
        "cases",
        "The worst and the best cases",
        blocks.paragraph(
            "Each case in three planes, through the slices with most tumour: axial, coronal, sagittal; the patient's "
            "left is on the right. Solid lines outline the reference, dashed lines the prediction."
        ),
        _legend(data),
        [_case(panel) for panel in ordered],
    )


def _case(panel: CasePanel) -> Element:
    scores = ", ".join(f"{region} {decimal(value)}" for region, value in panel.dice.items())
    alt = (
        f"{panel.case} in axial, coronal and sagittal planes, with the outlines of reference (solid) and prediction "
        f"(dashed). Dice: {scores}."
    )
    source = f"data:image/png;base64,{base64.b64encode(panel.png).decode('ascii')}"
    picture = element("img", src=source, alt=alt, class_="pictures", loading="lazy")
    box = element("div", picture, class_="scroll", tabindex=0, role="region", aria_label=f"Pictures of {panel.case}")
    return element(
        "article",
        element("h3", panel.case, " ", element("span", f"({panel.kind})", class_="tag")),
        element("figure", box, element("figcaption", f"{panel.case}, Dice {scores}: {panel.reason}.")),
        class_="case",
    )


def _legend(data: ReportData) -> Element:
    colours = region_colours(data.dataset.convention.regions)
    entries = [element("li", _line(colour, None), region) for region, colour in colours.items()]
    entries += [
        element("li", _line("currentColor", None), "reference"),
        element("li", _line("currentColor", "5 3"), "prediction"),
    ]
    return element("ul", entries, class_="legend")


def _line(colour: str, dash: str | None) -> Element:
    path = element("path", d="M1 7h26", stroke=colour, stroke_width=3, stroke_dasharray=dash, fill="none")
    return element("svg", path, viewBox="0 0 28 14", class_="swatch", aria_hidden="true")
