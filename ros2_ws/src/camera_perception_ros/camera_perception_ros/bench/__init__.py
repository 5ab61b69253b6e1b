"""Measurements over DDS between processes: `make bench`. What needs no ROS is in camera_perception.tools.bench."""
