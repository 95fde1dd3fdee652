"""A search once more, each trial from the probabilities, as a program would that keeps nothing between them."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autobrats.dataset.reading import read_dataset
from autobrats.tuning.objective import new_objective
from autobrats.tuning.search_space import SearchSpace
from autobrats.tuning.studies import FastSearch
from benchmarks.side_by_side.protocol import measured, serve
from benchmarks.tuning import NoisyMasks, plain_scores


@dataclass(frozen=True)
class Plain:
    """The cases, where the trials of the search are written, and how many of them are run again."""

    source: NoisyMasks
    written: Path
    again: int


def prepare(options: dict[str, Any]) -> Plain:
    """Make the predictions."""
    dataset, _ = read_dataset(Path(options["folder"]), name="benchmark")
    source = NoisyMasks(dataset, tuple(options["cases"]))
    for name in source.names:
        source.load(name)
    return Plain(source, Path(options["written"]), options["again"])


def repeat(plain: Plain) -> dict[str, Any]:
    """Propose all trials, run some, spread over all; ``seconds`` of as many as the search had, the largest ``difference``."""
    space = SearchSpace(plain.source.convention)
    trials = json.loads(plain.written.read_text())
    chosen = trials[:: max(1, len(trials) // plain.again)][: plain.again]
    objective = new_objective("ranks", plain_scores(plain.source, space.choice(space.default)))
    values, figures = measured(
        lambda: [objective(plain_scores(plain.source, space.choice(trial["params"]))).mean() for trial in chosen]
    )
    _, proposing = measured(lambda: _propose(space, trials))
    differences = [abs(value - trial["objective"]) for value, trial in zip(values, chosen, strict=True)]
    seconds = figures["seconds"] * len(trials) / len(chosen) + proposing["seconds"]
    return {"seconds": seconds, "difference": float(max(differences))}


def _propose(space: SearchSpace, trials: list[dict[str, Any]]) -> None:
    """What a search does beside scoring: it is told the same objectives, and so proposes the same trials."""
    with tempfile.TemporaryDirectory() as folder:
        search = FastSearch(Path(folder), "plain", space.distributions, space.first)
        for known in trials:
            trial = search.ask()
            if trial.params != known["params"]:
                raise RuntimeError("The plain search proposes other trials than the one that it repeats.")
            search.tell(trial, (known["objective"],), {})


if __name__ == "__main__":
    serve(prepare, repeat)
