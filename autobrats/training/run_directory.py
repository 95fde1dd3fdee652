"""The files of one run (configuration and fold)."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from autobrats import __version__
from autobrats.files import read_json, write_json, write_text


@dataclass(frozen=True)
class RunDirectory:
    """runs/CONFIGURATION/fold_FOLD."""

    path: Path

    @property
    def manifest_file(self) -> Path:
        return self.path / "manifest.json"

    @property
    def checkpoint_file(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def weights_file(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def history_file(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def progress_file(self) -> Path:
        """How far the training is, for those who watch it."""
        return self.path / "progress.json"

    @property
    def log_file(self) -> Path:
        """What the training has said, where it ran in a process of its own."""
        return self.path / "train.log"

    @property
    def progress_figure(self) -> Path:
        return self.path / "progress.png"

    @property
    def step_file(self) -> Path:
        """How the steps are run, if that was chosen by measuring."""
        return self.path / "step.json"

    @property
    def hard_mining_file(self) -> Path:
        return self.path / "hard_mining.json"

    @property
    def hard_mining_table(self) -> Path:
        return self.path / "hard_mining.csv"

    @property
    def pretrained_table(self) -> Path:
        return self.path / "pretrained.csv"

    @property
    def semi_supervision_file(self) -> Path:
        return self.path / "semi_supervision.json"

    @property
    def semi_supervision_table(self) -> Path:
        return self.path / "semi_supervision.csv"

    @property
    def semi_supervision(self) -> Path:
        """What the rounds of a training with unlabelled studies need and leave: students and pseudo-labels."""
        return self.path / "semi_supervision"

    def student(self, number: int, view: int) -> RunDirectory:
        """The run of a student: of which round, and of which of the plan's views, both from 0."""
        return RunDirectory(self.semi_supervision / f"round_{number}" / f"view_{view}")

    def pseudo_labels(self, number: int) -> Path:
        """The labels that the teacher of a round has given."""
        return self.semi_supervision / f"round_{number}" / "labels"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def validation(self) -> Path:
        return self.path / "validation"

    @property
    def metrics_file(self) -> Path:
        return self.validation / "metrics.json"

    @property
    def missing_modalities_file(self) -> Path:
        return self.validation / "missing_modalities.json"

    def probability_file(self, case: str) -> Path:
        """The out-of-fold probabilities of a case."""
        return self.validation / "probabilities" / f"{case}.b2nd"

    def postprocessed_file(self, case: str) -> Path:
        """The same after the plan's postprocessing, if it has any."""
        return self.validation / "postprocessed" / f"{case}.b2nd"

    def scored_file(self, case: str) -> Path:
        """The probabilities that are scored: after the postprocessing, where there was any."""
        postprocessed = self.postprocessed_file(case)
        return postprocessed if postprocessed.is_file() else self.probability_file(case)

    def stages_file(self, case: str) -> Path:
        """The Dice of a case after every step of the postprocessing."""
        return self.validation / "postprocessed" / f"{case}.json"

    def slice_file(self, case: str) -> Path:
        """What the slice-classification branch says of a case: region by slice."""
        return self.validation / "slices" / f"{case}.json"

    @property
    def postprocessing_file(self) -> Path:
        return self.validation / "postprocessing.json"

    @property
    def finished_file(self) -> Path:
        return self.path / "finished.json"

    @property
    def is_finished(self) -> bool:
        """Whether training and validation are complete."""
        return self.finished_file.is_file()

    def clear(self) -> None:
        """Forget the run; its log stays, because the process that is beginning it anew may be writing there."""
        for entry in list(self.path.iterdir()) if self.path.is_dir() else []:
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry != self.log_file:
                entry.unlink()
        if self.path.is_dir() and not self.log_file.exists():
            self.path.rmdir()

    def write_manifest(self, **facts: Any) -> None:
        """Version, command, time, and the given facts."""

        write_json(
            self.manifest_file,
            {
                "autobrats": __version__,
                "command": sys.argv,
                "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                **facts,
            },
        )

    def read_manifest(self) -> dict[str, Any]:
        """The manifest (empty if there is none)."""
        return read_json(self.manifest_file) if self.manifest_file.is_file() else {}

    def write_history(self, records: list[dict[str, Any]]) -> None:
        """One JSON object a line, one line an epoch."""
        write_text(self.history_file, "".join(json.dumps(record) + "\n" for record in records))
