"""A fusion node that has stopped is reported by the cameras until it is back."""

from __future__ import annotations

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driving import Listener, parameters
from rclpy.node import Node

from camera_perception.geometry.rig import RigCamera
from camera_perception_ros.camera import fusion_watchdog
from camera_perception_ros.camera.diagnostics import OK, array_of, status
from camera_perception_ros.camera.fusion_watchdog import FusionWatchdog
from camera_perception_ros.nodes.fusion_node import FusionNode
from camera_perception_ros.nodes.rig_node import rig_nodes


def test_silence_is_reported_after_missing_reports_and_ends_with_the_next_one(context):
    now = [100.0]
    node = Node("camera", context=context, use_global_arguments=False)
    watchdog = FusionWatchdog(node, "/fusion", lambda: now[0])

    def after(seconds: float, name: str) -> str:
        now[0] += seconds
        watchdog.on_diagnostics(array_of(Time(), [status(name, OK, "", "", {})]))
        return watchdog.problem

    assert after(3.0, "/front: Input") == ""
    assert after(1.0, "/fusion_of_others: front") == (
        "/fusion has been silent for 4 s: check its log, then start or activate it again"
    )
    assert after(1.0, "/fusion: front") == ""
    node.destroy_node()


def test_a_camera_reports_a_stopped_fusion_node_as_an_error_until_it_is_back(
    make_camera, context, executor, spin_until, monkeypatch
):
    monkeypatch.setattr(fusion_watchdog, "TIMEOUT", 0.4)  # of reports every 0.1 s
    camera = make_camera(watched_fusion="/fusion", camera_pose=[1.5, 0.0, 1.4, 0.0, 0.0, 0.0])
    listener = Listener(camera.outside, DiagnosticArray, "/diagnostics")

    def started() -> FusionNode:
        options = {"context": context, "use_global_arguments": False}
        node = FusionNode(parameter_overrides=parameters(cameras=["front"]), **options)
        executor.add_node(node)
        node.start()
        return node

    def reported(level: bytes) -> bool:
        parts = [
            part for message in listener.messages for part in message.status if part.name == "/front/camera: Fusion"
        ]
        listener.messages.clear()
        return bool(parts) and parts[-1].level == level

    fusion = started()
    camera.activate()
    listener.messages.clear()
    spin_until(lambda: reported(DiagnosticStatus.OK), what="a fusion that reports")
    executor.remove_node(fusion)
    fusion.destroy_node()
    spin_until(lambda: reported(DiagnosticStatus.ERROR), what="a fusion that is missed")
    started()
    spin_until(lambda: reported(DiagnosticStatus.OK), what="a fusion that is back")


@pytest.mark.parametrize("cameras", [1, 3])
def test_only_the_first_camera_of_a_process_watches_the_fusion(context, cameras):
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
