"""Trials of postprocessing: our search beside the same trials with nothing kept from one to the next."""

from __future__ import annotations

from autobrats.dataset.reading import read_dataset
from benchmarks.side_by_side.comparison import Comparison, Row, Setting, alternately, column
from benchmarks.side_by_side.side import Side

LESIONS = "brats2020_lesions"
CASES, TRIALS = {"quick": 60, "full": 300}, {"quick": 40, "full": 200}
AGAIN = 8
"""Trials that are run again without caches: the seconds of all are estimated from them."""


def run(setting: Setting) -> list[Comparison]:
    """60 lesions and 40 trials; with --full 300 and 200."""
    size = "full" if setting.full else "quick"
    dataset, _ = read_dataset(setting.data / LESIONS, name="benchmark")
    names = [case.name for case in dataset.cases if case.mask is not None][: CASES[size]]
    common = {"folder": str(setting.data / LESIONS), "cases": names, "written": str(setting.scratch / "trials.json")}
    with (
        Side(setting.ours, "ours_tuning", common | {"trials": TRIALS[size]}) as our_side,
        Side(setting.ours, "plain_tuning", common | {"again": AGAIN}) as their_side,
    ):
        our, their = alternately(our_side.repeat, their_side.repeat, setting.repeats)
    return [
        Comparison.of(
            our,
            their,
            work=f"{TRIALS[size]} trials of postprocessing over {len(names)} lesions",
            against="the same trials without caches",
            goal=10,
            agreement=f"largest difference of the objective: {max(column(their, 'difference')):.1e}",
            note="ours is a whole search in one process, opening the cases and the importances included; the other one "
            f"proposes the same trials, of which {AGAIN}, spread over all, are run and their seconds taken for all",
        )
    ]


ROW = Row("tuning", run, needs=[LESIONS])
