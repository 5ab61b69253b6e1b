"""The parts of a training run; perception_models.training.train puts them together."""
