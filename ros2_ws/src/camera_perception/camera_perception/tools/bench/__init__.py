"""Benchmarks of the library without ROS: `camera-perception bench`. Not part of installed packages."""
