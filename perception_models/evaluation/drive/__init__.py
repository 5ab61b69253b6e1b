"""How right the metres are: positions, velocities, tracks and lanes against exact truth."""
