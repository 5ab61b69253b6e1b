"""Accuracy of positions, velocities, tracks and lanes, measured on drives with exact ground truth."""
