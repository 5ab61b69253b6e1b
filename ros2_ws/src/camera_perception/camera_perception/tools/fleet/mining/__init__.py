"""Frames worth labelling."""
