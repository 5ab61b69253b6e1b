"""Hyperparameter search: many short trainings, bad ones stopped early; the result is a configuration."""
