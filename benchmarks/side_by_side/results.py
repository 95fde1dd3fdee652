"""The latest results of every row, kept as JSON beside the page that shows them."""

from __future__ import annotations

import datetime
import json
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from autobrats.devices import machine_facts
from autobrats.files import write_text
from benchmarks.side_by_side.comparison import Comparison

PACKAGES = ("torch", "numpy", "openvino", "SimpleITK", "blosc2")
PEER_PACKAGES = ("nnunetv2", "batchgeneratorsv2", "monai", "pyradiomics-bhklab", "torch")


class RowResult(BaseModel):
    """A row as it was measured last.

    Attributes:
        date: ISO 8601.
        machine: processor, cores, memory, system.
        versions, peer_versions: of the packages on either side.
        lines: the comparisons.
    """

    model_config = ConfigDict(extra="forbid")

    date: str
    machine: str
    versions: dict[str, str]
    peer_versions: dict[str, str]
    lines: list[Comparison]


class Results(BaseModel):
    """All rows, by name."""

    model_config = ConfigDict(extra="forbid")

    rows: dict[str, RowResult] = {}


def measured_here(lines: list[Comparison], peer: Path, scratch: Path) -> RowResult:
    """The lines with date, machine and versions."""
    facts = machine_facts(scratch)
    return RowResult(
        date=datetime.date.today().isoformat(),
        machine=f"{facts.processor}, {facts.cores} cores, {facts.ram_gib:.0f} GiB, {platform.system()}, no GPU"
        if not facts.gpus
        else f"{facts.processor}, {facts.cores} cores, {facts.ram_gib:.0f} GiB, {', '.join(g.name for g in facts.gpus)}",
        versions={name: version(name) for name in PACKAGES} | {"Python": facts.python},
        peer_versions=_peer_versions(peer),
        lines=lines,
    )


def works_lost(results: Results, name: str, lines: list[Comparison]) -> list[str]:
    """What was measured of a row before, and is not among these lines."""
    before = results.rows[name].lines if name in results.rows else []
    return [line.work for line in before if line.work not in {new.work for new in lines}]


def read_results(path: Path) -> Results:
    """The results so far; none if there is no file."""
    return Results.model_validate_json(path.read_bytes()) if path.is_file() else Results()


def write_results(path: Path, results: Results) -> None:
    """Keep them, for people to read."""
    write_text(path, results.model_dump_json(indent=1) + "\n")


def _peer_versions(peer: Path) -> dict[str, str]:
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {PEER_PACKAGES!r}}}))"
    return json.loads(subprocess.run([peer, "-c", code], check=True, capture_output=True, text=True).stdout)
