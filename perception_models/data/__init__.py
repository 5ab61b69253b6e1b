"""Labelled images: readers of folders and public datasets, augmentation, cache, and the arrays that training reads."""

from perception_models.data.errors import DataError
from perception_models.data.sample import Boxes, Lane, Lanes, Sample
from perception_models.data.targets import collate, targets

__all__ = ["Boxes", "DataError", "Lane", "Lanes", "Sample", "collate", "targets"]
