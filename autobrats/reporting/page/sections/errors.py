"""Where the model errs: labels taken for each other, and volumes against the reference's."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from autobrats.evaluation.metrics_file import Metrics
from autobrats.reporting.page import blocks
from autobrats.reporting.page.blocks import Key
from autobrats.reporting.page.charts.bland_altman import Agreement, bland_altman
from autobrats.reporting.page.data import Confusion, ReportData
from autobrats.reporting.page.markup import element
from autobrats.reporting.page.numbers import count, decimal, percent


def the_errors(data: ReportData) -> Element | None:
    """The confusion of labels and the agreement of volumes."""
    agreements = _agreements(data)
    if data.confusion is None and not agreements:
        return None
    return blocks.section("errors", "Where it errs", _confusion(data.confusion), _volumes(agreements))


def _confusion(confusion: Confusion | None) -> list[Element]:
    if confusion is None:
        return []
    labels = list(confusion.labels)
    totals = confusion.voxels.sum(1)
    above = [element("td"), element("th", "predicted as", scope="colgroup", colspan=len(labels)), element("td")]
    head = [element("th", text, scope="col") for text in ("reference", *labels, "voxels")]
    rows = []
    for label, row, total in zip(labels, confusion.voxels, totals, strict=True):
        cells = []
        for voxels in row:
            share = float(voxels / total) if total else 0.0
            note = element("span", count(int(voxels)), class_="note")
            cells.append(element("td", percent(share, 1) if total else "–", note, style=f"--share:{share:.3f}"))
        rows.append(element("tr", element("th", label, scope="row"), cells, element("td", count(int(total)))))
    caption = (
        "Confusion of labels over all cases, out of fold: of the voxels that the reference gives a label (row), the share "
        "that was predicted as each label (column), and the voxels. The diagonal is right."
    )
    table = element(
        "table",
        blocks.caption_of(caption),
        element("thead", element("tr", above, class_="above"), element("tr", head)),
        element("tbody", rows),
        class_="confusion",
    )
    box = element("div", table, class_="scroll", tabindex=0, role="region", aria_label="Confusion of labels")
    return [element("h3", "Labels taken for each other"), box]


def _agreements(data: ReportData) -> dict[str, Agreement]:
    """By region, of all cases of the scores to expect, else of the best configuration."""
    metrics = data.expected or next(iter(data.compared.values()), None)
    return (
        {}
        if metrics is None
        else {region: agreement for region in metrics.summary if (agreement := _agreement(metrics, region)) is not None}
    )


def _agreement(metrics: Metrics, region: str) -> Agreement | None:
    cases, patients, predicted, reference = [], [], [], []
    for name, case in metrics.cases.items():
        scores = case.regions.get(region, {})
        volume, true = scores.get("volume_ml"), scores.get("reference_volume_ml")
        if volume is not None and true is not None:
            cases.append(name)
            patients.append(case.patient)
            predicted.append(volume)
            reference.append(true)
    return Agreement.of(cases, patients, predicted, reference) if len(cases) > 1 else None


def _volumes(agreements: dict[str, Agreement]) -> list[Element]:
    if not agreements:
        return []
    rows = [
        [
            region,
            count(len(it.cases)),
            blocks.estimate(*it.bias, 1, signed=True),
            f"{decimal(it.low, 1, signed=True)} to {decimal(it.high, 1, signed=True)}",
            percent(it.outside, 1),
        ]
        for region, it in agreements.items()
    ]
    return [
        element("h3", "Volumes against the reference"),
        blocks.figure(
            [blocks.panel(bland_altman(it, region), region) for region, it in agreements.items()],
            "Predicted minus reference volume over their mean, a dot a case (Bland-Altman): a bias off zero is systematic, "
            "and about 95 % of new cases are expected between the dashed limits of agreement.",
            legend=blocks.legend(
                [
                    Key("dot", "cases", "a case"),
                    Key("dot", "hollow", "a case beyond the limits"),
                    Key("line", "bias", "bias (mean difference)"),
                    Key("line", "limit", "limits of agreement (± 1.96 standard deviations)"),
                ]
            ),
        ),
        blocks.table(
            "Agreement of volumes; the bias with its 95 % interval by patient.",
            ["region", "cases", "bias, ml", "limits of agreement, ml", "cases beyond"],
            rows,
        ),
    ]
