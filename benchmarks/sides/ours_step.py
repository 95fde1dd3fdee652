"""A training step of autobrats' trainer, as it is run here, with the same network, weights, batch, loss and optimiser."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ours_network import network_part
from ours_plan import plan_like_nnunet

from autobrats.dataset.cases import Dataset
from autobrats.loading.batches import Batch
from autobrats.networks.plain_unet import from_nnunet
from autobrats.preprocessing.store import CaseStore
from autobrats.training.job import TrainingJob
from autobrats.training.kept_memory import memory_is_kept
from autobrats.training.run_directory import RunDirectory
from autobrats.training.step_settings import settings_of
from autobrats.training.trainer import Trainer
from benchmarks.side_by_side.nnunet_plan import CONFIGURATION
from benchmarks.side_by_side.protocol import measured, serve


class State(NamedTuple):
    trainer: Trainer
    batch: Batch
    first_loss: float
    memory: ExitStack


def prepare(options: dict[str, Any]) -> State:
    folder = Path(options["folder"])
    torch.set_num_threads(options["threads"])
    trainer = Trainer(make_job(folder, options["patch"], options["batch"], options["mixed_precision"]))
    weights = torch.load(folder / "weights.pt", weights_only=True)
    trainer.network.load_state_dict(from_nnunet(weights, len(trainer.network.heads)))
    memory = ExitStack()
    memory.enter_context(memory_is_kept(trainer.device))
    trainer.use_settings(settings_of(trainer.job, trainer.measure_settings))
    trainer.network.train()
    images, regions = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("images", "regions"))
    with torch.no_grad():
        np.save(folder / "ours.npy", trainer.network(trainer.settings.arrange(images)).logits.numpy())
    batch = Batch(images, regions, ["benchmark"] * len(images))
    trainer.step(batch)
    return State(trainer, batch, trainer.last_loss, memory)


def make_job(folder: Path, patch: list[int], batch: int, mixed_precision: bool) -> TrainingJob:
    """A job without cases: the row brings its own batch."""
    plan = plan_like_nnunet(patch, batch, network_part(deep_supervision=True), mixed_precision=mixed_precision)
    return TrainingJob(
        dataset=Dataset(
            name="benchmark",
            root=folder,
            layout="brats",
            modalities=plan.modalities,
            convention=plan.convention,
            cases=[],
        ),
        plan=plan,
        name=CONFIGURATION,
        configuration=plan.configurations[CONFIGURATION],
        fold="0",
        training_cases=[],
        validation_cases=[],
        store=CaseStore(folder),
        run=RunDirectory(folder / "run"),
        device=torch.device("cpu"),
        seed=0,
        loading_threads=0,
    )


def repeat(state: State) -> dict[str, Any]:
    figures = measured(lambda: state.trainer.step(state.batch))[1]
    return figures | {"first_loss": state.first_loss, "settings": str(state.trainer.settings)}


if __name__ == "__main__":
    serve(prepare, repeat)
