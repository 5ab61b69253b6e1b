"""ROS parameters: descriptions, ranges, unknown and deprecated names, live changes."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest
from driving import parameters
from rclpy.node import Node
from rclpy.parameter import Parameter

from camera_perception_ros.nodes.bag_player_node import PlayerParams
from camera_perception_ros.nodes.bag_recorder_node import RecorderParams
from camera_perception_ros.nodes.fusion_node import FusionParams
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.params import ParameterError, Parameters, StrictParametersMixin, default_of, param

ALL = (CameraParams, FusionParams, PlayerParams, RecorderParams)


@dataclass(frozen=True)
class Some:
    threshold: float = param(0.5, "A score.", low=0.0, high=1.0, live=True)
    depth: int = param(2, "A depth.", low=1, high=10)
    mode: str = param("a", "A mode.", choices=("a", "b"), live=True)
    names: list[str] = param([""], "Names.")
    fixed: bool = param(False, "Fixed.", read_only=True, old_name="frozen")

    def check(self) -> None:
        if self.mode == "b" and self.threshold > 0.9:
            raise ParameterError("mode b wants a threshold of at most 0.9")


class StrictNode(StrictParametersMixin, Node):
    pass


def node_with(context, executor, **overrides) -> Node:
    node = StrictNode("some", context=context, parameter_overrides=parameters(**overrides), use_global_arguments=False)
    executor.add_node(node)
    return node


def test_defaults_and_overrides_become_the_dataclass(context, executor):
    read = Parameters(node_with(context, executor, depth=7, mode="b"), Some).read()
    assert read == Some(0.5, 7, "b", [""], False)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tresholds", "did you mean 'threshold'?"), ("zzz", "known are depth, fixed, mode, names, threshold")],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(context, executor, name, hint):
    declared = Parameters(node_with(context, executor, **{name: 1}), Some)
    with pytest.raises(ParameterError, match="unknown parameter '" + name) as error:
        declared.read()
    assert hint in str(error.value)


def test_a_parameter_without_a_value_has_its_default(context, executor):
    """This is what rclpy makes of an empty list in a parameter file."""
    assert Parameters(node_with(context, executor, names=None, depth=7), Some).read() == Some(depth=7)


def test_parameters_of_rclpy_itself_are_known(context, executor):
    Parameters(node_with(context, executor, use_sim_time=False, start_type_description_service=False), Some).read()


def test_a_parameter_declared_later_by_another_part_of_the_node_is_not_unknown(context, executor):
    node = node_with(context, executor)
    declared = Parameters(node, Some)
    node.declare_parameter("of_a_plugin", 1)
    declared.read()


def test_a_deprecated_name_is_accepted_with_one_warning(context, executor, capfd):
    declared = Parameters(node_with(context, executor, frozen=True), Some)
    assert declared.read().fixed is declared.read().fixed is True
    lines = [line for line in capfd.readouterr().err.splitlines() if "deprecated" in line]
    assert len(lines) == 1
    assert "'frozen' is deprecated and will be removed in the next release: use 'fixed'" in lines[0]


def test_the_new_name_wins_over_a_deprecated_one(context, executor):
    assert Parameters(node_with(context, executor, frozen=True, fixed=False), Some).read().fixed is False


def test_a_value_of_the_wrong_type_under_a_deprecated_name_is_refused(context, executor):
    with pytest.raises(ParameterError, match="'frozen' has the wrong type: expected bool"):
        Parameters(node_with(context, executor, frozen="yes"), Some)


def test_a_description_under_a_deprecated_name_is_kept(context, executor):
    node = node_with(context, executor, frozen=True)
    Parameters(node, Some)
    about = node.describe_parameter("fixed")
    assert (about.description, about.read_only) == ("Fixed.", True)
    assert not node.has_parameter("frozen")


def test_live_changes_arrive_and_wrong_ones_are_refused_with_a_reason(context, executor):
    node, changes = node_with(context, executor), []
    Parameters(node, Some, changes.append)
    tries = {
        "threshold": [(0.7, True), (1.7, False), ("high", False)],
        "mode": [("b", True), ("c", False)],
        "fixed": [(True, False)],
    }
    for name, values in tries.items():
        for value, accepted in values:
            result = node.set_parameters([Parameter(name, value=value)])[0]
            assert result.successful == accepted, (name, value, result.reason)
            assert accepted or result.reason
    assert [values.threshold for values in changes] == [0.7, 0.7]


def test_values_that_contradict_each_other_are_refused_together(context, executor):
    node = node_with(context, executor)
    Parameters(node, Some)
    result = node.set_parameters_atomically([Parameter("mode", value="b"), Parameter("threshold", value=1.0)])
    assert not result.successful
    assert "at most 0.9" in result.reason


def test_only_live_parameters_change_while_frozen(context, executor):
    node = node_with(context, executor)
    Parameters(node, Some, frozen=lambda: True)
    assert node.set_parameters([Parameter("threshold", value=0.1)])[0].successful
    refused = node.set_parameters([Parameter("depth", value=3)])[0]
    assert not refused.successful
    assert "clean up the node first" in refused.reason


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_parameter_of_every_node_is_described(context, executor, cls):
    node = node_with(context, executor)
    Parameters(node, cls)
    for entry in fields(cls):
        about = node.describe_parameter(entry.name)
        assert about.description.endswith("."), entry.name
        assert about.description[0].isupper(), entry.name
        number = isinstance(default_of(entry), (int, float)) and not isinstance(default_of(entry), bool)
        assert not number or about.floating_point_range or about.integer_range, entry.name


@dataclass(frozen=True)
class Numbers:
    ratio: float = param(0.5, "A ratio.", low=0.0, high=2.0)
    pose: list[float] = param([0.0] * 2, "A pose.")
    count: int = param(2, "A count.", low=1, high=10)


def test_an_integer_is_accepted_for_a_float(context, executor):
    read = Parameters(node_with(context, executor, ratio=1, pose=[1, 2], count=3), Numbers).read()
    assert read == Numbers(1.0, [1.0, 2.0], 3)
    assert {type(value) for value in (read.ratio, *read.pose)} == {float}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ratio": 3}, "parameter 'ratio' is '3': expected a number from 0 to 2"),
        ({"ratio": True}, "parameter 'ratio' is 'True'"),
        ({"ratio": "big"}, "parameter 'ratio' is 'big': expected a number from 0 to 2"),
        ({"count": 2.5}, "parameter 'count' is '2.5': expected a number from 1 to 10"),
        ({"pose": ["a"]}, "expected a list of float values"),
    ],
)
def test_a_value_of_the_wrong_kind_is_one_sentence(context, executor, values, words):
    with pytest.raises(ParameterError) as error:
        Parameters(node_with(context, executor, **values), Numbers)
    assert words in str(error.value)
