"""autobrats_predict: segment new studies with a model folder."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autobrats.commands.predict_survival import (
    SURVIVAL_FILE,
    add_survival_arguments,
    check_patients,
    load_survival_model,
    predict_survival,
)
from autobrats.commands.running import add_dataset_arguments, chosen_model, new_parser, not_negative, run
from autobrats.errors import UserError

if TYPE_CHECKING:
    from autobrats.dataset.cases import Case
    from autobrats.inference.predictor import Predictor, PreparedStudy

FAILURES = "failures.csv"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    result = new_parser(
        "autobrats_predict",
        "Segment new studies: one mask a study, in the study's own geometry and label convention.",
        "Mirroring predicts every window once for each combination of mirrored axes: 8 passes for three axes. It "
        "makes masks\na little better; --no-mirroring is up to 8 times as fast.\n\n"
        "exit code: 0 if every study was predicted, 1 if any failed, 2 for wrong use.",
    )
    result.add_argument(
        "-i",
        "--input",
        type=Path,
        required=True,
        metavar="IN",
        help="a folder of studies in any layout, one study's folder, or a CSV",
    )
    result.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the masks")
    result.add_argument(
        "-m", "--model", type=Path, metavar="FOLDER", help="model folder (default: the dataset's in the workspace)"
    )
    add_dataset_arguments(result)
    result.add_argument("--no-mirroring", action="store_true", help="one pass a window instead of 2^axes (usually 8)")
    result.add_argument(
        "--overlap", type=float, metavar="F", help="of neighbouring windows, 0 to below 1 (default: the plan's)"
    )
    result.add_argument(
        "--save-probabilities", action="store_true", help="also CASE_probabilities.nii.gz, a volume a region"
    )
    result.add_argument(
        "--continue", dest="go_on", action="store_true", help="skip studies whose mask is in OUT already"
    )
    result.add_argument("--device", metavar="D", help="cuda, cuda:1, mps or cpu (default: the best there is)")
    result.add_argument(
        "--backend",
        choices=("auto", "torch", "openvino", "onnx"),
        default="auto",
        help="what computes on a CPU (default: auto, what is measured to be fastest)",
    )
    result.add_argument(
        "--precision",
        choices=("float32", "bf16", "int8"),
        default="float32",
        help="of the convolutions on a CPU: bf16 and int8 are faster, for models that passed autobrats_quantise "
        "(default: float32)",
    )
    result.add_argument(
        "--workers",
        type=not_negative,
        default=1,
        metavar="N",
        help="studies read ahead meanwhile (default: 1; 0: none)",
    )
    result.add_argument(
        "--convention", metavar="NAME", help="of the labels written (default: the study's own, else the model's)"
    )
    add_survival_arguments(result)
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of autobrats_predict."""
    return run(parser(), predict, argv)


def predict(arguments: argparse.Namespace) -> int:
    """Read the model, find the studies, segment one after the other; a failure does not stop the others."""
    from autobrats.dataset.known_conventions import convention_named
    from autobrats.dataset.reading import read_studies
    from autobrats.devices import describe_device
    from autobrats.inference.prediction import writing_convention
    from autobrats.inference.predictor import Predictor

    survival = load_survival_model(arguments)
    predictor = Predictor.load(
        chosen_model(arguments),
        device=arguments.device,
        mirroring=not arguments.no_mirroring,
        overlap=arguments.overlap,
        backend=arguments.backend,
        precision=arguments.precision,
    )
    convention = None
    if arguments.convention is not None:
        model = predictor.model.plan.convention
        convention = convention_named(arguments.convention, model.labels.values())
        writing_convention("", model, convention)
    cases, faults = read_studies(arguments.input, predictor.modalities)
    _refuse_overwriting(arguments.output, cases)
    if survival is not None:
        check_patients(arguments, survival, predictor, cases)
    arguments.output.mkdir(parents=True, exist_ok=True)
    named = {case.name for case in cases}
    failures = []
    for fault in faults:
        if fault.severity == "error" and fault.case not in named:
            failures.append((fault.case, f"{fault.message}; {fault.remedy}"))
        else:
            print(f"{fault.case or arguments.input}: {fault.message}", file=sys.stderr)
    waiting = [case for case in cases if not (arguments.go_on and _is_predicted(arguments, case.name))]

    _say_what_will_be_done(predictor, describe_device(predictor.device), len(waiting), len(cases) - len(waiting))
    started, done = time.perf_counter(), 0
    for number, (case, study) in enumerate(_prepared(predictor, waiting, arguments.workers), 1):
        try:
            if isinstance(study, Exception):
                raise study
            told = predictor.warnings_about(study)
            _print_warnings(case.name, told)
            prediction = predictor.predict_prepared(study, convention=convention)
            mask, probabilities = _paths(arguments, prediction)
            prediction.save(mask, probabilities)
        except Exception as error:
            if arguments.debug and not isinstance(error, UserError):
                raise
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            failures.append((case.name, reason))
            print(f"{number}/{len(waiting)} {case.name}: failed: {reason}", file=sys.stderr, flush=True)
            continue
        done += 1
        left = (time.perf_counter() - started) / number * (len(waiting) - number)
        ahead = f", about {_duration(left)} left" if number < len(waiting) else ""
        print(f"{number}/{len(waiting)} {case.name}: {prediction.seconds:.1f} s{ahead} -> {mask.name}", flush=True)
        _print_warnings(case.name, [warning for warning in prediction.warnings if warning not in told])
    if survival is not None and (segmented := _segmented(arguments, cases)):
        try:
            failures += predict_survival(arguments, survival, predictor, segmented, convention).items()
        except UserError as error:
            failures.append((SURVIVAL_FILE, str(error)))
    _report_failures(arguments.output, failures)
    print(
        f"{done} of {len(waiting)} studies predicted in {_duration(time.perf_counter() - started)}: {arguments.output}"
    )
    return 1 if failures else 0


