"""Robustness of a model to adversarial perturbations and to corrupted images."""
