"""What was learnt from: the dataset's fingerprint, and the plan that was made for it."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from autobrats.evaluation.summary import summarise
from autobrats.fingerprint.dataset import DatasetFingerprint
from autobrats.reporting.page import blocks
from autobrats.reporting.page.charts.plot import HALF, Axis
from autobrats.reporting.page.charts.rows import BoxRow, box_plots
from autobrats.reporting.page.data import ReportData
from autobrats.reporting.page.markup import element
from autobrats.reporting.page.numbers import MISSING, count, listed, percent, plural, significant


def the_dataset(data: ReportData) -> Element:
    """Cases, images and tumours; never left out, for the cases are always known."""
    dataset, fingerprint = data.dataset, data.fingerprint
    convention = dataset.convention
    patients = len({case.patient for case in dataset.cases})
    facts = {
        "Dataset": dataset.name,
        "Cases": f"{plural(len(dataset.cases), 'case')} of {plural(patients, 'patient')}, "
        f"{count(sum(case.mask is not None for case in dataset.cases))} with a reference",
        "Modalities": _modalities(dataset.modalities, fingerprint),
        "Labels": f"{convention.name}: "
        + ", ".join(f"{name} {integer}" for name, integer in convention.labels.items()),
        "Regions": "; ".join(f"{name} = {_members(convention.labels, of)}" for name, of in convention.regions.items()),
    }
    if fingerprint is not None:
        facts |= _sizes(fingerprint)
    parts = [blocks.definitions(facts)]
    if fingerprint is not None and fingerprint.masked_cases:
        parts += [_volumes(fingerprint), _regions(fingerprint)]
    return blocks.section("dataset", "The dataset", parts)


def the_plan(data: ReportData) -> Element | None:
    """The plan in words; each configuration's part is folded, but what is in the model is printed."""
    parts = [" ".join(part.split()) for part in data.plan_told.split("\n\n") if part.strip()]
    if not parts:
        return None
    headings = {f"{name} (recipe {it.recipe})": name for name, it in data.plan.configurations.items()}
    introduction: list[str] = []
    groups: dict[str, list[str]] = {}
    told = introduction
    for part in parts:
        if part in headings:
            told = groups[part] = []
        else:
            told.append(part)
    return blocks.section(
        "plan",
        "The plan, and why",
        blocks.paragraph(introduction[0]) if introduction else None,
        _decisions(introduction[1:]) if introduction[1:] else None,
        [
            element(
                "details",
                element("summary", title),
                _decisions(told),
                class_="chosen" if headings[title] in data.chosen_names else None,
            )
            for title, told in groups.items()
        ],
    )


def _decisions(paragraphs: Sequence[str]) -> Element:
    """Paragraphs ``Title: what was decided and why``."""
    return blocks.definitions(dict(paragraph.partition(": ")[::2] for paragraph in paragraphs))


def _modalities(names: Sequence[str], fingerprint: DatasetFingerprint | None) -> str:
    presence = fingerprint.modality_presence if fingerprint else {}
    rare = [f"{name} in {percent(presence[name])}" for name in names if presence.get(name, 1.0) < 1.0]
    return ", ".join(names) + (f" ({listed(rare)} of the cases)" if rare else "")


def _members(labels: dict[str, int], integers: Sequence[int]) -> str:
    names = {integer: name for name, integer in labels.items()}
    return " + ".join(names.get(integer, str(integer)) for integer in integers)


def _sizes(fingerprint: DatasetFingerprint) -> dict[str, str]:
    sizes = fingerprint
    return {
        "Size": _range(sizes.median_shape, sizes.min_shape, sizes.max_shape, "voxels (z, y, x)"),
        "Spacing": _range(sizes.median_spacing_mm, sizes.min_spacing_mm, sizes.max_spacing_mm, "mm (z, y, x)"),
        "Brain": f"{_by(sizes.median_brain_shape)} voxels (z, y, x) in the median"
        + ("" if sizes.brain_is_bounded else "; the images end inside the head"),
        "Intensities": "normalised before autobrats saw them"
        if sizes.already_normalised
        else "as the scanners gave them, not normalised",
    }


def _range(median: Sequence[float], low: Sequence[float], high: Sequence[float], unit: str) -> str:
    if tuple(low) == tuple(high):
        return f"{_by(median)} {unit}, the same in all cases"
    return f"{_by(median)} {unit} in the median, from {_by(low)} to {_by(high)}"


def _by(sizes: Sequence[float]) -> str:
    return " × ".join(f"{size:.4g}" for size in sizes)


def _volumes(fingerprint: DatasetFingerprint) -> Element:
    """Box plots of the volume of every region over the cases that have it."""
    rows = []
    for region in fingerprint.region_presence:
        those = [case for case in fingerprint.cases.values() if case.region_ml.get(region)]
        values = [case.region_ml[region] for case in those]
        summary = summarise(values, [case.patient for case in those])
        if summary.mean is not None:
            rows.append(BoxRow(region, values, (summary.mean, summary.low, summary.high)))
    largest = max((value for row in rows for value in row.values), default=1.0)
    told = "; ".join(f"{row.name} mean {row.mean[0]:.1f} ml" for row in rows)
    chart = box_plots(
        rows, Axis("volume, ml", 0.0, 1.02 * largest), f"Volumes by region: {told}.", digits=1, width=HALF
    )
    return blocks.figure(
        [blocks.panel(chart)],
        "Volume of every region in the references, over the cases that have it, in ml; a case is a dot, the diamond is the "
        "mean, which stands at the right.",
        size="half",
    )


def _regions(fingerprint: DatasetFingerprint) -> Element:
    rows = [
        [
            region,
            percent(share),
            _number(fingerprint.median_region_ml.get(region)),
            percent(fingerprint.region_frequency.get(region, 0.0), 2),
            _pieces(fingerprint.median_lesions.get(region)),
            count(fingerprint.max_lesions.get(region, 0)),
        ]
        for region, share in fingerprint.region_presence.items()
    ]
    return blocks.table(
        "The regions in the references; medians are over the cases that have the region.",
        [
            "region",
            "cases that have it",
            "median volume, ml",
            "share of the brain",
            "median pieces",
            "most pieces",
        ],
        rows,
    )


def _pieces(median: float | None) -> str:
    return MISSING if median is None else f"{median:g}"


def _number(value: float | None) -> str:
    return MISSING if value is None else significant(value)
