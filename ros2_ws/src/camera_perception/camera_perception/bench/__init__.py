"""Measurements without ROS: every component against the obvious way. `make bench` adds what goes over DDS."""

from camera_perception.bench.command import main

__all__ = ["main"]
