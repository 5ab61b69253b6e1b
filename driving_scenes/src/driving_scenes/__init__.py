"""Driving scenes with exact labels, made from a seed."""
