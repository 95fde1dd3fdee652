"""Where things live: the workspace, its datasets, their runs and models."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from autobrats.errors import UserError

ENVIRONMENT_VARIABLE = "AUTOBRATS_WORKSPACE"
DEFAULT_FOLDER = "autobrats_workspace"


@dataclass(frozen=True)
class DatasetFolder:
    """One dataset's folder in the workspace, and the names of the files in it."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def dataset_file(self) -> Path:
        return self.path / "dataset.json"

    @property
    def faults_file(self) -> Path:
        return self.path / "faults.csv"

    @property
    def fingerprint_file(self) -> Path:
        return self.path / "fingerprint.json"

    @property
    def plan_file(self) -> Path:
        return self.path / "plan.json"

    @property
    def splits_file(self) -> Path:
        return self.path / "splits.json"

    @property
    def preprocessed(self) -> Path:
        return self.path / "preprocessed"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    def run(self, configuration: str, fold: int | str) -> Path:
        """The run directory of one configuration and fold (0..4 or ``all``)."""
        return self.runs / configuration / f"fold_{fold}"

    @property
    def tuning(self) -> Path:
        """The Optuna studies of the dataset, and what came out of them."""
        return self.path / "tuning"

    @property
    def race_file(self) -> Path:
        """Who left the race of the configurations when, and why."""
        return self.path / "race.json"

    @property
    def report_file(self) -> Path:
        """The page that find_best_config writes for people."""
        return self.path / "report.html"

    @property
    def survival(self) -> Path:
        """The survival model, and what was found when it was trained."""
        return self.path / "survival"

    @property
    def model(self) -> Path:
        """The model folder that find_best_config writes and predict reads by default."""
        return self.path / "model"


@dataclass(frozen=True)
class Workspace:
    """The one folder in which autobrats keeps everything."""

    path: Path

    @classmethod
    def locate(cls, path: str | Path | None = None) -> Workspace:
        """``path``, else the environment variable AUTOBRATS_WORKSPACE, else ./autobrats_workspace."""
        return cls(Path(path or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_FOLDER).absolute())

    @property
    def survival(self) -> Path:
        """The survival model of no dataset: from a table of features."""
        return self.path / "survival"

    def datasets(self) -> list[str]:
        """The names of the planned datasets, sorted."""
        if not self.path.is_dir():
            return []
        return sorted(entry.name for entry in self.path.iterdir() if (entry / "dataset.json").is_file())

    def dataset(self, name: str | None = None) -> DatasetFolder:
        """The folder of an existing dataset; without a name, of the only one.

        Raises:
            UserError: if there is none of that name, none at all, or several and no name was given.
        """
        names = self.datasets()
        if not names:
            raise UserError(f"The workspace {self.path} holds no dataset yet; run autobrats_plan -i FOLDER first.")
        if name is None:
            if len(names) > 1:
                raise UserError(
                    f"The workspace {self.path} holds several datasets; choose one with -d: {', '.join(names)}."
                )
            name = names[0]
        if name not in names:
            raise UserError(f"The workspace {self.path} has no dataset '{name}'; it has: {', '.join(names)}.")
        return DatasetFolder(self.path / name)

    def new_dataset(self, name: str) -> DatasetFolder:
        """The folder of a dataset that may not exist yet.

        Raises:
            UserError: if the name is not made of letters, digits, dot, dash and underscore.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UserError(f"'{name}' cannot name a dataset: use letters, digits, '.', '_' and '-' (-d NAME).")
        return DatasetFolder(self.path / name)
