"""Optional outputs add nothing to what the executor waits for."""

from __future__ import annotations

import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile

from camera_perception_ros.outputs.publishers import OutputPublishers, standard_outputs


def test_outputs_have_no_events():
    rclpy.init()
    node = LifecycleNode("waiting")
    try:
        before = len(list(node.waitables))
        outputs = OutputPublishers(node, standard_outputs(lambda: 80), QoSProfile(depth=5))
        assert len(list(node.waitables)) == before
        assert not outputs.wanted()
        outputs.close()
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
