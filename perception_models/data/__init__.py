"""Labelled images: readers of folders and public datasets, augmentation, cache, and the arrays that training reads."""

from perception_models.data.augment import AugmentConfig, augment
from perception_models.data.errors import DataError
from perception_models.data.lights import LightCrops
from perception_models.data.registry import open_dataset, open_mix
from perception_models.data.sample import Boxes, Lane, Lanes, Sample
from perception_models.data.targets import collate, targets
from perception_models.data.training import Items, Order

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
