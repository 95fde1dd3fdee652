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
    def progress_figure(self) -> Path:
        return self.path / "progress.png"

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

    @property
    def finished_file(self) -> Path:
        return self.path / "finished.json"

    @property
    def is_finished(self) -> bool:
        """Whether training and validation are complete."""
        return self.finished_file.is_file()

    def clear(self) -> None:
        """Forget the run."""
        shutil.rmtree(self.path, ignore_errors=True)

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
