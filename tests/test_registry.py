from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autobrats import registry
from autobrats.errors import UserError


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in registry.kinds() for name in registry.names(kind)])
def test_every_listed_part_exists(kind: str, name: str) -> None:
    assert callable(registry.find(kind, name))


def test_an_unknown_name_is_refused_with_those_that_exist() -> None:
    with pytest.raises(UserError, match=r"no optimiser 'adamm'; known: adam, adamw, .*sgd\. Did you mean 'adam'\?"):
        registry.find("optimiser", "adamm")


def test_an_unknown_option_is_refused_with_those_that_exist() -> None:
    with pytest.raises(
        UserError, match=r"The schedule 'polynomial' has no option 'expnent'; it takes: exponent, warm_up"
    ):
        registry.build("schedule", "polynomial", {"expnent": 1})


def test_a_third_party_adds_a_part_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "their_nets-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: their-nets\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[autobrats.network]\ntiny = their_nets:Tiny\n")
    (tmp_path / "their_nets.py").write_text(
        "class Tiny:\n    def __init__(self, inputs, width=4):\n        self.inputs, self.width = inputs, width\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "tiny" in registry.names("network")
    part = registry.build("network", "tiny", {"width": 7}, inputs=3)
    assert (part.inputs, part.width) == (3, 7)
    with pytest.raises(UserError, match="no option 'inputs'; it takes: width"):
        registry.build("network", "tiny", {"inputs": 7}, inputs=3)
    sys.modules.pop("their_nets")
