"""Boxes in the formats of common annotation tools."""
