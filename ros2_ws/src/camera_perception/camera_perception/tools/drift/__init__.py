"""Drift monitoring: distributions of a network's outputs compared with a reference profile."""