def _refuse_overwriting(output: Path, cases: Sequence[Case]) -> None:
    """UserError if two studies would write the same mask, or a mask would take the place of a study's own file."""
    names: set[str] = set()
    for case in cases:
        if case.name in names:
            raise UserError(f"Two studies are called {case.name}; predict them in two calls with two output folders.")
        names.add(case.name)
        for file in [*case.images.values(), *([case.mask] if case.mask is not None else [])]:
            if file.path.resolve().parent != output.resolve():
                continue
            if file.path.name in {f"{case.name}{suffix}" for suffix in _suffixes()}:
                raise UserError(f"The mask of {case.name} would overwrite {file.path}; choose another output folder.")


def _is_predicted(arguments: argparse.Namespace, name: str) -> bool:
    """Whether everything that is asked for of a study is in OUT."""
    wanted = not arguments.save_probabilities or _probability_path(arguments, name).is_file()
    return wanted and any((arguments.output / f"{name}{suffix}").is_file() for suffix in _suffixes())


def _segmented(arguments: argparse.Namespace, cases: Sequence[Case]) -> list[tuple[Case, Path]]:
    """The cases whose mask is in OUT, each with it."""
    masks = ((case, arguments.output / f"{case.name}{suffix}") for case in cases for suffix in _suffixes())
    return [(case, mask) for case, mask in masks if mask.is_file()]


def _suffixes() -> tuple[str, ...]:
    from autobrats.dataset.volumes import ITK_SUFFIXES, NIFTI_SUFFIXES

    return (*NIFTI_SUFFIXES, *ITK_SUFFIXES)


def _paths(arguments: argparse.Namespace, prediction: Any) -> tuple[Path, Path | None]:
    from autobrats.dataset.writing import mask_suffix

    mask = arguments.output / f"{prediction.name}{mask_suffix(prediction.geometry)}"
    if not arguments.save_probabilities:
        return mask, None
    return mask, _probability_path(arguments, prediction.name)


def _probability_path(arguments: argparse.Namespace, name: str) -> Path:
    return arguments.output / f"{name}_probabilities.nii.gz"


def _prepared(
    predictor: Predictor, cases: Sequence[Case], ahead: int
) -> Iterator[tuple[Case, PreparedStudy | Exception]]:
    """Studies in order, of which at most ``ahead`` are read while another is predicted."""
    from concurrent.futures import ThreadPoolExecutor

    if ahead == 0:
        for case in cases:
            yield case, _prepare(predictor, case)
        return
    with ThreadPoolExecutor(1) as reader:
        queue = [reader.submit(_prepare, predictor, case) for case in cases[:ahead]]
        try:
            for index, case in enumerate(cases):
                study = queue.pop(0).result()
                if index + ahead < len(cases):
                    queue.append(reader.submit(_prepare, predictor, cases[index + ahead]))
                yield case, study
                del study
        finally:
            for future in queue:
                future.cancel()


def _prepare(predictor: Predictor, case: Case) -> PreparedStudy | Exception:
    try:
        return predictor.prepare(case)
    except Exception as error:
        return error


def _say_what_will_be_done(predictor: Predictor, device: str, count: int, skipped: int) -> None:
    members = predictor.model.best_config.members
    folds = ", ".join(f"{member.configuration} fold {member.fold}" for member in members)
    print(f"model: {predictor.model.path} ({folds})")
    cost = (
        f"mirroring: {predictor.mirrorings} passes a window" if predictor.mirroring else "no mirroring: 1 pass a window"
    )
    if predictor.mirroring and predictor.mirrorings > 1:
        cost += f" (--no-mirroring is about {predictor.mirrorings} times as fast)"
    print(f"device: {device}; {cost}; {len(members)} network{'s'[: len(members) != 1]}")
    done = f" ({skipped} already done)" if skipped else ""
    print(f"{count} stud{'y' if count == 1 else 'ies'} to predict{done}", flush=True)


def _print_warnings(case: str, warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"    {case}: {warning}", file=sys.stderr, flush=True)


def _report_failures(output: Path, failures: list[tuple[str, str]]) -> None:
    """A table on stderr and failures.csv; an older failures.csv goes if nothing failed."""
    from autobrats.files import write_csv

    if not failures:
        (output / FAILURES).unlink(missing_ok=True)
        return
    write_csv(output / FAILURES, ["case", "reason"], failures)
    width = max(len(name) for name, _ in failures)
    print(f"\nFailed ({len(failures)}; also in {output / FAILURES}):", file=sys.stderr)
    for name, reason in failures:
        print(f"  {name:<{width}}  {reason}", file=sys.stderr)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
