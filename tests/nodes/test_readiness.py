"""Readiness of cameras and the count of handled images, for which the player waits before and after it plays."""

from __future__ import annotations

from time import monotonic

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from driving import RELIABLE, Listener, image_message, parameters
from rclpy.node import Node
from sensor_msgs.msg import Image
from test_processes import TOPIC, write_bag

from camera_perception.io.bag_reader import Bag
from camera_perception_ros.camera.diagnostics import OK, array_of, status
from camera_perception_ros.nodes.bag_player_node import BagPlayerNode
from camera_perception_ros.nodes.bag_recorder_node import BagRecorderNode
from camera_perception_ros.runtime.process import Stop
from camera_perception_ros.runtime.readiness import NodeReadiness

FRONT, REAR = "/front/camera_perception", "/rear/camera_perception"


def report(name: str = FRONT, **values: object) -> DiagnosticArray:
    """The report of a camera that is ready, with some other values."""
    usual = {"lifecycle": "active", "publishers": 1, "listeners": 2, "processed": 0, "replaced": 0}
    other = status(f"{name}: Model", OK, "running", "", {"listeners": 0})
    return array_of(Time(), [other, status(f"{name}: Input", OK, "ok", "", {**usual, **values})])


class ManualClock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lifecycle": "inactive", "listeners": 0}, "is inactive and did not become active"),
        ({"publishers": 0}, "has not discovered a publisher of its images"),
        ({"listeners": 1}, "has discovered 1 of 2 listeners"),
    ],
)
def test_the_reason_why_a_camera_is_not_ready_is_named(values, words):
    readiness = NodeReadiness([FRONT, REAR], 2)
    assert readiness.missing == f"{FRONT} sent no report on /diagnostics"
    readiness.on_diagnostics(report(FRONT))
    readiness.on_diagnostics(report(REAR, **values))
    assert readiness.missing == f"{REAR} {words}"
    readiness.on_diagnostics(report(REAR))
    assert readiness.missing is None


def test_a_fusion_node_without_listeners_is_not_ready():
    readiness = NodeReadiness([FRONT], 2, "/fusion")
    readiness.on_diagnostics(report(FRONT))
    assert readiness.missing == "/fusion sent no report on /diagnostics"
    readiness.on_diagnostics(report("/fusion", listeners=0))
    assert readiness.missing == "/fusion has discovered 0 of 1 listeners"
    readiness.on_diagnostics(report("/fusion", listeners=1))
    assert readiness.missing is None


def test_a_camera_of_an_older_release_is_named():
    readiness, usual = NodeReadiness([FRONT], 0), {"processed": 0, "replaced": 0}
    readiness.on_diagnostics(array_of(Time(), [status(f"{FRONT}: Input", OK, "ok", "", usual)]))
    assert str(readiness.missing).startswith(f"{FRONT} is of an older release that does not report its readiness")


def test_processed_and_replaced_images_of_all_cameras_are_counted():
    readiness = NodeReadiness([FRONT, REAR], 0)
    assert readiness.handled == 0
    for message in (report(FRONT, processed=3, replaced=2), report(REAR, processed=1), report("/other", processed=9)):
        readiness.on_diagnostics(message)
    assert readiness.handled == 6
    readiness.on_diagnostics(report(FRONT, processed=5, replaced=2))
    assert readiness.handled == 8


def test_a_repeated_report_is_no_change():
    clock = ManualClock()
    readiness = NodeReadiness([FRONT], 0, now=clock)
    for seconds, processed, quiet in ((1.0, 1, 0.0), (2.0, 1, 2.0), (1.0, 1, 3.0), (1.0, 2, 0.0)):
        clock.now += seconds
        readiness.on_diagnostics(report(processed=processed))
        assert readiness.unchanged_for == quiet


def test_the_player_waits_for_listeners_of_cameras_and_then_for_answers(context, executor, spin_until, tmp_path):
    outside = Node("outside", context=context, use_global_arguments=False)
    executor.add_node(outside)
    listener, diagnostics = (
        Listener(outside, Image, TOPIC),
        outside.create_publisher(DiagnosticArray, "/diagnostics", 10),
    )
    values = {"bag": str(write_bag(tmp_path / "bag", images=4)), "wait_for_subscribers": 60.0}
    values |= {"wait_for_cameras": [FRONT], "wait_for_listeners": 2}
    stop = Stop()
    player = BagPlayerNode(stop, context=context, parameter_overrides=parameters(**values))
    executor.add_node(player)
    spin_until(lambda: diagnostics.get_subscription_count() and player._missing(), what="a player that waits")

    def spin(seconds: float, **values: object) -> None:
        diagnostics.publish(report(**values))
        until = monotonic() + seconds
        spin_until(lambda: monotonic() > until)

    spin(0.2, listeners=1)
    assert (player.sent.total(), player._missing()) == (0, f"{FRONT} has discovered 1 of 2 listeners")
    diagnostics.publish(report())
    spin_until(lambda: len(listener.messages) == 4, what="images")
    spin(0.2, processed=2, replaced=1)
    assert not stop
    diagnostics.publish(report(processed=3, replaced=1))
    spin_until(lambda: stop, timeout=4.0, what="the end of the player")
    player.close()


def test_a_camera_reports_the_publishers_and_listeners_it_has_discovered(make_camera, spin_until):
    camera = make_camera(camera_pose=[1.5, 0.0, 1.4, 0.0, 0.0, 0.0])
    listener = Listener(camera.outside, DiagnosticArray, "/diagnostics")
    camera.activate()
    readiness = NodeReadiness([camera.node.get_fully_qualified_name()], 1)

    def ready() -> bool:
        for message in listener.messages:
            readiness.on_diagnostics(message)
        return readiness.missing is None

    spin_until(ready, what="a camera that has found publisher and listener")
    camera.send(image_message(0))
    spin_until(lambda: ready() and readiness.handled == 1, what="an image accounted for")


def test_the_recorder_writes_what_has_arrived_before_it_ends(context, executor, spin_until, tmp_path):
    outside = Node("outside", context=context, use_global_arguments=False)
    publisher = outside.create_publisher(Image, TOPIC, RELIABLE)
    values = parameters(output=str(tmp_path / "bag"), topics=[TOPIC])
    recorder = BagRecorderNode(Stop(), context=context, parameter_overrides=values)
    executor.add_node(recorder)
    spin_until(publisher.get_subscription_count, what="the recorder listens")
    for number in range(20):
        publisher.publish(image_message(number))
    assert publisher.wait_for_all_acked()  # in the recorder's process, not yet taken
    recorder.close()
    outside.destroy_node()
    with Bag(tmp_path / "bag") as bag:
        assert sum(1 for _ in bag.messages()) == 20
