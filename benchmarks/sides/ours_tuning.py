"""A search for postprocessing by autobrats, in one process: opening the cases, all trials, and the importances."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autobrats.dataset.reading import read_dataset
from autobrats.tuning.postprocessing_search import SearchJob, run_search
from autobrats.tuning.studies import finished_trials, open_study
from benchmarks.side_by_side.protocol import measured, serve
from benchmarks.tuning import NoisyMasks


@dataclass
class Searches:
    """The cases, how many searches there were, and where the trials of the last one are written."""

    source: NoisyMasks
    trials: int
    written: Path
    done: int = 0


def prepare(options: dict[str, Any]) -> Searches:
    """Make the predictions."""
    dataset, _ = read_dataset(Path(options["folder"]), name="benchmark")
    source = NoisyMasks(dataset, tuple(options["cases"]))
    for name in source.names:
        source.load(name)
    return Searches(source, options["trials"], Path(options["written"]))


def repeat(searches: Searches) -> dict[str, Any]:
    """A new search, which finds nothing kept from the last one."""
    searches.done += 1
    source = replace(searches.source, key=f"{searches.source.key} {searches.done}")
    with tempfile.TemporaryDirectory() as folder:
        job = SearchJob(Path(folder), "benchmark", source, source.names, (), trials=searches.trials)
        _, figures = measured(lambda: run_search(job))
        trials = finished_trials(open_study(job.folder, job.study))
    told = [{"params": trial.params, "objective": trial.user_attrs["objective"]} for trial in trials]
    searches.written.write_text(json.dumps(told))
    return figures


if __name__ == "__main__":
    serve(prepare, repeat)
