"""A fusion node that died is named by the cameras, and no longer when it is back."""

from __future__ import annotations

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driving import Ear, parameters
from rclpy.node import Node

from camera_perception.geometry.rig import RigCamera
from camera_perception_ros.camera import fusion_watch
from camera_perception_ros.camera.diagnostics import OK, array_of, status
from camera_perception_ros.camera.fusion_watch import FusionWatch
from camera_perception_ros.nodes.fusion_node import FusionNode
from camera_perception_ros.nodes.rig_node import rig_nodes


def test_it_is_silent_after_a_few_missing_reports_and_heard_with_the_next(context):
    now = [100.0]
    node = Node("camera", context=context, use_global_arguments=False)
    watch = FusionWatch(node, "/fusion", lambda: now[0])

    def after(seconds: float, name: str) -> str:
        now[0] += seconds
        watch.take(array_of(Time(), [status(name, OK, "", "", {})]))
        return watch.why_silent

    assert after(3.0, "/front: Input") == ""
    assert after(1.0, "/fusion_of_others: front") == (
        "/fusion has been silent for 4 s: start or activate it again, its log says why it ended"
    )
    assert after(1.0, "/fusion: front") == ""
    node.destroy_node()


def test_a_fusion_that_dies_is_an_error_of_the_camera_until_it_is_back(rig, context, executor, spin_until, monkeypatch):
    monkeypatch.setattr(fusion_watch, "SILENT", 1.6)
    camera = rig(watched_fusion="/fusion", camera_pose=[1.5, 0.0, 1.4, 0.0, 0.0, 0.0])
    ear = Ear(camera.outside, DiagnosticArray, "/diagnostics")

    def started() -> FusionNode:
        options = {"context": context, "use_global_arguments": False}
        node = FusionNode(parameter_overrides=parameters(cameras=["front"]), **options)
        executor.add_node(node)
        node.start()
        return node

    def said(level: bytes) -> bool:
        parts = [part for message in ear.heard for part in message.status if part.name == "/front/camera: Fusion"]
        ear.heard.clear()
        return bool(parts) and parts[-1].level == level

    fusion = started()
    camera.activate()
    ear.heard.clear()
    spin_until(lambda: said(DiagnosticStatus.OK), what="a fusion that reports")
    executor.remove_node(fusion)
    fusion.destroy_node()
    spin_until(lambda: said(DiagnosticStatus.ERROR), what="a fusion that is missed")
    started()
    spin_until(lambda: said(DiagnosticStatus.OK), what="a fusion that is back")


@pytest.mark.parametrize("cameras", [1, 3])
def test_one_camera_of_a_process_watches(context, cameras):
    names = [f"camera{number}" for number in range(cameras)]
    options = {"context": context, "use_global_arguments": False}
    overrides = parameters(model="none", watched_fusion="/fusion")
    nodes = rig_nodes(
        None, [RigCamera(name, f"/{name}/image_raw") for name in names], parameter_overrides=overrides, **options
    )
    watched = [node.get_parameter("watched_fusion").value for node in nodes]
    for node in nodes:
        node.destroy_node()
    assert watched == ["/fusion", *[""] * (cameras - 1)]
