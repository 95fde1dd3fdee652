"""The table of the results, as Markdown and for the screen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median

from autobrats.files import write_text
from benchmarks.side_by_side.comparison import Comparison
from benchmarks.side_by_side.results import Results, RowResult

BEGIN, END = "<!-- table: written by benchmarks/compare.py -->", "<!-- end of the table -->"
HEADINGS = ["work", "against", "autobrats", "peer", "ratio (lowest to highest)", "goal", "memory", "results agree"]


def cells(line: Comparison) -> list[str]:
    """A line of the table, under :data:`HEADINGS`."""
    lowest, highest = min(line.ratios), max(line.ratios)
    memory = "-"
    if line.memory_ratio is not None:
        memory = f"{median(line.our_gib):.2f} / {median(line.their_gib):.2f} GiB: {_times(1 / line.memory_ratio)}"
        if line.memory_goal is not None:
            memory += f" (goal {_times(1 / line.memory_goal)})"
    return [
        line.work,
        line.against,
        f"{_value(median(line.ours))} {line.unit}",
        f"{_value(median(line.theirs))} {line.unit}",
        f"{_times(line.ratio)} ({_value(lowest)} to {_value(highest)}, n = {len(line.ratios)})",
        "-" if line.goal is None else _times(line.goal),
        memory,
        line.agreement or "-",
    ]


def update_page(path: Path, results: Results, order: Iterable[str]) -> None:
    """Write the table of all rows between the two marks of the page, in this order.

    Raises:
        ValueError: if the page lacks the marks.
    """
    rows = {name: results.rows[name] for name in order if name in results.rows}
    lines = [_row(HEADINGS), _row(["---"] * len(HEADINGS))]
    lines += [_row(cells(line)) for row in rows.values() for line in row.lines]
    notes = [f"- {line.work}: {line.note}" for row in rows.values() for line in row.lines if line.note]
    parts = ["\n".join(lines), "\n".join(notes), "\n".join(_machines(rows))]
    replace_between(path, BEGIN, END, "\n\n".join(part for part in parts if part))


def replace_between(path: Path, begin: str, end: str, content: str) -> None:
    """Put the content between two lines of a page, in the place of what stands there.

    Raises:
        ValueError: if the page lacks one of them.
    """
    before, found_begin, rest = path.read_text().partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{path} needs the lines '{begin}' and '{end}'")
    write_text(path, f"{before}{begin}\n\n{content}\n\n{end}{after}")


def _machines(rows: dict[str, RowResult]) -> list[str]:
    """Where and with what which rows were measured, a sentence for each machine and set of versions."""
    together: dict[str, list[str]] = {}
    for name, row in rows.items():
        ours, theirs = (
            ", ".join(f"{package} {number}" for package, number in versions.items())
            for versions in (row.versions, row.peer_versions)
        )
        together.setdefault(f"measured on {row.date}, {row.machine}; {ours}; the peers: {theirs}.", []).append(name)
    return [f"- {', '.join(names)}: {sentence}" for sentence, names in together.items()]


def _row(values: Iterable[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"


def _times(ratio: float) -> str:
    return f"{_value(ratio)} x"


def _value(number: float) -> str:
    """Three digits."""
    return f"{number:.0f}" if abs(number) >= 100 else f"{number:.3g}"
