"""Training without labels: reconstruction of masked images."""

from perception_models.training.pretrain.module import MaskedPretraining

__all__ = ["MaskedPretraining"]
