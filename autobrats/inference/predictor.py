"""The predictor: a model folder, loaded once, that segments one study after the other."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from autobrats import __version__
from autobrats.dataset.cases import Case
from autobrats.dataset.conventions import Convention
from autobrats.dataset.geometry import Geometry
from autobrats.dataset.integrity import check_loaded, expects_brains
from autobrats.dataset.known_conventions import convention_named
from autobrats.dataset.reading import read_studies
from autobrats.dataset.volumes import Study, read_study
from autobrats.devices import available_ram_gib, choose_device, give_back_freed_memory
from autobrats.errors import UserError
from autobrats.evaluation.probability_file import to_volume
from autobrats.inference.backends import (
    CONVERTED,
    BackendName,
    ChosenNetwork,
    KeptModels,
    Probes,
    RoundedNetwork,
    TorchNetwork,
    cpu_backends,
    estimate_memory_gib,
    with_backend,
)
from autobrats.inference.combination import Combiner
from autobrats.inference.int8 import Range
from autobrats.inference.model_folder import ModelFolder, read_model_folder
from autobrats.inference.network_loading import load_network
from autobrats.inference.postprocessor import Postprocessor
from autobrats.inference.precision import Precision
from autobrats.inference.prediction import Prediction, decide_labels, writing_convention
from autobrats.inference.rounding_file import read_rounding
from autobrats.inference.sliding_window import (
    VolumePrediction,
    common_divisor,
    predict_volume,
    window_size,
)
from autobrats.networks.output import channel_names, region_probabilities
from autobrats.networks.source_code import code_sha256
from autobrats.plan import Configuration, Plan
from autobrats.preprocessing.network_input import network_input
from autobrats.preprocessing.transform import Prepared, in_study_box, preprocess, to_study_box

CONVERTED_GIB = 0.15
"""What OpenVINO itself takes beside the windows (measured); taken for ONNX Runtime as well."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedStudy:
    """A study that was read and preprocessed, ready for the networks."""

    name: str
    prepared: Prepared
    geometry: Geometry
    seconds: float


@dataclass
class _Ensemble:
    """The members of one configuration: they see the same channels and windows, and are postprocessed in the same way."""

    configuration: Configuration
    postprocessor: Postprocessor
    probes: Probes
    networks: list[TorchNetwork | ChosenNetwork | RoundedNetwork] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)


