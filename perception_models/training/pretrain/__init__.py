"""Learning from pictures without labels: the trunk fills in what was hidden from it."""

from perception_models.training.pretrain.learner import MaskedLearner

__all__ = ["MaskedLearner"]
