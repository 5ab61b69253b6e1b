"""Benchmarks of the nodes over DDS between processes: `make bench`. Not part of installed packages.

Benchmarks without ROS are in camera_perception.tools.bench.
"""
