"""Schedule, optimiser and weight averaging of a training run."""
