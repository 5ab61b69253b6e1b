"""Explanations: which pixels drove a prediction, by occlusion or by gradients."""
