"""The parts of a training run; perception_models.train puts them together."""
