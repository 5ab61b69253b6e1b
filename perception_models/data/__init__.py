"""Labelled images: readers of folders and public data sets, cache, augmentation and training targets."""

from perception_models.data.augment import AugmentConfig, augment
from perception_models.data.files import DataError
from perception_models.data.mix import Sampler, TargetDataset, open_mix
from perception_models.data.readers.traffic_lights import LightCrops
from perception_models.data.registry import open_dataset
from perception_models.data.sample import Boxes, Lane, Lanes, Sample
from perception_models.data.targets import collate, targets

__all__ = [
    "AugmentConfig",
    "Boxes",
    "DataError",
    "Lane",
    "Lanes",
    "LightCrops",
    "Sample",
    "Sampler",
    "TargetDataset",
    "augment",
    "collate",
    "open_dataset",
    "open_mix",
    "targets",
]
