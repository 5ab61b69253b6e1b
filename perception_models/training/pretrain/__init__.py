"""Training without labels: reconstruction of masked images, and mimicry of the features of frozen networks."""

from perception_models.training.pretrain.mimicry import FeatureMimicry
from perception_models.training.pretrain.module import MaskedPretraining

__all__ = ["FeatureMimicry", "MaskedPretraining"]
