"""What the launch files start: always read as text, checked as actions where `launch_ros` is installed."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from camera_perception.engines import BACKENDS
from camera_perception.geometry.rig import RigCamera, read_rig
from camera_perception_ros import launching
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.fusion import FusionParams
from camera_perception_ros.params.params import default_of
from camera_perception_ros.params.player import PlayerParams

BRINGUP = Path(__file__).resolve().parents[2] / "launch"
LAUNCH_FILES = sorted((BRINGUP / "launch").glob("*.launch.py"))


@pytest.mark.parametrize(("file", "cls"), [("perception", CameraParams), ("fusion", FusionParams)])
def test_the_parameter_file_holds_every_parameter_with_its_default_and_a_comment(file, cls):
    path = BRINGUP / "config" / f"{file}.param.yaml"
    values = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    assert values == {entry.name: default_of(entry) for entry in fields(cls)}
    lines = path.read_text().splitlines()
    named = [
        index for index, line in enumerate(lines) if line.strip() and not line.strip().startswith("#") and index > 2
    ]
    assert len(named) == len(values)
    assert all(lines[index - 1].strip().startswith("#") for index in named)


def test_the_comment_on_engines_names_every_one():
    text = (BRINGUP / "config/perception.param.yaml").read_text()
    comment = text[: text.index("    engine: auto")].rpartition("# Backend:")[2]
    assert set(re.findall(r"\w+", comment)) >= {"auto", *BACKENDS}


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_a_launch_file_is_short_python_without_logic(path):
    tree = ast.parse(path.read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert names == ["actions", "generate_launch_description"]
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.If, ast.For, ast.While, ast.ClassDef))]
    assert ast.get_docstring(tree)


def test_the_three_launch_files_are_there():
    assert [path.name.split(".")[0] for path in LAUNCH_FILES] == ["multi_camera", "perception", "replay"]


def test_every_argument_is_described_and_sets_a_parameter_that_exists():
    arguments = launching.COMMON + launching.CAMERA + launching.RIG + launching.REPLAY
    known = {entry.name for entry in fields(CameraParams)} | {"use_sim_time", ""}
    assert all(argument.description.endswith(".") for argument in arguments)
    assert {argument.parameter for argument in arguments} <= known
    assert len({argument.name for argument in arguments}) == len(arguments)


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        ("autostart", "True", True),
        ("use_sim_time", "false", False),
        ("engine", "openvino", "openvino"),
        ("engine_threads", "3", 3),
        ("build_engine", "background", "background"),
        ("gpu_letterbox", "true", True),
    ],
)
def test_an_argument_gets_the_type_of_its_parameter(parameter, text, value):
    assert launching.typed(parameter, text) == value
    assert type(launching.typed(parameter, text)) is type(value)


def test_a_wrong_truth_value_is_named():
    with pytest.raises(ValueError, match="'autostart' is 'maybe'"):
        launching.typed("autostart", "maybe")


def test_only_given_arguments_override_the_parameter_file():
    values = {"model": "m", "engine": "", "autostart": "true", "namespace": "/a"}
    assert launching.overrides(launching.COMMON + launching.CAMERA, values) == {"model": "m", "autostart": True}


def test_engines_can_be_asked_for_on_the_command_line_of_a_launch():
    names = {argument.name for argument in launching.COMMON}
    assert {"engine", "build_engine", "gpu_letterbox"} <= names
    values = {"engine": "tensorrt", "build_engine": "background", "gpu_letterbox": ""}
    assert launching.overrides(launching.COMMON, values) == {"engine": "tensorrt", "build_engine": "background"}


def test_every_process_gets_the_transport_profile_and_keeps_its_memory():
    env = launching.environment(BRINGUP, current={})
    assert Path(env["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
    assert env["FASTDDS_DEFAULT_PROFILES_FILE"] == env["FASTRTPS_DEFAULT_PROFILES_FILE"]
    assert {name for name in env if name.startswith("MALLOC_")} == set(launching.MALLOC)
    own = launching.environment(BRINGUP, current={"FASTDDS_DEFAULT_PROFILES_FILE": "/mine.xml"})
    assert own["FASTRTPS_DEFAULT_PROFILES_FILE"] == "/mine.xml"


def test_the_example_rig_can_be_read():
    cameras = read_rig(BRINGUP / "config" / "rig_example.yaml")
    assert [camera.namespace for camera in cameras] == ["/camera/front", "/camera/rear"]
    assert launching.rig_overrides(cameras[0])["camera_pose"][2] == 1.4


def test_a_rig_file_gives_the_lens_to_the_node_of_its_camera(tmp_path):
    rig = tmp_path / "rig.yaml"
    rig.write_text("cameras: [{name: front, pose: [1, 0, 1.4, 0, 0, 0], calibration: lens.yaml, rectified: true}]")
    values = launching.rig_overrides(read_rig(rig)[0])
    assert (values["calibration_file"], values["rectified"]) == (str(tmp_path / "lens.yaml"), True)


def test_a_camera_without_a_pose_leaves_it_to_tf():
    assert "camera_pose" not in launching.rig_overrides(RigCamera("front", "/front/image_raw"))


def test_rosbag2_plays_with_a_clock():
    command = launching.play_command("drive", "2.0", "true")
    assert command[:4] == ["ros2", "bag", "play", "drive"]
    assert {"--clock", "--loop"} <= set(command)


GIVEN = {
    "model": "m",
    "respawn": "true",
    "autostart": "true",
    "rviz": "true",
    "namespace": "/camera/front",
    "log_level": "info",
}


def test_one_camera_becomes_its_node_and_rviz():
    actions = pytest.importorskip("launch_ros.actions")
    made = launching.one_camera({**GIVEN, "rviz": "true"}, BRINGUP)
    assert [type(action) for action in made] == [actions.Node, actions.Node]
    assert [action.node_executable for action in made] == ["camera_node", "rviz2"]


def test_the_live_page_shows_the_cameras_that_are_launched():
    pytest.importorskip("launch_ros.actions")
    made = launching.one_camera({**GIVEN, "rviz": "false", "live": "true"}, BRINGUP)
    assert [action.node_executable for action in made] == ["camera_node", "live_node"]


def test_a_rig_becomes_a_node_per_camera_and_the_fusion():
    pytest.importorskip("launch_ros.actions")
    made = launching.many_cameras(
        {**GIVEN, "rviz": "false"}, read_rig(BRINGUP / "config" / "rig_example.yaml"), BRINGUP
    )
    assert [action.node_executable for action in made] == ["camera_node", "camera_node", "fusion_node"]


@pytest.mark.parametrize(
    ("cores", "cameras", "threads"), [(8, 1, 0), (8, 2, 4), (8, 3, 2), (8, 9, 1), (1, 1, 0), (1, 2, 1)]
)
def test_the_cameras_of_a_rig_share_the_cores(monkeypatch, cores, cameras, threads):
    monkeypatch.setattr(launching.os, "sched_getaffinity", lambda process: set(range(cores)))
    assert launching.cpu_share(cameras) == threads


def test_a_parameter_file_that_is_missing_is_named_and_nothing_starts_with_defaults(tmp_path):
    values = {**GIVEN, "params_file": str(tmp_path / "missing.yaml")}
    with pytest.raises(ValueError, match="argument 'params_file' is '.*missing.yaml', which is not a file"):
        launching.one_camera(values, BRINGUP)


OWN = str(BRINGUP / "config/perception.param.yaml")


@pytest.mark.parametrize(("given", "decides"), [("", "the launch file"), (OWN, "the own file")])
def test_an_own_parameter_file_decides_on_threads(monkeypatch, given, decides):
    made: list[dict] = []
    monkeypatch.setattr(launching, "node", lambda *arguments: made.append(arguments[3][-1]))
    monkeypatch.setattr(launching, "views", lambda *arguments: [])
    values = {**GIVEN, "rviz": "false", "params_file": given}
    launching.many_cameras(values, read_rig(BRINGUP / "config" / "rig_example.yaml"), BRINGUP)
    assert ("engine_threads" in made[0]) == (decides == "the launch file")


def test_a_rig_in_one_process_is_one_node_and_the_fusion():
    pytest.importorskip("launch_ros.actions")
    values = {**GIVEN, "rviz": "false", "rig": str(BRINGUP / "config" / "rig_example.yaml"), "one_process": "true"}
    made = launching.many_cameras(values, read_rig(values["rig"]), BRINGUP)
    assert [action.node_executable for action in made] == ["rig_node", "fusion_node"]


REPLAY = {"bag": "drive", "rate": "1.0", "loop": "false", "namespace": "/camera/front"}


@pytest.mark.parametrize(("player", "words"), [("vlc", "expected ours or rosbag2"), ("rosbag2", "install ros2bag")])
def test_a_player_that_is_unknown_or_missing_is_named(monkeypatch, player, words):
    monkeypatch.setattr(launching, "has_rosbag2", lambda: False)
    with pytest.raises(ValueError, match=words):
        launching.player({**REPLAY, "player": player}, BRINGUP)


@pytest.mark.parametrize("installed", [True, False])
def test_our_player_plays_unless_rosbag2_is_asked_for(monkeypatch, installed):
    pytest.importorskip("launch_ros.actions")
    monkeypatch.setattr(launching, "has_rosbag2", lambda: installed)
    assert launching.player(REPLAY, BRINGUP).node_executable == "bag_player_node"


@pytest.mark.parametrize(("namespace", "name"), [("/camera/front", "/camera/front/"), ("front/", "/front/"), ("", "/")])
def test_our_player_waits_for_the_camera_that_replays(namespace, name):
    values = launching.player_parameters({**REPLAY, "namespace": namespace})
    assert values["wait_for_cameras"] == [name + launching.NODE]
    assert set(values) <= {entry.name for entry in fields(PlayerParams)}


@pytest.mark.parametrize(("code", "again"), [(2, False), (1, True), (0, True), (-9, True)])
def test_a_node_with_a_wrong_configuration_is_not_started_again(monkeypatch, code, again):
    stand_ins = {name: ModuleType(name) for name in ("launch", "launch.actions", "launch.events.process")}
    stand_ins["launch.actions"].LogInfo = stand_ins["launch.actions"].EmitEvent = SimpleNamespace
    stand_ins["launch.events.process"].ShutdownProcess = SimpleNamespace
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    event = SimpleNamespace(returncode=code, process_name="camera", action=object())
    actions = launching.after_exit(event, None)
    assert (actions == []) == again
    if not again:
        assert "not started again" in actions[0].msg
        matches = actions[1].event.process_matcher
        assert (matches(event.action), matches(object())) == (True, False)


@pytest.mark.parametrize(("code", "starts"), [(2, 1), (1, 3)])
def test_launch_itself_follows(tmp_path, code, starts):
    """The other process of the launch ends it: it must not have been touched."""
    actions, launch = pytest.importorskip("launch.actions"), pytest.importorskip("launch")
    line = f"echo >> {tmp_path}/starts; [ $(wc -l < {tmp_path}/starts) -lt 3 ] || touch {tmp_path}/done; exit {code}"
    ours = actions.ExecuteProcess(cmd=["sh", "-c", line], respawn=True, respawn_delay=0.1, on_exit=launching.after_exit)
    wait = f"for i in 1 2 3 4 5 6 7 8 9 10; do [ -e {tmp_path}/done ] && break; sleep 0.3; done; touch {tmp_path}/end"
    other = actions.ExecuteProcess(cmd=["sh", "-c", wait], on_exit=actions.Shutdown())
    service = launch.LaunchService()
    service.include_launch_description(launch.LaunchDescription([ours, other]))
    assert service.run() == 0
    assert (tmp_path / "end").exists()
    assert min(3, len((tmp_path / "starts").read_text().splitlines())) == starts


@pytest.mark.parametrize("text", ["1.5,0,1.4,0,0.02,0", "[1.5, 0, 1.4, 0, 0.02, 0]", "1.5 0 1.4 0 0.02 0"])
def test_pose_and_odometry_can_be_given_on_the_command_line_of_a_launch(text):
    given = launching.overrides(launching.CAMERA, {"camera_pose": text, "odometry_topic": "/odom"})
    assert given == {"camera_pose": [1.5, 0.0, 1.4, 0.0, 0.02, 0.0], "odometry_topic": "/odom"}


def test_a_pose_that_is_no_list_of_numbers_is_named():
    with pytest.raises(ValueError, match="'camera_pose' is '1.5;0': expected numbers"):
        launching.typed("camera_pose", "1.5;0")
