"""Adaptation of a network to a new camera with a few labelled images."""
