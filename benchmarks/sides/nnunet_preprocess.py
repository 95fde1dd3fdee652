"""nnU-Net reads, preprocesses and stores one BraTS study."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from nnunet_preprocessing import save_case

from benchmarks.side_by_side.nnunet_plan import brats_dataset, brats_images, brats_mask, plans
from benchmarks.side_by_side.protocol import measured, serve


def prepare(options: dict[str, Any]) -> dict[str, Any]:
    study = Path(options["study"])
    given = {
        "name": study.name,
        "images": [str(path) for path in brats_images(study)],
        "mask": str(brats_mask(study)),
        "folder": options["folder"],
        "plans": plans(options["patch"], 2),
        "dataset": brats_dataset(),
    }
    repeat(given)
    return given


def repeat(given: dict[str, Any]) -> dict[str, Any]:
    shutil.rmtree(given["folder"], ignore_errors=True)  # it writes over no file
    Path(given["folder"]).mkdir()
    return measured(lambda: save_case(**given))[1]


if __name__ == "__main__":
    serve(prepare, repeat)
