"""Requests that no sane caller sends, and messages that no sane driver sends, get an answer, too."""

from __future__ import annotations

from typing import Any

import pytest
from driving import camera_info, image_message, parameters
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters, SetParametersAtomically
from rclpy.node import Node

from camera_perception.core.documents.text import MOST_CHARACTERS
from camera_perception.core.types import Status
from camera_perception_msgs.srv import LoadModel
from camera_perception_ros.nodes.fusion_node import FusionNode

LONG = "x" * 100_000
LAST = 2**31 - 1


@pytest.fixture
def ask(context, executor, spin_until):
    """ask(service, request): the answer of a fusion node."""
    options = {"context": context, "use_global_arguments": False}
    outside, fusion = (
        Node("outside", **options),
        FusionNode(parameter_overrides=parameters(cameras=["front"]), **options),
    )
    for node in (outside, fusion):
        executor.add_node(node)

    def ask(kind: Any, name: str, request: Any) -> Any:
        client = outside.create_client(kind, f"/fusion/{name}")
        spin_until(client.service_is_ready, what="the service")
        answer = client.call_async(request)
        for _ in range(200):
            if not answer.done():
                try:
                    executor.spin_once(timeout_sec=0.05)
                except Exception as error:  # as a node's process does, which logs it
                    print(error)
        assert answer.done(), "no answer"
        return answer.result()

    return ask


def of_type(number: int, name: str = "max_age") -> Parameter:
    return Parameter(name=name, value=ParameterValue(type=number, double_value=0.7))


@pytest.mark.parametrize("number", [0, 1, 4, 9, 10, 77, 255])
def test_parameters_of_wrong_and_unknown_types_are_refused_one_by_one(ask, number):
    request = SetParameters.Request(parameters=[of_type(number), of_type(3)])
    results = ask(SetParameters, "set_parameters", request).results
    assert [result.successful for result in results] == [False, True]
    assert 0 < len(results[0].reason) <= MOST_CHARACTERS
    atomically = SetParametersAtomically.Request(parameters=[of_type(3), of_type(number)])
    refused = ask(SetParametersAtomically, "set_parameters_atomically", atomically).result
    assert not refused.successful
    assert refused.reason


@pytest.mark.parametrize("name", [LONG, "", "a b", "use_sim_time\0"], ids=["long", "empty", "space", "nul"])
def test_parameters_with_odd_names_get_an_answer_of_bounded_length(ask, name):
    result = ask(SetParameters, "set_parameters", SetParameters.Request(parameters=[of_type(3, name)])).results[0]
    assert result.successful == (not name)  # rclpy accepts the empty name
    assert len(result.reason) <= MOST_CHARACTERS
    assert ask(GetParameters, "get_parameters", GetParameters.Request(names=[name])) is not None
    assert ask(DescribeParameters, "describe_parameters", DescribeParameters.Request(names=[name])) is not None


@pytest.mark.parametrize(
    "transition",
    [Transition(id=number) for number in (2, 3, 77, 255)] + [Transition(label=label) for label in ("cleanup", LONG)],
    ids=lambda transition: transition.label[:8] or str(transition.id),
)
def test_transitions_that_do_not_exist_or_not_in_this_state_are_refused(ask, transition):
    assert not ask(ChangeState, "change_state", ChangeState.Request(transition=transition)).success


def test_a_path_of_any_length_gets_a_sentence(make_camera):
    camera = make_camera()
    camera.activate()
    client = camera.outside.create_client(LoadModel, "/front/camera/load_model")
    camera.spin_until(client.service_is_ready, what="the service")
    for path in (LONG, "", "a\nb"):
        answer = client.call_async(LoadModel.Request(path=path))
        camera.spin_until(answer.done, 30, what="an answer of load_model")
        assert not answer.result().success
        assert 0 < len(answer.result().message) <= MOST_CHARACTERS


@pytest.mark.parametrize(("sec", "nanosec"), [(LAST, 2**32 - 1), (LAST, 999_999_999), (-LAST - 1, 0), (0, 2**32 - 1)])
def test_a_stamp_at_either_end_of_time_gets_an_answer(make_camera, sec, nanosec):
    camera = make_camera(camera_pose=[1.5, 0.0, 1.4, 0.0, 0.0, 0.0])
    camera.activate()
    camera.infos.publish(camera_info())
    for number in (1, 2):
        image = image_message(number)
        image.header.stamp.sec, image.header.stamp.nanosec = sec, nanosec
        camera.send(image)
        camera.answers(number)


def odd_infos() -> list[tuple[str, Any]]:
    def info(**changes: Any) -> Any:
        message = camera_info()
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    fish = {"distortion_model": "equidistant"}
    return [
        ("expected 0 or 4", info(**fish, d=[0.0] * 5)),
        ("expected 0 or 4", info(**fish, d=[0.0] * 8)),
        ("expected 0 or 8 or 12 or 14", info(distortion_model="rational_polynomial", d=[0.0] * 3)),
        ("0x96 pixels", info(width=0)),
        ("160x0 pixels", info(height=0)),
        ("0x48 pixels", info(binning_x=1000, binning_y=2)),
        ("is unknown", info(distortion_model=LONG)),
        ("coefficients", info(d=[0.0] * 50_000)),
    ]


def test_camera_info_of_odd_lengths_is_uncalibrated_with_a_reason_and_never_an_exception(make_camera):
    camera = make_camera(camera_pose=[1.5, 0.0, 1.4, 0.0, 0.0, 0.0])
    camera.activate()
    for number, (reason, message) in enumerate(odd_infos()):
        camera.infos.publish(message)
        camera.spin_until(lambda reason=reason: reason in camera.calibration.text, what=reason)
        assert len(camera.calibration.text) <= MOST_CHARACTERS
        frame = camera.answer_to(number)
        assert frame.status_flags & Status.UNCALIBRATED
        assert not frame.status_flags & Status.ENGINE_ERROR
    camera.infos.publish(camera_info())
    camera.spin_until(lambda: camera.calibration.camera, what="a good calibration")
