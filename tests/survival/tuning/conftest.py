"""A search space in which trials take milliseconds; every model and selection has tests of its own."""

import pytest

from autobrats.survival.tuning import search_space


@pytest.fixture
def quick_space(monkeypatch):
    monkeypatch.setattr(search_space, "MODEL_KINDS", ("cox", "coxnet", "ridge"))
    monkeypatch.setattr(search_space, "RANKINGS", ("univariate_cox", "mrmr"))
