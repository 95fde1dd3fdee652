"""How time and memory grow with the number of cases: planning, evaluation and radiomics over 10, 100 and 1,000 phantoms.

    python benchmarks/scaling.py [--cases N ...] [--side VOXELS] [--save]

Each stage runs as a whole command; its peak is that of all its processes together. --save keeps the figures in
documentation/scaling.json, writes the table of documentation/benchmarks.md anew and draws documentation/images/scaling.png.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from autobrats.devices import machine_facts  # noqa: E402
from autobrats.files import atomic_path, write_text  # noqa: E402
from autobrats.phantoms.folder import write_dataset  # noqa: E402
from autobrats.reporting.tables import print_table  # noqa: E402
from autobrats.workers import default_workers  # noqa: E402
from benchmarks.side_by_side.command import measure_command  # noqa: E402
from benchmarks.side_by_side.page import replace_between  # noqa: E402

DOCUMENTATION = ROOT / "documentation"
FIGURES, PAGE, PICTURE = (DOCUMENTATION / name for name in ("scaling.json", "benchmarks.md", "images/scaling.png"))
BEGIN, END = "<!-- table: written by benchmarks/scaling.py -->", "<!-- end of the scaling table -->"
HEADINGS = ["stage", "cases", "wall s", "s a case", "peak GiB"]
PLAN, AGAIN = "fingerprint, plan, preprocess", "autobrats_plan, already planned"
EVALUATE, RADIOMICS = "evaluate", "1022 radiomic features"
AGAIN_LIMIT_S = 2.0


class Figure(BaseModel):
    """A stage over some cases: wall seconds, and the peak memory of all its processes."""

    model_config = ConfigDict(extra="forbid")

    stage: str
    cases: int
    seconds: float
    peak_gib: float


class Scaling(BaseModel):
    """What was measured, and where: ``side`` is the voxels of a phantom along each axis."""

    model_config = ConfigDict(extra="forbid")

    machine: str
    side: int
    figures: list[Figure]


def main() -> None:
    """Measure, print the table, and keep it if that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--side", type=int, default=40, help="voxels of a phantom along each axis")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--only-radiomics", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_radiomics is not None:
        extract(arguments.only_radiomics)
        return
    figures = []
    for cases in sorted(arguments.cases):
        with tempfile.TemporaryDirectory() as folder:
            figures += measure(Path(folder), cases, arguments.side)
    facts = machine_facts(ROOT)
    machine = f"{facts.processor}, {facts.cores} cores, {facts.ram_gib:.0f} GiB, {datetime.date.today().isoformat()}"
    scaling = Scaling(machine=machine, side=arguments.side, figures=figures)
    print_table(HEADINGS, rows(scaling), title=f"phantoms of {arguments.side} voxels a side")
    if arguments.save:
        write_text(FIGURES, scaling.model_dump_json(indent=1) + "\n")
        replace_between(PAGE, BEGIN, END, markdown(scaling))
        draw(scaling, PICTURE)


def measure(folder: Path, cases: int, side: int) -> list[Figure]:
    """All stages over new phantoms."""
    studies, workspace, predictions = folder / "studies", folder / "workspace", folder / "predictions"
    write_dataset(studies, cases, shape=(side, side, side), workers=default_workers(0.5))
    shift_masks(studies, predictions)
    plan = _command("plan", "-i", studies, "-w", workspace, "--max-hours", "1")
    commands = {
        PLAN: plan,
        AGAIN: plan,
        EVALUATE: _command("evaluate", "-p", predictions, "-r", studies),
        RADIOMICS: [sys.executable, __file__, "--only-radiomics", studies],
    }
    figures = []
    for stage, command in commands.items():
        measured = measure_command(command)
        figures.append(Figure(stage=stage, cases=cases, seconds=measured["seconds"], peak_gib=measured["peak_gib"]))
        print(f"{stage}, {cases} cases: {measured['seconds']:.1f} s, {measured['peak_gib']:.2f} GiB", flush=True)
    return figures


def shift_masks(studies: Path, predictions: Path) -> None:
    """Predictions: each mask moved by a voxel."""
    predictions.mkdir()
    for path in sorted(studies.glob("*/*_seg.nii.gz")):
        mask = nibabel.load(path)
        moved = np.roll(np.asarray(mask.dataobj), 1, axis=0)
        nibabel.save(nibabel.Nifti1Image(moved, mask.affine, mask.header), predictions / path.name)


def extract(studies: Path) -> None:
    """The radiomic features of all studies, as autobrats_survival_train computes them."""
    from autobrats.dataset.reading import read_dataset
    from autobrats.survival.extraction import extract_features
    from autobrats.survival.radiomics import PUBLISHED_SETS
    from autobrats.survival.survival_cases import cases_of_dataset

    dataset, _ = read_dataset(studies, name="phantoms")
    extraction = extract_features(cases_of_dataset(dataset).cases, radiomics=PUBLISHED_SETS)
    if extraction.failures:
        raise SystemExit(f"{len(extraction.failures)} cases failed: {next(iter(extraction.failures.values()))}")


def rows(scaling: Scaling) -> list[list[str]]:
    """The table, stage by stage."""
    ordered = sorted(scaling.figures, key=lambda figure: (_stages(scaling).index(figure.stage), figure.cases))
    return [
        [
            figure.stage,
            f"{figure.cases:,}",
            f"{figure.seconds:.1f}",
            f"{figure.seconds / figure.cases:.3f}",
            f"{figure.peak_gib:.2f}",
        ]
        for figure in ordered
    ]


def markdown(scaling: Scaling) -> str:
    """The table with where it was measured."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *rows(scaling)]
    slowest = max(figure.seconds for figure in scaling.figures if figure.stage == AGAIN)
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + (
        f"\n\nPhantoms of {scaling.side} voxels a side, four modalities; {scaling.machine}. On an already planned dataset "
        f"autobrats_plan took {slowest:.1f} s at most (limit {AGAIN_LIMIT_S:.0f} s).\n\n"
        "![wall seconds and peak memory against the number of cases](images/scaling.png)"
    )


def draw(scaling: Scaling, path: Path) -> None:
    """Seconds and GiB against cases, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels: list[tuple[str, Callable[[Figure], float]]] = [
        ("wall time (s)", lambda figure: figure.seconds),
        ("peak memory of all processes (GiB)", lambda figure: figure.peak_gib),
    ]
    picture, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for panel, (label, value) in zip(axes, panels, strict=True):
        for stage in _stages(scaling):
            own = sorted((one for one in scaling.figures if one.stage == stage), key=lambda figure: figure.cases)
            panel.loglog([one.cases for one in own], [value(one) for one in own], "o-", label=stage)
        panel.set(xlabel="cases", ylabel=label)
        panel.grid(alpha=0.3)
    peaks = [one.peak_gib for one in scaling.figures]
    axes[1].set_ylim(min(peaks) / 5, max(peaks) * 5)  # some decades, or noise looks like growth
    axes[0].legend(fontsize="small")
    with atomic_path(path) as temporary:
        picture.savefig(temporary, dpi=150, format="png")


def _stages(scaling: Scaling) -> list[str]:
    return list(dict.fromkeys(figure.stage for figure in scaling.figures))


def _command(name: str, *arguments: str | Path) -> list[str | Path]:
    code = f"import sys; from autobrats.commands.{name} import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", code, *arguments]


if __name__ == "__main__":
    main()
