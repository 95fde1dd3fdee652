"""Small datasets, planned and preprocessed once; every test works on copies."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_dataset import write_tiny_workspace

from autobrats.training.hooks import Hook
from autobrats.training.progress import Progress
from autobrats.training.trainer import Trainer
from autobrats.workspace import DatasetFolder


@pytest.fixture(scope="session")
def regions_dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return write_tiny_workspace(tmp_path_factory.mktemp("regions"))


@pytest.fixture(scope="session")
def labels_dataset(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return write_tiny_workspace(tmp_path_factory.mktemp("labels"), plain=True)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[DatasetFolder], DatasetFolder]:
    """Makes a copy that a test may change; the studies are shared."""
    count = iter(range(100))

    def copy(folder: DatasetFolder) -> DatasetFolder:
        target = tmp_path / f"copy_{next(count)}" / folder.name
        shutil.copytree(folder.path, target)
        return DatasetFolder(target)

    return copy


@pytest.fixture
def tiny(copy_of: Callable[[DatasetFolder], DatasetFolder], regions_dataset: DatasetFolder) -> DatasetFolder:
    return copy_of(regions_dataset)


@pytest.fixture(autouse=True)
def few_figures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure takes longer than these trainings; only a test that asks for ``progress_figure`` gets it drawn."""
    if "progress_figure" not in request.fixturenames:
        monkeypatch.setattr(Progress, "_draw", lambda self, trainer: None)


@pytest.fixture
def progress_figure() -> None:
    """Has progress.png drawn."""


@pytest.fixture
def hook_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Hook], None]:
    """Adds a hook to every trainer that is built from here on."""
    build = Trainer.build_hooks

    def add(hook: Hook | None) -> None:
        monkeypatch.setattr(Trainer, "build_hooks", lambda self: [*([hook] if hook else []), *build(self)])

    return add
