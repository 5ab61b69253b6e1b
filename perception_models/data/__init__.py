"""Labelled images: readers of folders and public datasets, augmentation, cache, and the arrays that training reads."""

from perception_models.data.augment import AugmentConfig, augment
from perception_models.data.files import DataError
from perception_models.data.readers.traffic_lights import LightCrops
from perception_models.data.registry import open_dataset, open_mix
from perception_models.data.sample import Boxes, Lane, Lanes, Sample
from perception_models.data.sampler import Items, Order
from perception_models.data.targets import collate, targets

__all__ = [
    "AugmentConfig",
    "Boxes",
    "DataError",
    "Items",
    "Lane",
    "Lanes",
    "LightCrops",
    "Order",
    "Sample",
    "augment",
    "collate",
    "open_dataset",
    "open_mix",
    "targets",
]
