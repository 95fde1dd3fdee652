"""documentation/extending.md is true: its package is installed, as far as Python can tell, and its parts are trained."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import torch

from autobrats import registry
from autobrats.errors import UserError
from autobrats.files import read_model, write_json
from autobrats.plan import Part, Plan
from autobrats.training.checkpoints import load_tensors
from autobrats.training.cross_validation import TrainingOptions, train_folds
from autobrats.workspace import DatasetFolder

PAGE = Path(__file__).parents[2] / "documentation" / "extending.md"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return found


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's package, laid out as an installer lays it out."""
    site = tmp_path / "site"
    package, facts = site / "brats_parts", site / "brats_parts-1.0.dist-info"
    package.mkdir(parents=True)
    facts.mkdir()
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(block("python"), encoding="utf-8")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: brats-parts\nVersion: 1.0\n")
    declared = re.findall(r'\[project\.entry-points\."(.*?)"\]\n((?:\w+ = ".*"\n)+)', block("toml"))
    lines = [f"[{group}]\n" + entries.replace('"', "") for group, entries in declared]
    (facts / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.startswith("brats_parts")]:
        del sys.modules[name]


def test_every_kind_of_part_has_an_example(installed: None) -> None:
    for kind in registry.kinds():
        (name,) = set(registry.names(kind)) - set(registry._OUR_PARTS[kind])
        assert registry.find(kind, name).__module__ == "brats_parts.parts"
        assert f"| `{kind}` |" in PAGE.read_text(encoding="utf-8")
        for ours in registry._OUR_PARTS[kind]:
            assert f"`{ours}`" in PAGE.read_text(encoding="utf-8")


def test_the_parts_are_trained(installed: None, tiny: DatasetFolder) -> None:
    plan = read_model(tiny.plan_file, Plan)
    given = json.loads(block("json"))
    assert {key.removesuffix("s") if key == "hooks" else key for key in given} == set(registry.kinds())
    parts = {key: [Part(**p) for p in part] if isinstance(part, list) else Part(**part) for key, part in given.items()}
    plan.configurations["3d_fullres_dilated"] = plan.configurations["3d_fullres"].model_copy(update=parts)
    write_json(tiny.plan_file, plan)
    (result,) = train_folds(tiny, "3d_fullres_dilated", ["0"], TrainingOptions(device=torch.device("cpu")))
    assert result.metrics is not None and 0 <= result.metrics.mean_dice.mean <= 1
    run = tiny.run("3d_fullres_dilated", 0)
    weights, facts = load_tensors(run / "weights.safetensors")
    assert weights["layers.0.weight"].shape == (8, 4, 3, 3, 3) and facts["iterations"] == 6
    last = json.loads((run / "history.jsonl").read_text().splitlines()[-1])
    assert len((run / "losses.txt").read_text().splitlines()) == 6
    assert last["learning_rate"] == pytest.approx(0.001 * 0.1)  # step 6 of 6: progress 5/6 is beyond 0.6


def test_without_the_package_the_known_names_are_told(tiny: DatasetFolder) -> None:
    with pytest.raises(UserError, match=r"no network 'dilated'; known: .*residual_encoder_unet"):
        registry.find("network", "dilated")


def test_an_option_that_a_part_does_not_take_is_told(installed: None) -> None:
    with pytest.raises(UserError, match=r"loss 'tversky' has no option 'beta'; it takes: alpha"):
        registry.build("loss", "tversky", {"beta": 1}, output="regions", channel_weights=torch.ones(3))
