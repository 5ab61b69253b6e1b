"""Training: perception_models.training.train runs it, the other modules are its parts."""
