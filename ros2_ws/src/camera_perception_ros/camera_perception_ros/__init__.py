"""Thin ROS 2 nodes around camera_perception: they translate, the library computes."""
