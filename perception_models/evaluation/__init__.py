"""Evaluation of models on labelled data, with the decoder of the vehicle."""

from perception_models.evaluation.run import evaluate

__all__ = ["evaluate"]
