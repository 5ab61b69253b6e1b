"""Hyper-parameter search: many short trainings, bad ones stopped early, the best one's words as a configuration."""
