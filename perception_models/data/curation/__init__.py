"""Curation of data sets: checking their labels, and labelling real images with public networks."""
