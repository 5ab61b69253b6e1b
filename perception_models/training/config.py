"""Everything a training run can be told. perception_models/configs/*.yaml document the values by example."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from perception_models.losses import LossConfig
from perception_models.losses.balancing import BalanceConfig


@dataclass
class StageConfig:
    """A stretch of the training at one input size; small pictures first are seen faster.

    views  image views of all devices together
    batch  images per device and step
    """

    views: int = 20000
    height: int = 256
    width: int = 416
    batch: int = 8


@dataclass
class DataConfig:
    """Where images come from; see perception_models.data for kinds and their options.

    train, val    data sets: {kind, path, weight, only, include, exclude, ...}
    cache         folder for decoded copies, made once
    cache_height, cache_width  no image is kept larger than this
    lights        folder of traffic-light crops that augmentation pastes in (those of fold "train"), or nothing
    augment       fields of data.augment.AugmentConfig that differ from its defaults
    epoch         views per epoch; 0 is the number of images
    workers       loader processes per device; 0 loads in the training process, which is right for two CPU cores
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
    """Steps downhill.

    kind          adamw | sgd (Nesterov)
    lr            peak learning rate; warm-up over `warmup` steps, then a cosine to `final` of it
    weight_decay  on weights only, none on biases and norms
    clip          largest gradient norm; 0 does not clip
    scales        factor on lr by the beginning of parameter names, such as {backbone: 0.1}
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
    """What is trained until a share of the run is over; without phases everything is, all the time.

    until      0..1 of all views
    tasks      these only; empty is all
    frozen     beginnings of parameter names that stand still, such as backbone or heads.lanes
    alternate  one task per step, in turn
    """

    until: float = 1.0
    tasks: list[str] = field(default_factory=list)
    frozen: list[str] = field(default_factory=list)
    alternate: bool = False


@dataclass
class TransferConfig:
    """Start from another network.

    weights  checkpoint (.safetensors) to start from, or nothing
    replace  beginnings of parameter names that start anew, such as heads.objects
    """

    weights: str | None = None
    replace: list[str] = field(default_factory=list)


@dataclass
class DistillConfig:
    """Learn from a larger network too.

    teacher      checkpoint of the teacher, or nothing
    logits, features, objects  weights of what masks, lines and scene say, of the pyramid, and of objects
    temperature  softens both distributions
    confidence   masks, lines and boxes teach only where the teacher is at least this sure
    """

    teacher: str | None = None
    logits: float = 1.0
    features: float = 1.0
    objects: float = 1.0
    temperature: float = 2.0
    confidence: float = 0.6


@dataclass
class PretrainConfig:
    """Learn from the pictures alone; see perception_models.training.pretrain.

    hidden  share of each picture that is hidden and to be filled in, about 0.6; 0: learn from labels
    """

    hidden: float = 0.0


@dataclass
class TrainConfig:
    """One run.

    network      size (n, s, m) and fields of NetworkConfig that differ from it
    precision    of Lightning Fabric: bf16-mixed, 16-mixed, 32-true
    compile      let torch.compile write kernels for this network: minutes once per input size, then faster steps
    devices      processes, each with `threads` threads on a CPU; two of one thread beat one of two
    average      decay of the averaged weights, which are the ones that are kept
    save_every, validate_every, log_every, picture_every  steps; 0 never
    patience     validations without a better score before the run stops; 0 never stops early
    """

    name: str = "run"
    seed: int = 0
    network: dict[str, Any] = field(default_factory=lambda: {"size": "n"})
    stages: list[StageConfig] = field(default_factory=lambda: [StageConfig()])
    data: DataConfig = field(default_factory=DataConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    phases: list[PhaseConfig] = field(default_factory=list)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    pretrain: PretrainConfig = field(default_factory=PretrainConfig)
    accelerator: str = "auto"
    precision: str = "bf16-mixed"
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
