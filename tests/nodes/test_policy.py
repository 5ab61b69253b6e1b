"""The SROS2 policy allows what running nodes use, and nothing else but what they use in other configurations."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from xml.etree import ElementTree

import pytest
from driving import parameters
from rclpy.node import Node
from typer.testing import CliRunner

from camera_perception.tools.cli.app import app
from camera_perception_ros import launching
from camera_perception_ros.nodes.fusion_node import FusionNode
from camera_perception_ros.nodes.policy import Profile, absolute, camera_profile, fusion_profile
from camera_perception_ros.params.camera import CameraParams

RIG = """
cameras:
  - {name: front, image_topic: /camera/front/image_raw}
  - {name: left, image_topic: /camera/left/image_rect/compressed}
"""


def used(outside: Node, node: str) -> dict[str, set[str]]:
    """Use -> names, of a running node, from the graph."""
    namespace, _, name = node.rpartition("/")
    graph = {
        "publish": outside.get_publisher_names_and_types_by_node,
        "subscribe": outside.get_subscriber_names_and_types_by_node,
        "reply": outside.get_service_names_and_types_by_node,
        "request": outside.get_client_names_and_types_by_node,
    }
    return {use: {topic for topic, _ in ask(name, namespace or "/")} for use, ask in graph.items()}


def allowed(profile: Profile) -> dict[str, set[str]]:
    return {use: set(names) for (_, use, _), names in profile.names.items()}


def test_a_running_camera_uses_what_its_policy_allows(make_camera):
    topics = {"odometry_topic": "/odom", "depth_topic": "depth", "lidar_topic": "/lidar", "watched_fusion": "/fusion"}
    camera = make_camera(transport="auto", **topics)
    camera.node.start()
    params = replace(CameraParams(), **topics)
    camera.spin_until(lambda: "/front/image_raw" in used(camera.outside, "/front/camera")["subscribe"], what="images")
    found = used(camera.outside, "/front/camera")
    policy = allowed(camera_profile(params, "/front/camera"))
    assert {use: names - policy[use] for use, names in found.items()} == dict.fromkeys(found, set())
    # With use_sim_time; where only these images are published; where TF is installed.
    transforms = set() if find_spec("tf2_msgs") else {"/tf", "/tf_static"}
    rest = {use: names - found[use] for use, names in policy.items()}
    assert rest == {
        "publish": set(),
        "subscribe": {"/clock", "/front/image_raw/compressed", *transforms},
        "reply": set(),
        "request": set(),
    }


def test_a_running_fusion_uses_what_its_policy_allows(context, executor, spin_until):
    given = parameters(cameras=["front"], topics=["/front/camera/perception"], odometry_topic="/odom")
    options = {"context": context, "use_global_arguments": False}
    node, outside = FusionNode(parameter_overrides=given, **options), Node("outside", **options)
    for each in (node, outside):
        executor.add_node(each)
    node.start()
    spin_until(lambda: "/odom" in used(outside, "/fusion")["subscribe"], what="the fusion in the graph")
    found, policy = used(outside, "/fusion"), allowed(fusion_profile(["/front/camera"], "/odom"))
    assert {use: policy[use] - names for use, names in found.items()} == {
        "publish": set(),
        "subscribe": {"/clock"},
        "reply": set(),
        "request": set(),
    }
    assert all(names <= policy[use] for use, names in found.items())
    node.close()


def test_parameters_narrow_the_policy():
    alone = camera_profile(CameraParams(transport="compressed", load_service=False), "/c/camera")
    assert "/c/image_raw" not in allowed(alone)["subscribe"]
    assert "/c/image_raw/compressed" in allowed(alone)["subscribe"]
    assert "/c/camera/load_model" not in allowed(alone)["reply"]


@pytest.mark.parametrize("name", ["image_raw", "~/perception", "/tf", "depth/image"])
@pytest.mark.parametrize("namespace", ["/", "/front", "/camera/front"])
def test_names_expand_as_in_rclpy(context, name, namespace):
    node = Node("camera", namespace=namespace, context=context, use_global_arguments=False)
    try:
        assert absolute(name, node.get_fully_qualified_name()) == node.resolve_topic_name(name)
    finally:
        node.destroy_node()


@pytest.mark.parametrize("one_process", [False, True])
def test_every_process_of_the_launch_files_has_its_enclave(tmp_path, one_process):
    (tmp_path / "rig.yaml").write_text(RIG)
    out = tmp_path / "policy.xml"
    arguments = ["security-policy", "--rig", tmp_path / "rig.yaml", "--out", out]
    done = CliRunner().invoke(app, [str(each) for each in arguments] + ["--one-process"] * one_process)
    assert done.exit_code == 0, done.output
    found = [each.get("path") for each in ElementTree.parse(out).iter("enclave")]
    cameras = [("camera_perception", "/camera/front"), ("camera_perception", "/camera/left/image_rect")]
    started = [(None, None)] if one_process else cameras
    launched = [launching.enclave(*each)[1] for each in [*started, ("fusion", "/"), ("live", "/")]]
    assert found == [*launched, "/bag_recorder", "/operator"]
    profiles = {each.get("ns") + each.get("node") for each in ElementTree.parse(out).iter("profile")}
    assert {"/camera/frontcamera_perception", "/fusion", "/operator"} <= profiles


def test_topics_of_a_parameter_file_are_in_the_policy(tmp_path):
    (tmp_path / "p.yaml").write_text("/**: {ros__parameters: {odometry_topic: /odom, transport: raw}}")
    done = CliRunner().invoke(app, ["security-policy", "--params", str(tmp_path / "p.yaml")])
    assert "<topic>/odom</topic>" in done.output
    assert "/compressed</topic>" not in done.output.replace("overlay/compressed", "")
    (tmp_path / "p.yaml").write_text("camera: 3")
    done = CliRunner().invoke(app, ["security-policy", "--params", str(tmp_path / "p.yaml")])
    assert done.exit_code == 2


@pytest.mark.parametrize(
    ("current", "expected"),
    [
        ({}, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}),
        ({"ROS_DISTRO": "humble"}, {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_LOCALHOST_ONLY": "1"}),
        (
            {"ROS_DISTRO": "humble", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"},
            {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"},
        ),
    ],
)
def test_launched_nodes_talk_to_this_machine_unless_the_user_says_otherwise(tmp_path, current, expected):
    assert launching.discovery(current) == expected
    assert launching.environment(tmp_path, current).items() >= expected.items()
