"""Memory of prediction: it stays flat from study to study, and the estimate is near the measured peak."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_dataset import tiny_configuration

from autobrats.dataset.known_conventions import KNOWN
from autobrats.inference.model_folder import TrainedNetwork, write_model_folder
from autobrats.networks.building import build_network
from autobrats.phantoms.folder import write_dataset
from autobrats.plan import Inference, Normalisation, PatchBatch, Plan, Preprocessing
from autobrats.planning.network_sizes import standard_network
from autobrats.training.checkpoints import save_weights

MODALITIES = ["t1n", "t1c", "t2w", "t2f"]
SHAPE = (155, 200, 180)
STUDIES = 4

PREDICT = """
import json, re, sys
from pathlib import Path
from autobrats.inference.predictor import Predictor

def peak():  # in GiB; ru_maxrss would count the memory of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**20

predictor = Predictor.load(Path(sys.argv[1]), device="cpu", mirroring=False, backend="torch")
before, peaks = peak(), []
for study in sorted(path for path in Path(sys.argv[2]).iterdir() if path.is_dir()):
    prediction = predictor.predict(study)
    peaks.append(peak())
shape = prediction.labels.shape
print(json.dumps({"before": before, "peaks": peaks, "estimate": predictor.memory_gib(shape)}))
"""


def write_model(folder: Path) -> Path:
    part = standard_network()
    plan = Plan(
        dataset="glioma",
        modalities=MODALITIES,
        convention=KNOWN["brats2017"],
        preprocessing=Preprocessing(
            crop_to_brain=True, spacing_mm=(1, 1, 1), normalisation={m: Normalisation() for m in MODALITIES}
        ),
        configurations={
            "3d_fullres": tiny_configuration(
                MODALITIES,
                "regions",
                network=part,
                pool=[PatchBatch(patch_size=(64, 64, 64), batch_size=1)],
                inference=Inference(patch_size=(64, 64, 64), overlap=0.25),
            )
        },
    )
    torch.manual_seed(0)
    weights = folder / "weights.safetensors"
    save_weights(weights, build_network(part.name, part.options, len(MODALITIES), 3), {})
    return write_model_folder(folder / "model", plan, [TrainedNetwork("3d_fullres", 0, weights)]).path


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="the peak is read from Linux's /proc")
def test_memory_stays_flat_and_near_the_estimate(tmp_path: Path) -> None:
    write_dataset(tmp_path / "studies", STUDIES, seed=0, shape=SHAPE, with_masks=False)
    model = write_model(tmp_path)
    ran = subprocess.run(
        [sys.executable, "-c", PREDICT, str(model), str(tmp_path / "studies")],
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(ran.stdout.splitlines()[-1])
    first, last = measured["peaks"][1], measured["peaks"][-1]
    assert last < 1.05 * first, measured
    added = first - measured["before"]
    assert 0.5 * added < measured["estimate"] < 3 * added, measured
