"""A small dataset, planned and preprocessed once."""

from __future__ import annotations

import pytest
from tiny_dataset import write_tiny_workspace

from autobrats.workspace import DatasetFolder


@pytest.fixture(scope="package")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    return write_tiny_workspace(tmp_path_factory.mktemp("tiny"))
