"""Lifecycle nodes: the tracked state is the real one, parts are closed on the way back, failures are logged."""

from __future__ import annotations

from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from driving import Listener, parameters, reported
from lifecycle_msgs.srv import GetState
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy

from camera_perception.core.errors import PerceptionError
from camera_perception_ros.nodes.fusion_node import RELIABLE, FusionNode
from camera_perception_ros.runtime.lifecycle import ManagedNode


class Part:
    """A part of a node that records when it is closed."""

    def __init__(self, name: str, closed: list[str]) -> None:
        self.name, self._closed = name, closed

    def close(self) -> None:
        self._closed.append(self.name)


class Recording(ManagedNode[Part, Part]):
    """A node whose transitions fail with these errors."""

    def __init__(self, errors: dict[str, Exception], **options: Any) -> None:
        super().__init__("recording", use_global_arguments=False, **options)
        self.errors, self.closed = errors, []

    def configure(self) -> Part:
        return self._part("configure")

    def activate(self, configured: Part) -> Part:
        return self._part("activate")

    def _part(self, step: str) -> Part:
        if step in self.errors:
            raise self.errors[step]
        return Part(step, self.closed)


@pytest.fixture
def make_node(context):
    nodes: list[Recording] = []

    def make(**errors: Exception) -> Recording:
        nodes.append(Recording(errors, context=context))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


STEPS = ("configure", "activate", "deactivate", "activate", "deactivate", "cleanup", "shutdown")
STATES = ("inactive", "active", "inactive", "active", "inactive", "unconfigured", "finalized")


def test_the_tracked_state_is_that_of_the_state_machine(make_node, context, executor, spin_until):
    node, outside = make_node(), Node("outside", context=context, use_global_arguments=False)
    for each in (node, outside):
        executor.add_node(each)
    client = outside.create_client(GetState, "/recording/get_state")
    spin_until(client.service_is_ready, what="the service")
    for step, state in zip(STEPS, STATES):
        getattr(node, f"trigger_{step}")()
        answer = client.call_async(GetState.Request())
        spin_until(answer.done, what="the state")
        assert (node.lifecycle_state, answer.result().current_state.label) == (state, state)
    executor.remove_node(node)


def test_parts_exist_only_while_configured_or_active_and_are_closed_on_the_way_back(make_node):
    node = make_node()
    assert (node.configured, node.active) == (None, None)
    node.start()
    assert (node.configured.name, node.active.name) == ("configure", "activate")
    node.trigger_shutdown()
    assert (node.configured, node.active, node.closed) == (None, None, ["activate", "configure"])


def test_a_configure_error_leaves_the_node_unconfigured_with_one_line(make_node, capfd):
    node = make_node(configure=PerceptionError("give a model"))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert node.lifecycle_state == "unconfigured"
    lines = [line for line in capfd.readouterr().err.splitlines() if "cannot configure: give a model" in line]
    assert len(lines) == 1


@pytest.mark.parametrize("step", ["configure", "activate"])
def test_an_unforeseen_failure_is_logged_with_its_line_and_leaves_the_node_unconfigured(make_node, capfd, step):
    node = make_node(**{step: ZeroDivisionError("nobody thought of this")})
    node.start()
    assert node.lifecycle_state == "unconfigured"
    assert (node.configured, node.active) == (None, None)
    lines = [
        line for line in capfd.readouterr().err.splitlines() if "ZeroDivisionError: nobody thought of this" in line
    ]
    assert len(lines) == 1
    assert f"on_{step}" in lines[0]
    assert "test_lifecycle.py:" in lines[0]


def test_a_failed_configure_stays_in_diagnostics_until_one_succeeds(make_camera, tiny_model):
    camera = make_camera(model="/no/such/model")
    diagnostics = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.node.start()
    camera.spin_until(lambda: reported(diagnostics, "cannot configure: "), what="the reason")
    camera.node.set_parameters([Parameter("model", value=str(tiny_model))])
    camera.node.start()
    assert (camera.state, camera.node.failure) == ("active", "")


def test_a_fusion_that_cannot_configure_reports_why(context, executor, spin_until, monkeypatch):
    monkeypatch.setattr("camera_perception_ros.camera.diagnostics.REPORT_PERIOD", 0.1)
    options = {"context": context, "use_global_arguments": False}
    outside, fusion = Node("outside", **options), FusionNode(parameter_overrides=parameters(), **options)
    executor.add_node(outside)
    executor.add_node(fusion)
    diagnostics = Listener(outside, DiagnosticArray, "/diagnostics")
    fusion.start()
    spin_until(lambda: reported(diagnostics, "cannot configure: parameter 'cameras' is empty"), what="the reason")


@pytest.mark.parametrize("topic", ["overlay", "markers", "segmentation/mask", "lane_left"])
def test_the_qos_of_every_output_can_be_overridden(make_camera, topic):
    camera = make_camera(**{f"qos_overrides./front/camera/{topic}.publisher.reliability": "best_effort"})
    camera.node.trigger_configure()
    camera.spin_until(lambda: camera.outside.get_publishers_info_by_topic(f"/front/camera/{topic}"), what="discovery")
    found = camera.outside.get_publishers_info_by_topic(f"/front/camera/{topic}")
    assert [each.qos_profile.reliability for each in found] == [ReliabilityPolicy.BEST_EFFORT]


def test_the_qos_of_the_fusion_can_be_overridden(context):
    given = {"cameras": ["front"], "qos_overrides./fusion/fused.publisher.depth": 1}
    fusion = FusionNode(parameter_overrides=parameters(**given), context=context, use_global_arguments=False)
    fusion.trigger_configure()
    assert fusion.configured.publisher.qos_profile.depth == 1
    assert RELIABLE.depth == 5  # of the publishers of other nodes in this process
    fusion.destroy_node()


def test_the_qos_of_the_output_can_be_overridden_and_stays_after_a_second_configure(make_camera):
    camera = make_camera(**{"qos_overrides./front/camera/perception.publisher.reliability": "best_effort"})
    for _ in range(2):
        camera.node.trigger_configure()
        assert camera.node.configured.publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        camera.node.trigger_cleanup()


def test_an_overridden_qos_is_that_of_one_node_alone(make_camera):
    name = "qos_overrides./front/camera/perception.publisher.reliability"
    for given, expected in (({name: "best_effort"}, ReliabilityPolicy.BEST_EFFORT), ({}, ReliabilityPolicy.RELIABLE)):
        camera = make_camera(**given)
        camera.node.trigger_configure()
        assert camera.node.configured.publisher.qos_profile.reliability == expected
