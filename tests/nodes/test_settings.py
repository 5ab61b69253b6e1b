"""Settings of tracking and localisation as ROS parameters: defaults, given values, changes, and their effect."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import yaml
from driving import camera_info, image_message, parameters, road
from rclpy.node import Node
from rclpy.parameter import Parameter

from camera_perception.core.errors import PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import Status
from camera_perception.objects.config import LocalizationConfig
from camera_perception.objects.tracker.config import TrackerConfig
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.params import ParameterError, Parameters
from camera_perception_ros.params.settings import SECTIONS, SettingParameters

OPTIONS = {"use_global_arguments": False, "automatically_declare_parameters_from_overrides": True}


@pytest.fixture
def node_with(context, executor):
    def make(**overrides) -> Node:
        node = Node("some", context=context, parameter_overrides=parameters(**overrides), **OPTIONS)
        executor.add_node(node)
        return node

    return make


@pytest.fixture
def spec(tiny_model):
    return replace(load_spec(tiny_model), tracker={"max_age": 9.0, "min_hits": 5}, localization={"max_range": 60.0})


def test_without_parameters_the_settings_of_the_model_apply(node_with, spec):
    configs = SettingParameters(node_with(), lambda: False).read().of(spec)
    assert configs == {
        "tracker": TrackerConfig(max_age=9.0, min_hits=5),
        "localization": LocalizationConfig(max_range=60.0),
    }


def test_parameters_win_over_the_model_even_with_the_default_value(node_with, spec):
    given = {"tracker.max_age": 1.5, "localization.max_range": 80.0}
    configs = SettingParameters(node_with(**given), lambda: False).read().of(spec)
    assert configs["tracker"] == TrackerConfig(max_age=1.5, min_hits=5)
    assert configs["localization"] == LocalizationConfig(max_range=80.0)


def test_every_setting_is_declared_with_its_default_range_and_description(node_with):
    node = node_with()
    SettingParameters(node, lambda: False)
    for section, cls in SECTIONS.items():
        for entry in fields(cls):
            name = f"{section}.{entry.name}"
            about = node.describe_parameter(name)
            assert node.get_parameter(name).value == entry.default
            assert about.description == entry.metadata["description"]
            assert about.floating_point_range or about.integer_range, name


def test_settings_change_until_configure_and_not_after(node_with, spec):
    node, configured = node_with(), []
    declared = SettingParameters(node, lambda: bool(configured))
    assert node.set_parameters([Parameter("tracker.max_coast", value=0.2)])[0].successful
    assert declared.read().of(spec)["tracker"].max_coast == 0.2
    configured.append(True)
    refused = node.set_parameters([Parameter("tracker.max_coast", value=0.3)])[0]
    assert not refused.successful
    assert "clean up the node first" in refused.reason


def test_settings_that_contradict_each_other_are_refused(node_with):
    with pytest.raises(PerceptionError, match="overhang_min_pixels"):
        SettingParameters(node_with(**{"localization.overhang_min_pixels": 5.0}), lambda: False).read()


def test_a_camera_without_range_publishes_no_positions(make_camera):
    """localization.max_range is 1 m: farther objects have no position, although the camera is calibrated."""
    camera = make_camera(camera_pose=[1.5, 0.0, 1.4, 0.0, 0.0, 0.0], **{"localization.max_range": 1.0})
    camera.activate()
    camera.infos.publish(camera_info())
    camera.spin_until(lambda: camera.calibration.camera, what="calibration")
    camera.send(image_message(0))
    frame = camera.answers(1)[0]
    assert frame.base_frame == "base_link"
    assert frame.objects
    assert not any(found.has_position for found in frame.objects)


def test_a_misspelt_setting_is_refused_with_the_nearest_one(node_with):
    node = node_with(**{"tracker.maxage": 1.0})
    settings = SettingParameters(node, lambda: False)
    with pytest.raises(ParameterError, match="did you mean 'tracker.max_age'"):
        Parameters(node, CameraParams, others=settings.names).read()


def test_the_examples_of_the_parameter_file_are_settings_with_their_defaults(repository):
    lines = (repository / "launch/config/perception.param.yaml").read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip() == "# tracker:")
    examples = yaml.safe_load("\n".join(line.replace("    # ", "", 1) for line in lines[start:]))
    assert list(examples) == list(SECTIONS)
    for section, values in examples.items():
        assert replace(SECTIONS[section](), **values) == SECTIONS[section]()


@pytest.mark.parametrize(("identical", "frozen"), [("flag", True), ("allow", False)])
def test_a_simulator_without_noise_may_repeat_images(make_camera, identical, frozen):
    camera = make_camera(identical_images=identical)
    camera.activate()
    for number in range(24):  # 1.2 seconds
        camera.send(image_message(number, road()))
        frame = camera.answers(number + 1)[-1]
    assert bool(frame.status_flags & Status.IMAGE_FROZEN) is frozen