class Predictor:
    """Segments studies with all networks of a model folder::

        predictor = Predictor.load("autobrats_workspace/glioma/model")
        prediction = predictor.predict("new_studies/BraTS2021_00002")
        prediction.save("BraTS2021_00002.nii.gz")

    Attributes:
        model: the model folder.
        device: where the networks are.
        modalities: in the order of the channels.
        regions: in the order of the probabilities.
        mirrorings: passes of each network over each window.
    """

    def __init__(
        self,
        model: ModelFolder,
        *,
        device: str | None = None,
        mirroring: bool = True,
        overlap: float | None = None,
        backend: BackendName = "auto",
        precision: Precision = "float32",
        ranges: Mapping[str, Mapping[str, Range]] | None = None,
    ) -> None:
        """As :meth:`load`, of a model folder that was read.

        Args:
            precision: not asked of the model, whether it was checked.
            ranges: for ``int8``, by the sha256 of a member's weights.
        """
        if overlap is not None and not 0 <= overlap < 1:
            raise UserError(f"The overlap must be at least 0 and below 1, not {overlap}.")
        self.model = model
        self.device = choose_device(device)
        self.modalities = list(model.plan.modalities)
        self.regions = list(model.plan.convention.regions)
        self.mirroring = mirroring
        self.overlap = overlap
        self._backend: BackendName = backend
        self._precision: Precision = precision
        self._ranges = ranges or {}
        self._postprocessor = Postprocessor(model.best_config.postprocessing, model.plan.convention)
        self._ensembles = self._load_networks()
        self.mirrorings = max(2 ** len(self._mirror_axes(ensemble.configuration)) for ensemble in self._ensembles)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str | None = None,
        mirroring: bool = True,
        overlap: float | None = None,
        backend: BackendName = "auto",
        precision: Precision = "float32",
    ) -> Predictor:
        """Read, check and build everything once.

        Args:
            folder: a model folder, as autobrats_find_best_config writes it.
            device: ``cuda``, ``cuda:1``, ``mps`` or ``cpu``; by default the best there is.
            mirroring: average over mirrored images: 2^n passes for the plan's n axes, slightly better masks.
            overlap: of the windows, 0 to below 1; by default the plan's.
            backend: ``torch``; ``openvino`` or ``onnx`` (CPU only); or ``auto``, which on a CPU takes what is measured to be
                fastest. Converted networks and what was measured are kept in the model folder, if it can be written.
            precision: of a CPU's convolutions; ``bf16`` and ``int8`` need a model that passed autobrats_quantise.

        Raises:
            UserError: if the folder is not a whole model folder of a format that is known, or may not compute so.
        """
        model = read_model_folder(Path(folder))
        return cls(
            model,
            device=device,
            mirroring=mirroring,
            overlap=overlap,
            backend=backend,
            precision=precision,
            ranges=None if precision == "float32" else read_rounding(model, precision).ranges,
        )

    @property
    def networks(self) -> list[nn.Module]:
        """The networks themselves, in the order of the configurations and of their members."""
        return [network.network for ensemble in self._ensembles for network in ensemble.networks]

    @property
    def fell_back(self) -> bool:
        """Whether torch computes what was to be computed in bfloat16 or 8 bits."""
        networks = [network for ensemble in self._ensembles for network in ensemble.networks]
        return any(isinstance(network, RoundedNetwork) and network.failed for network in networks)

    def predict(
        self,
        case: Case | str | Path,
        *,
        convention: Convention | str | None = None,
        on_window: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        """Segment a case, or the one study at a path.

        Args:
            case: a case, or the path of one study in any layout.
            convention: in which the labels are written; by default the study's own (see
                :func:`~autobrats.inference.prediction.writing_convention`).
            on_window: called with (windows done, windows in all).

        Raises:
            UserError: for a study that cannot be read, or a path that holds several.
        """
        if not isinstance(case, Case):
            case = self._only_case(Path(case))
        return self.predict_prepared(self.prepare(case), convention=convention, on_window=on_window)

    def prepare(self, case: Case) -> PreparedStudy:
        """Read and preprocess a case; needs no device, so that the next case can be prepared meanwhile."""
        started = time.perf_counter()
        study = read_study(case, self.modalities)
        self._refuse_unprepared(study, case)
        return self._prepare_study(study, started)

    def predict_prepared(
        self,
        study: PreparedStudy,
        *,
        convention: Convention | str | None = None,
        on_window: Callable[[int, int], None] | None = None,
    ) -> Prediction:
        """Segment a prepared study."""
        started = time.perf_counter()
        give_back_freed_memory()  # what reading took: the networks need more
        if isinstance(convention, str):
            convention = convention_named(convention, self.model.plan.convention.labels.values())
        written, note = writing_convention(
            study.name, self.model.plan.convention, convention, self.model.plan.convention_of_names
        )
        warnings = [*self.warnings_about(study), *([note] if note else [])]
        placement = study.prepared.placement
        levels = self._postprocessed(self._region_levels(study, on_window), study.prepared)
        labels = decide_labels(levels, self.regions, written, self.model.best_config.threshold)
        return Prediction(
            name=study.name,
            labels=to_volume(labels[None], placement.box, placement.study_shape)[0],
            levels=levels,
            box=placement.box,
            regions=self.regions,
            geometry=study.geometry,
            convention=written,
            warnings=warnings,
            seconds=study.seconds + time.perf_counter() - started,
        )

    def warnings_about(self, study: PreparedStudy) -> list[str]:
        """What the user should know before a study is predicted: missing modalities with their cost, too little memory."""
        return [*self._about_missing(study), *self._about_memory(study)]

    def save(self, prediction: Prediction, path: str | Path, probabilities_path: str | Path | None = None) -> None:
        """Write a prediction exactly onto the grid of its study's reference image."""
        prediction.save(Path(path), None if probabilities_path is None else Path(probabilities_path))

    def memory_gib(self, shape: tuple[int, int, int]) -> float:
        """The estimated peak of predicting a study of ``shape`` (z, y, x) on the network's grid."""
        networks = [network for ensemble in self._ensembles for network in ensemble.networks]
        own = 0.0 if all(isinstance(network, TorchNetwork) for network in networks) else CONVERTED_GIB
        return own + max(
            estimate_memory_gib(
                [network.network for network in ensemble.networks],
                shape,
                modalities=len(ensemble.configuration.modalities),
                regions=len(self.regions),
                channels=self._averaged_channels(ensemble.configuration),
                window=self._window(ensemble, shape),
                batch_size=max(self._batch_size(ensemble), self._images_together(ensemble, shape)),
                activations=ensemble.probes.activations,
            )
            for ensemble in self._ensembles
        )

    def _load_networks(self) -> list[_Ensemble]:
        ensembles: dict[str, _Ensemble] = {}
        for member in self.model.best_config.members:
            configuration = self.model.plan.configurations[member.configuration]
            network = load_network(self.model, member)
            architecture = _architecture(network, configuration, self.model.plan)
            if member.configuration not in ensembles:
                steps, axis = configuration.postprocessing, getattr(network, "slice_axis", None)
                postprocessor = Postprocessor(steps, self.model.plan.convention, axis)
                probes = Probes(cpu_backends(self._backend), self.model.path / CONVERTED, architecture)
                ensembles[member.configuration] = _Ensemble(configuration, postprocessor, probes)
            ensemble = ensembles[member.configuration]
            needs_slices = ensemble.postprocessor.needs_slices
            kept = KeptModels(self.model.path / CONVERTED, member.sha256 + architecture)
            ensemble.networks.append(
                with_backend(
                    network,
                    self._backend,
                    self.device,
                    needs_slices,
                    probes=ensemble.probes,
                    kept=kept,
                    precision=self._precision,
                    ranges=self._ranges.get(member.sha256),
                )
            )
            ensemble.weights.append(member.weight)
        return list(ensembles.values())

    def _only_case(self, path: Path) -> Case:
        cases, faults = read_studies(path, self.modalities)
        if not cases and faults:
            raise UserError(f"{path}: {faults[0].case}: {faults[0].message}; {faults[0].remedy}.")
        if len(cases) != 1:
            found = ", ".join(case.name for case in cases[:3])
            raise UserError(
                f"{path} holds {len(cases)} studies ({found} ...); give one study, or use autobrats_predict."
            )
        return cases[0]

    def _prepare_study(self, study: Study, started: float) -> PreparedStudy:
        for ensemble in self._ensembles:
            needed = ensemble.configuration.modalities
            if not any(study.present[self.modalities.index(modality)] for modality in needed):
                raise UserError(
                    f"Case {study.name} has none of the modalities that the model sees: {', '.join(needed)}."
                )
        prepared = preprocess(
            study.images, study.present, study.spacing_mm, self.model.plan.preprocessing, self.modalities
        )
        return PreparedStudy(study.name, prepared, study.geometry, time.perf_counter() - started)

    def _region_levels(self, study: PreparedStudy, on_window: Callable[[int, int], None] | None) -> np.ndarray:
        """Probabilities of all configurations combined, uint8 (region, z, y, x) on the study's grid inside the box."""
        placement, how = study.prepared.placement, self.model.best_config.combination
        combiner = Combiner(how, self.model.plan.convention)
        for ensemble in self._ensembles:
            part = self._predict_ensemble(ensemble, study.prepared, on_window)
            if how != "mean":  # votes are counted where they were counted when the model was chosen
                part = to_study_box(part, placement).astype(np.float32) / 255
            elif len(self._ensembles) == 1:
                return to_study_box(part, placement)
            combiner.add(part, sum(ensemble.weights))
        if how == "mean":
            return to_study_box(combiner.result(), placement)
        return np.rint(combiner.result() * 255).astype(np.uint8)

    def _postprocessed(self, levels: np.ndarray, prepared: Prepared) -> np.ndarray:
        """What the model's own steps make of probabilities, uint8 (region, z, y, x) on the study's grid inside the box."""
        if not self._postprocessor.names:
            return levels
        images = prepared.images
        if self._postprocessor.needs_images:
            images = in_study_box(images, prepared.placement)
        else:  # only the shape is looked at
            images = np.broadcast_to(np.float32(0), (len(images), *prepared.placement.box_shape))
        return self._postprocessor.on_levels(levels, images, prepared.placement.study_spacing_mm)

    def _predict_ensemble(
        self, ensemble: _Ensemble, prepared: Prepared, on_window: Callable[[int, int], None] | None
    ) -> np.ndarray:
        """The probabilities that one configuration's networks give, postprocessed as its plan says."""
        configuration = ensemble.configuration
        channels = [self.modalities.index(modality) for modality in configuration.modalities]
        images = network_input(prepared.images, channels, configuration.intensities)

        def to_probabilities(logits: torch.Tensor) -> torch.Tensor:
            return region_probabilities(logits, configuration.output, self.model.plan.convention)

        def run(device: torch.device, batch_size: int) -> VolumePrediction:
            return predict_volume(
                ensemble.networks,
                torch.from_numpy(images),
                patch_size=configuration.inference.patch_size,
                overlap=configuration.inference.overlap if self.overlap is None else self.overlap,
                mirror_axes=self._mirror_axes(configuration),
                batch_size=batch_size,
                to_probabilities=to_probabilities,
                device=device,
                average=configuration.inference.mirror_average,
                weights=ensemble.weights,
                on_window=on_window,
            )

        prediction = self._on_device_or_cpu(run, self._batch_size(ensemble))
        return ensemble.postprocessor.last(prediction, images, prepared.placement.spacing_mm)

    def _on_device_or_cpu(
        self, run: Callable[[torch.device, int], VolumePrediction], batch_size: int
    ) -> VolumePrediction:
        try:
            return run(self.device, batch_size)
        except torch.OutOfMemoryError:
            _log.warning("The memory of %s does not suffice; prediction goes on on the CPU.", self.device)
        torch.cuda.empty_cache()
        self.device = torch.device("cpu")
        for other in self._ensembles:
            other.networks = [with_backend(network.network, "torch", self.device) for network in other.networks]
        return run(self.device, 1)

    def _mirror_axes(self, configuration: Configuration) -> list[int]:
        return list(configuration.inference.mirror_axes) if self.mirroring else []

    def _averaged_channels(self, configuration: Configuration) -> int:
        """Of the volume in which windows are added up."""
        if configuration.inference.mirror_average == "probabilities":
            return len(self.regions)
        return len(channel_names(configuration.output, self.model.plan.convention))

    def _batch_size(self, ensemble: _Ensemble) -> int:
        return 1 if self.device.type == "cpu" else ensemble.configuration.inference.batch_size

    def _images_together(self, ensemble: _Ensemble, shape: tuple[int, int, int]) -> int:
        """How many images a network of the ensemble computes at a time at most."""
        of = (len(ensemble.configuration.modalities), *self._window(ensemble, shape))
        return max(
            network.images_together(of) if isinstance(network, ChosenNetwork) else 1 for network in ensemble.networks
        )

    def _window(self, ensemble: _Ensemble, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        return window_size(shape, ensemble.configuration.inference.patch_size, common_divisor(ensemble.networks))

    def _refuse_unprepared(self, study: Study, case: Case) -> None:
        """UserError for a study with its skull, or one that is not co-registered: its mask would be nonsense."""
        if not expects_brains(self.modalities, self.model.plan.convention):
            return
        for fault in check_loaded(study, case):
            if fault.severity == "error":
                raise UserError(f"Case {case.name}: {fault.message}; {fault.remedy}.")

    def _about_missing(self, study: PreparedStudy) -> list[str]:
        """One sentence for each missing modality, with the measured loss."""
        measured = self.model.best_config.missing_modality_dice or {}
        complete = measured.get("complete")
        sentences = []
        for modality, present in zip(self.modalities, study.prepared.present, strict=True):
            if present:
                continue
            if modality in measured:
                instead = "" if complete is None else f" instead of {complete:.3f}"
                loss = f"mean out-of-fold Dice without it {measured[modality]:.3f}{instead}"
            else:
                loss = "what that costs was not measured"
            sentences.append(f"{modality} is missing: {loss}")
        if len(sentences) > 1:
            sentences.append(
                "several are missing: together they cost more than the largest single loss; it was not measured"
            )
        return sentences

    def _about_memory(self, study: PreparedStudy) -> list[str]:
        if self.device.type != "cpu":
            return []
        needed, free = self.memory_gib(study.prepared.placement.shape), available_ram_gib()
        if needed <= free:
            return []
        return [f"about {needed:.1f} GiB of memory are needed and {free:.1f} GiB are free: it may become slow or fail"]


def _architecture(network: nn.Module, configuration: Configuration, plan: Plan) -> str:
    """What a configuration's networks compute and how fast, apart from weights and window."""
    part, channels = configuration.network, channel_names(configuration.output, plan.convention)
    sizes = f"{len(configuration.modalities)} to {len(channels)} channels"
    code = f"code {code_sha256(network)[:20]} of autobrats {__version__}"
    return f"{part.name}, {json.dumps(part.options, sort_keys=True)}, {sizes}, {code}"
