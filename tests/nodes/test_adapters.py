"""Messages of other stacks: built from their definitions, filled by ours, and published where they are asked for."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import replace

import message_packages
import numpy as np
import pytest
import yaml
from driving import (
    RELIABLE,
    Listener,
    camera_info,
    image_message,
    parameters,
    process_environment,
    ros_arguments,
    start_node,
)
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from camera_perception.core.types import Detections, Frame, Objects, Perception, Task
from camera_perception.draw.scene import Surroundings
from camera_perception.fusion.free_space import occupancy
from camera_perception_msgs.msg import (
    FusedObject,
    FusedPerception,
    HeadInfo,
    ModelInfo,
    TrafficLight,
    TrafficLightElement,
)
from camera_perception_ros.fusion.outputs import surroundings_from_fused
from camera_perception_ros.launching import COMMON, overrides
from camera_perception_ros.nodes.fusion_node import FusionNode
from camera_perception_ros.outputs.adapters import camera_adapters
from camera_perception_ros.params.params import ParameterError

POSE = [1.5, 0.0, 1.4, 0.0, 0.0, 0.0]
HEADER = Header(frame_id="front_optical_frame")
HEADER.stamp.sec = 7


def test_without_its_package_an_adapter_is_refused_with_its_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "vision_msgs", None)
    monkeypatch.delitem(sys.modules, "camera_perception_ros.outputs.vision_msgs", raising=False)
    with pytest.raises(ParameterError, match="needs the package vision_msgs: install it"):
        camera_adapters(["vision_msgs"], lambda: 0)


def test_the_launch_argument_is_a_list_of_names():
    assert overrides(COMMON, {"adapters": "vision_msgs,autoware"}) == {"adapters": ["vision_msgs", "autoware"]}


def test_an_unknown_adapter_is_refused(make_camera):
    camera = make_camera(adapters=["autoware.auto"])
    camera.node.start()
    assert "'autoware.auto': expected vision_msgs, autoware, tier4" in camera.node.failure


@pytest.fixture(scope="module")
def packages():
    if not message_packages.built():
        pytest.skip("needs the messages of other stacks: `make test` builds them")
    message_packages.use()


def scene(velocity=(8.0, 6.0), over_ground=True, names=("car",)) -> Surroundings:
    """Objects at (20, 2) m, sigma 2 m along x and 0.5 m along y, and 0.3 m/s each way."""
    count = len(names)
    return Surroundings(
        base_frame="base_link",
        names=names,
        scores=np.full(count, 0.75),
        track_ids=np.arange(5, 5 + count),
        positions=np.tile((20.0, 2.0), (count, 1)),
        position_covs=np.tile(np.diag((4.0, 0.25)), (count, 1, 1)),
        velocities=np.tile(velocity, (count, 1)).astype(float),
        coasted=np.zeros(count, bool),
        velocity_covs=np.tile(np.diag((0.09, 0.09)), (count, 1, 1)),
        over_ground=np.full(count, over_ground),
    )


def there_and_back(message):
    """Serialised and read again: every field has the right type."""
    again = deserialize_message(serialize_message(message), type(message))
    assert again == message
    return again


def test_a_moving_car_in_autoware_has_heading_and_speed_along_it(packages):
    from autoware_perception_msgs.msg import DetectedObjectKinematics, ObjectClassification, Shape

    from camera_perception_ros.outputs.autoware import detected_objects

    message = there_and_back(detected_objects(scene(), HEADER))
    (found,) = message.objects
    assert (message.header.frame_id, message.header.stamp.sec) == ("base_link", 7)
    assert found.existence_probability == 0.75
    assert [each.label for each in found.classification] == [ObjectClassification.CAR]
    kinematics, pose = found.kinematics, found.kinematics.pose_with_covariance.pose
    assert kinematics.orientation_availability == DetectedObjectKinematics.AVAILABLE
    assert 2 * math.atan2(pose.orientation.z, pose.orientation.w) == pytest.approx(math.atan2(6, 8))
    assert (kinematics.has_twist, kinematics.has_twist_covariance) == (True, True)
    speed = kinematics.twist_with_covariance.twist.linear
    assert (speed.x, speed.y) == (pytest.approx(10.0), pytest.approx(0.0, abs=1e-9))
    assert (found.shape.type, found.shape.dimensions.x) == (Shape.BOUNDING_BOX, 4.5)
    # The contact is the near side: half the length farther along the line of sight lies the centre.
    assert 20.0 < pose.position.x < 22.6
    assert pose.position.z == pytest.approx(0.75)


def test_covariances_are_ours_in_their_places_and_the_yaw_is_that_of_the_velocity(packages):
    from camera_perception_ros.outputs.autoware import detected_objects

    (found,) = detected_objects(scene(), HEADER).objects
    covariance = found.kinematics.pose_with_covariance.covariance.reshape(6, 6)
    assert (covariance[0, 0], covariance[1, 1], covariance[0, 1]) == (4.0, 0.25, 0.0)
    assert covariance[5, 5] == pytest.approx((0.3 / 10.0) ** 2)  # radians: sigma across over speed
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    twist = found.kinematics.twist_with_covariance.covariance.reshape(6, 6)
    np.testing.assert_allclose(twist[:2, :2], np.diag((0.09, 0.09)), atol=1e-12)


@pytest.mark.parametrize(
    ("velocity", "over_ground", "has_twist", "available"),
    [
        ((0.0, 0.0), True, True, 0),
        ((8.0, 6.0), False, False, 2),
        ((math.nan, math.nan), True, False, 0),
    ],
)
def test_what_is_not_known_is_marked_so(packages, velocity, over_ground, has_twist, available):
    from camera_perception_ros.outputs.autoware import detected_objects

    (found,) = there_and_back(detected_objects(scene(velocity, over_ground), HEADER)).objects
    assert (found.kinematics.has_twist, found.kinematics.orientation_availability) == (has_twist, available)


def test_signs_and_lights_are_no_obstacles_and_unknown_classes_are_unknown(packages):
    from camera_perception_ros.outputs.autoware import detected_objects

    names = ("traffic light", "rider", "traffic sign", "llama")
    labels = [each.classification[0].label for each in detected_objects(scene(names=names), HEADER).objects]
    assert labels == [6, 0]  # BICYCLE, UNKNOWN


def test_without_metres_nothing_is_said_about_objects(packages):
    from camera_perception_ros.outputs.autoware import detected_objects
    from camera_perception_ros.outputs.vision_msgs import detections_3d

    blind = replace(scene(names=()), base_frame="")
    assert detected_objects(blind, HEADER) is detections_3d(blind, HEADER) is None


def light(color, relevance=TrafficLight.EGO, score=0.9, elements=True) -> TrafficLight:
    element = TrafficLightElement(
        color=color, shape=TrafficLightElement.UNKNOWN, status=TrafficLightElement.SOLID_ON, confidence=0.5
    )
    return TrafficLight(relevance=relevance, score=score, elements=[element] if elements else [])


def test_the_light_of_the_own_lane_has_their_numbers_not_ours(packages):
    from autoware_perception_msgs.msg import TrafficLightElement as Theirs

    from camera_perception_ros.outputs.autoware import light_groups

    lights = [light(1, TrafficLight.OTHER, 1.0), light(3, score=0.4), light(2, score=0.6)]
    message = there_and_back(light_groups(lights, HEADER, 4711))
    (group,) = message.traffic_light_groups
    assert (group.traffic_light_group_id, message.stamp.sec) == (4711, 7)
    (lamp,) = group.elements
    assert (lamp.color, lamp.shape, lamp.status) == (Theirs.AMBER, Theirs.UNKNOWN, Theirs.SOLID_ON) == (2, 0, 2)
    assert light_groups(lights, HEADER, 0) is None
    assert light_groups(lights[:1], HEADER, 4711).traffic_light_groups == []
    (unlit,) = light_groups([light(1, elements=False)], HEADER, 4711).traffic_light_groups
    assert [each.color for each in unlit.elements] == [Theirs.UNKNOWN]


def test_every_value_of_our_lamps_has_one_in_both_packages(packages):
    from autoware_perception_msgs.msg import TrafficLightElement as Autoware
    from tier4_perception_msgs.msg import TrafficLightElement as Tier4

    from camera_perception_ros.outputs.autoware import CONSTANTS, NAMES

    assert sorted(NAMES) == list(range(1, 17))
    assert all(hasattr(kind, name) for kind in (Autoware, Tier4) for name in CONSTANTS)
    assert (Autoware.CROSS, Tier4.CROSS, TrafficLightElement.CROSS) == (10, 14, 12)  # as the message says: by name


def test_tier4_gets_boxes_in_the_image_cut_at_its_edges(packages, tiny_model):
    from tier4_perception_msgs.msg import TrafficLightElement as Theirs

    from camera_perception.core.model_spec import load_spec
    from camera_perception_ros.outputs.tier4 import rois, traffic_lights

    spec = load_spec(tiny_model)
    car = spec.classes.index("car")
    boxes = np.array([(-3.0, 10.2, 50.0, 60.6)], np.float32)
    found = Detections(boxes, np.full(1, 0.5, np.float32), np.full(1, car, np.int32), np.zeros((1, 0), np.float32))
    image = np.zeros((96, 160, 3), np.uint8)
    perception = Perception(Frame(image, 0), Task.OBJECTS, Objects.of(found), (), None, None, None, ())
    message = there_and_back(rois(perception, HEADER, spec))
    (each,) = message.feature_objects
    roi = each.feature.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (0, 10, 50, 51)
    assert (message.header, each.object.classification[0].label) == (HEADER, 1)
    (signal,) = there_and_back(traffic_lights([light(3)], HEADER, 9)).signals
    assert (signal.traffic_light_id, signal.elements[0].color, signal.elements[0].status) == (9, 3, Theirs.SOLID_ON)


def test_vision_msgs_have_the_box_in_metres_and_the_names_of_the_classes(packages):
    from camera_perception_ros.outputs.vision_msgs import detections_3d, label_info, vision_info

    (found,) = there_and_back(detections_3d(scene(), HEADER)).detections
    (hypothesis,) = found.results
    assert (hypothesis.hypothesis.class_id, hypothesis.hypothesis.score, found.id) == ("car", 0.75, "5")
    assert found.bbox.center == hypothesis.pose.pose
    assert (found.bbox.size.x, found.bbox.size.y, found.bbox.size.z) == (4.5, 1.85, 1.5)
    assert found.header.frame_id == "base_link"
    head = HeadInfo(name="objects", class_names=["car", "bus"], thresholds=[0.5, 0.25])
    info = ModelInfo(model_name="demo", model_version="1.0", heads=[HeadInfo(name="lanes"), head])
    labels = there_and_back(label_info(info))
    assert [(each.class_id, each.class_name) for each in labels.class_map] == [(0, "car"), (1, "bus")]
    assert labels.threshold == 0.25
    vision = there_and_back(vision_info(info, "/front/camera/label_info", 3))
    assert (vision.method, vision.database_location, vision.database_version) == (
        "demo 1.0", "/front/camera/label_info", 3,
    )  # fmt: skip


def test_a_camera_publishes_what_its_adapters_say(packages, make_camera):
    from autoware_perception_msgs.msg import DetectedObjects
    from tier4_perception_msgs.msg import DetectedObjectsWithFeature
    from vision_msgs.msg import Detection3DArray, LabelInfo

    camera = make_camera(camera_pose=POSE, adapters=["autoware", "tier4", "vision_msgs"])
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    labels = Listener(camera.outside, LabelInfo, "/front/camera/label_info", latched)
    camera.activate()
    topics = {"autoware/objects": DetectedObjects, "tier4/rois": DetectedObjectsWithFeature}
    topics["detections_3d"] = Detection3DArray
    found = [Listener(camera.outside, kind, f"/front/camera/{topic}") for topic, kind in topics.items()]
    names = [f"/front/camera/{topic}" for topic in topics]
    camera.spin_until(lambda: all(camera.node.count_subscribers(name) for name in names), what="discovery")
    camera.infos.publish(camera_info())
    camera.spin_until(lambda: camera.calibration.camera, what="calibration")
    number = 0
    while not all(each.messages for each in found) and number < 200:
        camera.answer_to(number)
        number += 1
    assert all(each.messages for each in found)
    assert found[0].messages[0].header.frame_id == "base_link"
    assert found[1].messages[0].header.frame_id == image_message(0).header.frame_id
    camera.spin_until(lambda: labels.messages, what="labels")


def test_other_processes_receive_what_a_camera_process_publishes(
    packages, context, executor, spin_until, tiny_model, tmp_path
):
    """Both ends load the built libraries; the names of the classes reach one that subscribes late."""
    from autoware_perception_msgs.msg import DetectedObjects
    from vision_msgs.msg import Detection3DArray, LabelInfo

    outside = Node("outside", context=context, use_global_arguments=False)
    executor.add_node(outside)
    images = outside.create_publisher(Image, "/camera/front/image_raw", RELIABLE)
    infos = outside.create_publisher(CameraInfo, "/camera/front/camera_info", RELIABLE)
    name = "/camera/front/camera"
    found = [Listener(outside, DetectedObjects, f"{name}/autoware/objects")]
    found.append(Listener(outside, Detection3DArray, f"{name}/detections_3d"))

    def send() -> None:
        stamp = outside.get_clock().now().to_msg()
        for publisher, message in ((infos, camera_info()), (images, image_message(0))):
            message.header.stamp = stamp
            publisher.publish(message)

    values = {"model": tiny_model, "engine": "onnxruntime", "autostart": "true", "camera_pose": POSE}
    arguments = ros_arguments(**values, adapters="[autoware, vision_msgs]")
    log, env = tmp_path / "camera.log", {**process_environment(), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = start_node("camera_node", "-r", "__ns:=/camera/front", *arguments, log=log, env=env)

    def ended() -> bool:
        return process.poll() is not None or "[ERROR]" in log.read_text()

    try:
        timer = outside.create_timer(0.05, send)
        spin_until(lambda: all(each.messages for each in found) or ended(), what="both messages")
        assert not ended(), log.read_text()
        assert [each.messages[-1].header.frame_id for each in found] == ["base_link"] * 2
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        labels = Listener(outside, LabelInfo, f"{name}/label_info", latched)
        spin_until(lambda: labels.messages, what="the names of the classes")
        names = labels.messages[0].class_map
        assert [each.class_id for each in names] == list(range(len(names))) != []
        outside.destroy_timer(timer)
    finally:
        process.kill()
        process.wait()


def test_without_adapters_a_camera_has_none_of_their_topics(packages, make_camera):
    camera = make_camera()
    camera.node.trigger_configure()
    topics = [name for name, _ in camera.node.get_publisher_names_and_types_by_node("camera", "/front")]
    assert not [name for name in topics if "autoware" in name or "tier4" in name or "3d" in name or "label" in name]


def test_the_fusion_publishes_its_objects_and_lights(packages, context, executor, spin_until):
    from autoware_perception_msgs.msg import TrafficLightGroupArray

    from camera_perception_ros.outputs.autoware import detected_objects

    message = FusedPerception(traffic_lights=[light(3)])
    message.header.frame_id = "base_link"
    found = FusedObject(class_name="bus", score=0.5, track_id=3, has_velocity=True, velocity_over_ground=True)
    found.position.x, found.velocity.x, found.position_cov = 30.0, 5.0, np.array((1, 0, 0, 1), np.float32)
    message.objects = [found]
    (converted,) = detected_objects(surroundings_from_fused(message), message.header).objects
    assert converted.kinematics.twist_with_covariance.twist.linear.x == pytest.approx(5.0)

    given = {"cameras": ["front"], "adapters": ["autoware", "tier4"], "traffic_light_group": 12, "autostart": True}
    fusion = FusionNode(parameter_overrides=parameters(**given), context=context, use_global_arguments=False)
    executor.add_node(fusion)
    fusion.start()
    lights = Listener(fusion, TrafficLightGroupArray, "/fusion/autoware/traffic_lights")
    spin_until(lambda: lights.messages, what="traffic lights")
    assert lights.messages[0].traffic_light_groups == []


def test_the_costmap_reads_what_the_fusion_publishes(repository):
    values = yaml.safe_load((repository / "launch/config/nav2_costmap.yaml").read_text())
    costmap = values["costmap"]["costmap"]["ros__parameters"]
    layer = costmap["road_layer"]
    assert layer["map_topic"] == "/fusion/occupancy"
    assert layer["map_subscribe_transient_local"] is False
    grid = occupancy([], [])
    assert costmap["resolution"] == grid.resolution
    assert (costmap["lethal_cost_threshold"], costmap["unknown_cost_value"]) == (100, 255)
    height, width = grid.cells.shape
    ahead = grid.origin[0] + width * grid.resolution
    assert min(ahead, -2 * grid.origin[1]) >= costmap["width"] / 2
    assert set(costmap["plugins"]) <= costmap.keys()
