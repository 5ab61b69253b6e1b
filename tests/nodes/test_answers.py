"""Cameras that are ready, and images that are accounted for: what the player waits for before and after it plays."""

from __future__ import annotations

from time import monotonic

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from driving import RELIABLE, Ear, image_message, parameters
from rclpy.node import Node
from sensor_msgs.msg import Image
from test_processes import TOPIC, write_bag

from camera_perception.io.bag_reader import Bag
from camera_perception_ros.camera.diagnostics import OK, array_of, status
from camera_perception_ros.nodes.bag_player_node import BagPlayerNode
from camera_perception_ros.nodes.bag_recorder_node import BagRecorderNode
from camera_perception_ros.runtime.process import Stop
from camera_perception_ros.runtime.readiness import Answers

FRONT, REAR = "/front/camera_perception", "/rear/camera_perception"


def said(name: str = FRONT, **values: object) -> DiagnosticArray:
    """What a camera that is ready says, but for some values."""
    usual = {"lifecycle": "active", "publishers": 1, "listeners": 2, "processed": 0, "replaced": 0}
    other = status(f"{name}: Model", OK, "running", "", {"listeners": 0})
    return array_of(Time(), [other, status(f"{name}: Input", OK, "ok", "", {**usual, **values})])


class HandClock:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"lifecycle": "inactive", "listeners": 0}, "is inactive and did not become active"),
        ({"publishers": 0}, "has not found who publishes its images"),
        ({"listeners": 1}, "has found 1 of 2 listeners"),
    ],
)
def test_a_camera_that_is_not_ready_says_what_it_waits_for(values, words):
    answers = Answers([FRONT, REAR], 2)
    assert answers.missing == f"{FRONT} says nothing on /diagnostics"
    answers.take(said(FRONT))
    answers.take(said(REAR, **values))
    assert answers.missing == f"{REAR} {words}"
    answers.take(said(REAR))
    assert answers.missing is None


def test_a_fusion_that_nobody_hears_is_waited_for():
    answers = Answers([FRONT], 2, "/fusion")
    answers.take(said(FRONT))
    assert answers.missing == "/fusion says nothing on /diagnostics"
    answers.take(said("/fusion", listeners=0))
    assert answers.missing == "/fusion has found 0 of 1 listeners"
    answers.take(said("/fusion", listeners=1))
    assert answers.missing is None


def test_a_camera_of_an_older_release_is_named():
    answers, usual = Answers([FRONT], 0), {"processed": 0, "replaced": 0}
    answers.take(array_of(Time(), [status(f"{FRONT}: Input", OK, "ok", "", usual)]))
    assert str(answers.missing).startswith(f"{FRONT} is of a release that does not say")


def test_answered_and_replaced_images_of_all_cameras_are_accounted_for():
    answers = Answers([FRONT, REAR], 0)
    assert answers.accounted == 0
    for message in (said(FRONT, processed=3, replaced=2), said(REAR, processed=1), said("/other", processed=9)):
        answers.take(message)
    assert answers.accounted == 6
    answers.take(said(FRONT, processed=5, replaced=2))
    assert answers.accounted == 8


def test_saying_the_same_again_is_being_quiet():
    clock = HandClock()
    answers = Answers([FRONT], 0, now=clock)
    for seconds, processed, quiet in ((1.0, 1, 0.0), (2.0, 1, 2.0), (1.0, 1, 3.0), (1.0, 2, 0.0)):
        clock.now += seconds
        answers.take(said(processed=processed))
        assert answers.quiet == quiet


def test_the_player_waits_for_listeners_of_cameras_and_then_for_answers(context, executor, spin_until, tmp_path):
    outside = Node("outside", context=context, use_global_arguments=False)
    executor.add_node(outside)
    ear, diagnostics = Ear(outside, Image, TOPIC), outside.create_publisher(DiagnosticArray, "/diagnostics", 10)
    values = {"bag": str(write_bag(tmp_path / "bag", images=4)), "wait_for_subscribers": 60.0}
    values |= {"wait_for_cameras": [FRONT], "wait_for_listeners": 2}
    stop = Stop()
    player = BagPlayerNode(stop, context=context, parameter_overrides=parameters(**values))
    executor.add_node(player)
    spin_until(lambda: diagnostics.get_subscription_count() and player._missing(), what="a player that waits")

    def spin(seconds: float, **values: object) -> None:
        diagnostics.publish(said(**values))
        until = monotonic() + seconds
        spin_until(lambda: monotonic() > until)

    spin(0.4, listeners=1)
    assert (player.sent.total(), player._missing()) == (0, f"{FRONT} has found 1 of 2 listeners")
    diagnostics.publish(said())
    spin_until(lambda: len(ear.heard) == 4, what="images")
    spin(0.4, processed=2, replaced=1)
    assert not stop
    diagnostics.publish(said(processed=3, replaced=1))
    spin_until(lambda: stop, timeout=4.0, what="the end of the player")
    player.close()


def test_a_camera_says_who_it_has_found(rig, spin_until):
    camera = rig(camera_pose=[1.5, 0.0, 1.4, 0.0, 0.0, 0.0])
    ear = Ear(camera.outside, DiagnosticArray, "/diagnostics")
    camera.activate()
    answers = Answers([camera.node.get_fully_qualified_name()], 1)

    def ready() -> bool:
        for message in ear.heard:
            answers.take(message)
        return answers.missing is None

    spin_until(ready, what="a camera that has found publisher and listener")
    camera.send(image_message(0))
    spin_until(lambda: ready() and answers.accounted == 1, what="an image accounted for")


def test_the_recorder_takes_what_has_arrived_before_it_ends(context, executor, spin_until, tmp_path):
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
