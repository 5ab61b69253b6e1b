"""Measurements without ROS: every component against the obvious way. `make bench` adds what goes over DDS."""
