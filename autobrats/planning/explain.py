"""The plan, told as a person would tell it."""

from __future__ import annotations

from autobrats.plan import Configuration, Plan


def explain(plan: Plan) -> str:
    """Plain text: what was decided, and why."""
    lines = [f"The plan of {plan.dataset}", ""]
    regions = ", ".join(f"{name} = {'+'.join(map(str, members))}" for name, members in plan.convention.regions.items())
    lines += [
        f"It reads {_listed(plan.modalities)} and finds {regions} (convention {plan.convention.name}).",
        *_sentences(plan.why),
    ]
    for name, configuration in plan.configurations.items():
        lines += ["", f"{name} (recipe {configuration.recipe})", *_configuration(configuration)]
    return "\n".join(lines)


def summarise(plan: Plan) -> str:
    """Plain text: each configuration's decisions, without the reasons."""
    lines = []
    for name, configuration in plan.configurations.items():
        lines += [f"{name}: (autobrats_plan --explain tells why)", *_facts(configuration)]
    return "\n".join(lines)


def _configuration(configuration: Configuration) -> list[str]:
    return [*_facts(configuration), *_sentences(configuration.why)]


def _facts(configuration: Configuration) -> list[str]:
    training = configuration.training
    pool = " or ".join(f"{'x'.join(map(str, entry.patch_size))} by {entry.batch_size}" for entry in configuration.pool)
    limit = f", at most {60 * training.max_hours:.0f} minutes a fold" if training.max_hours else ""
    options = configuration.network.options
    shape = ", ".join(f"{key} {value}" for key, value in options.items() if key in ("channels", "blocks"))
    return [
        f"  network      {configuration.network.name}" + (f" ({shape})" if shape else ""),
        f"  patches      {pool} (z, y, x by batch)",
        f"  fitting      {configuration.loss.name}, {configuration.optimiser.name}, {configuration.schedule.name} schedule",
        f"  training     {training.iterations:,} iterations, {training.iterations_per_epoch} an epoch{limit}",
    ]


def _sentences(why: dict[str, str]) -> list[str]:
    return [f"  {key}: {sentence}" for key, sentence in why.items()]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
