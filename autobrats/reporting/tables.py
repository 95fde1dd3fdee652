"""Tables for the terminal; plain aligned text where the output is not one."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from autobrats.evaluation.metrics_file import Metrics
    from autobrats.evaluation.summary import Summary


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", file: TextIO | None = None
) -> None:
    """Print a table; columns of numbers are aligned to the right.

    Args:
        columns: the headings.
        rows: one value a column, shown with ``str``; None is shown as a dash.
        title: above the table.
        file: where to (default: the standard output).
    """
    file = file or sys.stdout
    texts = [["-" if value is None else str(value) for value in row] for row in rows]
    if not file.isatty():
        print(plain_table(columns, texts, title=title), file=file)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(columns):
        table.add_column(heading, justify="right" if _is_numeric(texts, index) else "left", overflow="fold")
    for row in texts:
        table.add_row(*(Text(text) for text in row))  # Text: a file name may look like markup
    Console(file=file).print(table)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str = "") -> str:
    """The table as text: headings, a line of dashes, one line a row (more only where a row has line breaks)."""
    widths = [
        max([len(heading), *(len(line) for row in rows for line in row[index].split("\n"))])
        for index, heading in enumerate(columns)
    ]
    right = [_is_numeric(rows, index) for index in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return "  ".join(aligned).rstrip()

    lines = [title] if title else []
    lines += [line(list(columns)), "  ".join("-" * width for width in widths)]
    for row in rows:
        parts = [cell.split("\n") for cell in row]
        for number in range(max(len(part) for part in parts)):
            lines.append(line([part[number] if number < len(part) else "" for part in parts]))
    return "\n".join(lines)


def with_interval(summary: Summary | None, digits: int = 3) -> str | None:
    """A mean and its 95 % interval: ``0.912 (0.903-0.920)``; None without a value."""
    if summary is None or summary.mean is None:
        return None
    mean = f"{summary.mean:.{digits}f}"
    if summary.low is None or summary.high is None:
        return mean
    to = " to " if summary.low < 0 else "-"
    return f"{mean} ({summary.low:.{digits}f}{to}{summary.high:.{digits}f})"


def print_scores(metrics: Mapping[str, Metrics], *, title: str = "", file: TextIO | None = None) -> None:
    """Scores by configuration: folds, cases, mean Dice a region and over regions with 95 % interval, HD95 in mm."""
    regions = list(dict.fromkeys(region for scores in metrics.values() for region in scores.summary))
    rows = []
    for name, scores in metrics.items():
        hd95 = [scores.summary.get(region, {}).get("hd95") for region in regions]
        rows.append(
            [
                name,
                fold_list(scores.folds),
                len(scores.cases),
                *(with_interval(scores.summary.get(region, {}).get("dice")) for region in regions),
                with_interval(scores.mean_dice),
                " / ".join("-" if value is None or value.mean is None else f"{value.mean:.1f}" for value in hd95),
            ]
        )
    headings = ["configuration", "folds", "cases", *(f"Dice {region}" for region in regions)]
    print_table([*headings, "mean Dice", f"HD95 mm, {' / '.join(regions)}"], rows, title=title, file=file)


def print_summary(metrics: Metrics, *, title: str = "", file: TextIO | None = None) -> None:
    """The scores of one run: a line a region with Dice, HD95 (mm), sensitivity, precision, and the median Dice."""
    rows = [
        [
            region,
            summary["dice"].n,
            with_interval(summary["dice"]),
            None if summary["dice"].median is None else f"{summary['dice'].median:.3f}",
            with_interval(summary.get("hd95"), 1),
            with_interval(summary.get("sensitivity")),
            with_interval(summary.get("precision")),
        ]
        for region, summary in metrics.summary.items()
    ]
    headings = ["region", "cases", "Dice", "median Dice", "HD95 mm", "sensitivity", "precision"]
    print_table(headings, rows, title=title, file=file)


def fold_list(folds: Sequence[int | str]) -> str:
    """``0-4`` for all of 0, 1, 2, 3, 4; otherwise the folds one by one."""
    numbers = [fold for fold in folds if isinstance(fold, int)]
    if len(numbers) == len(folds) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return f"{numbers[0]}-{numbers[-1]}"
    return ", ".join(map(str, folds))


_NUMERIC = re.compile(r"[-+−<]?[\d.]+([ (/%].*)?|-( / .*)?")
"""A number, perhaps with a unit, an interval or further numbers behind it; or the dash of a missing one."""


def _is_numeric(rows: Sequence[Sequence[str]], index: int) -> bool:
    cells = [row[index] for row in rows if row[index]]
    return bool(cells) and all(_NUMERIC.fullmatch(cell) for cell in cells)
