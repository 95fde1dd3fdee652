"""autobrats reads, preprocesses and stores one BraTS study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ours_preprocessing import brats_job

from autobrats.preprocessing.dataset import Job, preprocess_case
from benchmarks.side_by_side.protocol import measured, serve


def prepare(options: dict[str, Any]) -> Job:
    job = brats_job(Path(options["study"]), options["patch"], Path(options["folder"]))
    preprocess_case(job)
    return job


def repeat(job: Job) -> dict[str, Any]:
    return measured(lambda: preprocess_case(job))[1]


if __name__ == "__main__":
    serve(prepare, repeat)
