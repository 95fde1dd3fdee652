"""The blocks that sections are made of: tables that scroll in themselves, figures with captions, legends, key numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element

from autobrats.evaluation.summary import Summary
from autobrats.reporting.page.markup import element
from autobrats.reporting.page.numbers import MISSING, decimal, spread

Cell = Element | str


def section(name: str, title: str, *children: Element | Iterable[Element] | None) -> Element:
    """A numbered section; ``name`` is its anchor."""
    return element(
        "section", element("h2", title, id=f"{name}-title"), *children, id=name, aria_labelledby=f"{name}-title"
    )


def estimate(
    mean: float | None, low: float | None, high: float | None, digits: int = 3, *, signed: bool = False
) -> Cell:
    """A cell of a table: the mean, and its interval in small below."""
    shown, between = decimal(mean, digits, signed=signed), spread(low, high, digits, signed=signed)
    if mean is None or not between:
        return shown
    return element("span", shown, " ", element("span", between, class_="note"))


def summary_cell(summary: Summary | None, digits: int = 3) -> Cell:
    """The mean of a summary and its interval."""
    return MISSING if summary is None else estimate(summary.mean, summary.low, summary.high, digits)


def paragraph(*children: Element | str, class_: str | None = None) -> Element:
    """A paragraph of text."""
    return element("p", *children, class_=class_)


def table(
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    texts: Iterable[int] = (0,),
    marked: Iterable[int] = (),
) -> Element:
    """A table in a box that scrolls sideways by itself.

    Args:
        caption: above it, one sentence.
        columns: the headings.
        rows: one cell a column; the first names the row.
        texts: which columns are text, to the left; the others are numbers, to the right.
        marked: rows that stand out.
    """
    left, bold = set(texts), set(marked)

    def classes(column: int) -> str | None:
        return None if column in left else "number"

    head = [element("th", text, scope="col", class_=classes(index)) for index, text in enumerate(columns)]
    body = [
        element(
            "tr",
            element("th", _breakable(cells[0]), scope="row", class_=classes(0)),
            [element("td", cell, class_=classes(index)) for index, cell in enumerate(cells[1:], start=1)],
            class_="marked" if number in bold else None,
        )
        for number, cells in enumerate(rows)
    ]
    inner = element(
        "table",
        caption_of(caption),
        element("thead", element("tr", head)),
        element("tbody", body),
    )
    return element("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def caption_of(text: str) -> Element:
    """A table's caption; the span within it keeps to the screen's width when the table is wider."""
    return element("caption", element("span", text))


def panel(chart: Element, title: str | None = None) -> Element:
    """A chart and its title in a figure of several."""
    return element("div", element("p", title, class_="panel-title") if title else None, chart, class_="panel")


def figure(
    panels: Sequence[Element],
    caption: str,
    *,
    size: Literal["third", "half"] = "third",
    legend: Element | None = None,
) -> Element:
    """Charts side by side (below each other on a phone) with a sentence that says what to see.

    A single chart of half the width has its legend and caption beside it.
    """
    alone = size == "half" and len(panels) == 1
    return element(
        "figure",
        element("div", panels, class_=f"panels {size}"),
        [part for part in (legend, element("figcaption", caption)) if part is not None],
        class_="beside" if alone else None,
    )


@dataclass(frozen=True)
class Key:
    """An entry of a legend: how it is drawn, and what it means."""

    kind: Literal["line", "dot", "cross", "diamond", "box", "arrow"]
    classes: str
    meaning: str


def legend(keys: Sequence[Key]) -> Element:
    """What marks and lines mean."""
    return element("ul", [element("li", _swatch(key), key.meaning) for key in keys], class_="legend")


def key_numbers(numbers: Sequence[tuple[str, str, str]]) -> Element:
    """Large numbers: (what it is, the number, its interval or unit)."""
    return element(
        "dl",
        [
            element(
                "div", element("dt", name), element("dd", value, class_="value"), element("dd", note, class_="note")
            )
            for name, value, note in numbers
        ],
        class_="key-numbers",
    )


def definitions(facts: Mapping[str, str]) -> Element:
    """Facts by name."""
    return element(
        "dl",
        [element("div", element("dt", name), element("dd", value)) for name, value in facts.items()],
        class_="facts",
    )


def _breakable(cell: Cell) -> Cell | list[Cell]:
    """A long name may be broken after an underscore."""
    if not isinstance(cell, str):
        return cell
    first, *others = cell.split("_")
    return [first, *(part for other in others for part in ("_", element("wbr"), other))]


def _swatch(key: Key) -> Element:
    if key.kind == "line":
        mark = element("path", d="M1 7h26", class_=f"line {key.classes}")
    elif key.kind == "dot":
        mark = element("circle", cx=14.0, cy=7.0, r=3.5, class_=f"mark {key.classes}")
    elif key.kind == "cross":
        mark = element("path", d="M11 4l6 6m-6 0l6 -6", class_=f"line thin {key.classes}")
    elif key.kind == "arrow":
        mark = element("path", d="M10 7h8m-3 -3l3 3l-3 3", class_=f"line {key.classes}")
    elif key.kind == "diamond":
        mark = element("path", d="M5 7h18M14 1l6 6l-6 6l-6 -6z", class_=f"mean {key.classes}")
    else:
        mark = element(
            "g",
            element("rect", x=6.0, y=2.0, width=16.0, height=10.0, class_=f"box {key.classes}"),
            element("path", d="M1 7h5M22 7h5", class_="line whisker"),
            element("path", d="M15 2v10", class_="line median"),
        )
    return element("svg", mark, viewBox="0 0 28 14", class_="swatch", aria_hidden="true")
