"""Training without labels: reconstruction of masked images, and alignment of a backbone with a frozen one."""

from perception_models.training.pretrain.alignment import BackboneAlignment
from perception_models.training.pretrain.module import MaskedPretraining

__all__ = ["BackboneAlignment", "MaskedPretraining"]
