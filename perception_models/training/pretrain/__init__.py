"""Pretraining on unlabelled images: backbone and neck reconstruct masked parts."""

from perception_models.training.pretrain.module import MaskedPretraining

__all__ = ["MaskedPretraining"]
