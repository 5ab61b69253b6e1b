"""How good a model is, measured with the vehicle's own decoder."""

from perception_models.evaluation.run import evaluate

__all__ = ["evaluate"]
