"""What a run was begun with: written into its manifest, and checked when it goes on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from autobrats.devices import machine_facts
from autobrats.errors import UserError
from autobrats.training.job import TrainingJob


def record_start(job: TrainingJob) -> None:
    """Write the manifest, or check a run that goes on against the one it has.

    Raises:
        UserError: if the plan was changed in between in a way that the checkpoint does not fit.
    """
    described = job.configuration.model_dump(
        mode="json",
        exclude={"training", "semi_supervision", "inference", "hooks", "validation", "postprocessing", "why"},
    )
    preprocessing = job.plan.preprocessing.model_dump(mode="json")
    convention = job.plan.convention.model_dump(mode="json")
    cases = hashlib.sha256(json.dumps([sorted(job.labelled_cases), sorted(job.validation_cases)]).encode()).hexdigest()
    unlabelled = _described_unlabelled(job)
    before = job.run.read_manifest()
    if before and (job.run.checkpoint_file.is_file() or job.run.semi_supervision.is_dir()):
        _check_unlabelled(job, before.get("unlabelled"), unlabelled)
        if [before.get(key) for key in ("configuration", "preprocessing", "convention")] != [
            described,
            preprocessing,
            convention,
        ]:
            raise UserError(
                f"{job.title} was begun with another plan; go on with that plan, or forget the run with --restart."
            )
        if before.get("cases_sha256") != cases:
            raise UserError(
                f"{job.title} was begun with other training and validation cases; go on with the splits.json of that "
                "time, or forget the run with --restart."
            )
        if before["seed"] != job.seed:
            raise UserError(f"{job.title} was begun with --seed {before['seed']}; go on with it, or use --restart.")
        return
    job.run.write_manifest(
        name=job.name,
        fold=job.fold,
        seed=job.seed,
        device=str(job.device),
        plan_sha256=hashlib.sha256(job.plan.model_dump_json().encode()).hexdigest(),
        configuration=described,
        preprocessing=preprocessing,
        convention=convention,
        training=job.configuration.training.model_dump(mode="json"),
        training_cases=len(job.labelled_cases),
        validation_cases=len(job.validation_cases),
        pretrained=None if job.pretrained is None else str(job.pretrained),
        cases_sha256=cases,
        unlabelled=unlabelled,
        machine=machine_facts(job.run.path).model_dump(mode="json"),
    )


def _described_unlabelled(job: TrainingJob) -> dict[str, Any] | None:
    """What the manifest says of the unlabelled studies, and of what the students depend on."""
    if job.unlabelled is None:
        return None
    settings = job.configuration.semi_supervision
    return {
        "folder": str(job.unlabelled.folder),
        "cases": job.unlabelled.names,
        "sha256": job.unlabelled.sha256,
        "views": settings.views,
        "unlabelled_weight": settings.unlabelled_weight,
    }


def _check_unlabelled(job: TrainingJob, before: dict[str, Any] | None, now: dict[str, Any] | None) -> None:
    """UserError unless a run goes on with the unlabelled studies that it was begun with."""
    if before == now:
        return
    if before is None:
        raise UserError(f"{job.title} was begun without --unlabelled; go on without it, or use --restart.")
    if now is None:
        raise UserError(
            f"{job.title} was begun with unlabelled studies; go on with --unlabelled {before['folder']}, or forget the run "
            "with --restart."
        )
    if before["sha256"] == now["sha256"] and before["folder"] == now["folder"]:
        raise UserError(
            f"{job.title} was begun with other views or another unlabelled_weight; go on with that plan, or forget the run "
            "with --restart."
        )
    raise UserError(
        f"{job.title} was begun with other unlabelled studies ({len(before['cases'])} of {before['folder']}, now "
        f"{len(now['cases'])} of {now['folder']}); go on with those as they were, or forget the run with --restart."
    )
