"""The content of the launch files as plain functions; `launch` is imported only to make an action."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from camera_perception.geometry.rig import RigCamera
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.params import CONFIGURATION_ERROR, default_of
from camera_perception_ros.views import write_view

NODE = "camera_perception"
FUSION = "/fusion"
OF_ALL = ("adapters", "autostart", "use_sim_time")  # arguments for camera nodes and their fusion
RIG_ENCLAVE = "/camera_perception_rig"  # of all cameras in one process
DISCOVERY = "ROS_AUTOMATIC_DISCOVERY_RANGE"
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "1073741824",
    "MALLOC_TOP_PAD_": "134217728",
}
PROFILE = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")  # Fast DDS 2, Fast DDS 3


def environment(share: Path, current: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Environment of every process with images, see config/fastdds_shm.xml. A profile set by the user is kept."""
    profile = next((current[name] for name in PROFILE if name in current), str(share / "config" / "fastdds_shm.xml"))
    return {**MALLOC, **dict.fromkeys(PROFILE, profile), **discovery(current)}


def discovery(current: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Talk to nodes of this machine only, unless the user's environment says otherwise: all others could steer ours."""
    reach = current.get(DISCOVERY, "LOCALHOST")
    alone = current.get("ROS_DISTRO") == "humble" and reach == "LOCALHOST"  # later releases warn about the old name
    return {DISCOVERY: reach, **({"ROS_LOCALHOST_ONLY": current.get("ROS_LOCALHOST_ONLY", "1")} if alone else {})}


def enclave(name: str | None, namespace: str | None) -> list[str]:
    """ROS arguments with the enclave of a node, whose name is the node's; without SROS2 they change nothing."""
    path = RIG_ENCLAVE if name is None else "/".join(("", *filter(None, (namespace or "").split("/")), name))
    return ["--enclave", path]


@dataclass(frozen=True)
class Argument:
    """One launch argument; unless empty, it sets the node parameter named by `parameter`."""

    name: str
    default: str | None
    description: str
    parameter: str = ""


COMMON = (
    Argument("model", "", "Model folder with model.json and model.onnx.", "model"),
    Argument("params_file", "", "Parameter file of the camera nodes; empty: config/perception.param.yaml."),
    Argument("engine", "", "Backend, such as auto or tensorrt:fp16; empty: from the parameter file.", "engine"),
    Argument(
        "build_engine",
        "",
        "Without a TensorRT engine for this GPU: with `never`, configure fails and the log shows the build command; "
        "with `background`, it is built while the node runs; empty: from the parameter file.",
        "build_engine",
    ),
    Argument(
        "gpu_letterbox",
        "",
        "Resize images on the GPU, true or false; empty: from the parameter file.",
        "gpu_letterbox",
    ),
    Argument(
        "adapters",
        "",
        "Messages of other stacks to publish as well, separated by commas: vision_msgs, autoware, tier4; empty: from "
        "the parameter file.",
        "adapters",
    ),
    Argument("use_sim_time", "false", "Use the time of /clock.", "use_sim_time"),
    Argument(
        "autostart",
        "true",
        "Configure and activate on start-up and after a respawn; false: wait for a lifecycle manager.",
        "autostart",
    ),
    Argument("respawn", "true", "Restart a node when its process dies."),
    Argument("rviz", "false", "Start RViz with overlay, objects, lanes and road."),
    Argument("foxglove", "false", "Start foxglove_bridge (must be installed) and write a layout to import."),
    Argument("live", "false", "Show the cameras on http://127.0.0.1:8080, in any browser of this machine."),
    Argument("log_level", "info", "Log level: debug, info, warn or error."),
)
CAMERA = (
    Argument("namespace", "/camera/front", "Namespace of the camera, with its topics image_raw and camera_info."),
    Argument("camera_name", "", "Name of the camera in messages; empty: last part of the namespace.", "camera_name"),
    Argument(
        "image_topic",
        "",
        "Raw image topic, with /compressed below it; empty: image_raw in the namespace.",
        "image_topic",
    ),
    Argument(
        "camera_info_topic",
        "",
        "CameraInfo topic; empty: camera_info in the namespace of the image topic.",
        "camera_info_topic",
    ),
    Argument("depth_topic", "", "Depth image registered to the camera; empty: from the parameter file.", "depth_topic"),
    Argument(
        "lidar_topic", "", "PointCloud2 of a lidar whose frame is in TF; empty: from the parameter file.", "lidar_topic"
    ),
    Argument(
        "camera_pose",
        "",
        "Pose of the camera in base_frame as x,y,z,roll,pitch,yaw (metres, radians); empty: from the parameter file.",
        "camera_pose",
    ),
    Argument(
        "odometry_topic",
        "",
        "Odometry of base_frame, for velocities over ground; empty: from the parameter file.",
        "odometry_topic",
    ),
    Argument("transport", "", "Image transport: auto, raw or compressed; empty: from the parameter file.", "transport"),
)
RIG = (
    Argument("rig", None, "Rig file with the image topic and pose of each camera; see config/rig_example.yaml."),
    Argument("one_process", "false", "Run all cameras in one process with one engine, instead of one process each."),
)
REPLAY = (
    Argument("bag", None, "Recording to play."),
    Argument("rate", "1.0", "Playback speed; 1.0 is real time."),
    Argument("loop", "false", "Restart at the end of the recording."),
    Argument("player", "ours", "Player: ours, which waits until the camera is active, or rosbag2, which does not."),
)


def typed(parameter: str, text: str) -> Any:
    """The text of a launch argument as the type of its node parameter; ValueError if it does not match."""
    defaults = {entry.name: default_of(entry) for entry in fields(CameraParams)}
    default = defaults.get(parameter, False)  # use_sim_time is not ours
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"argument '{parameter}' is '{text}': expected true or false")
        return text.lower() == "true"
    if isinstance(default, list):
        return numbers(parameter, text) if isinstance(default[0], float) else text.replace(",", " ").split()
    return type(default)(text)


def numbers(parameter: str, text: str) -> list[float]:
    """The numbers of a launch argument, separated by commas or spaces, in brackets or not."""
    try:
        return [float(part) for part in text.strip().strip("[]").replace(",", " ").split()]
    except ValueError as error:
        raise ValueError(f"argument '{parameter}' is '{text}': expected numbers separated by commas") from error


def overrides(arguments: tuple[Argument, ...], values: Mapping[str, str]) -> dict[str, Any]:
    """Node parameters from the launch arguments that are not empty."""
    given = [argument for argument in arguments if argument.parameter and values.get(argument.name)]
    return {argument.parameter: typed(argument.parameter, values[argument.name]) for argument in given}


def rig_overrides(camera: RigCamera) -> dict[str, Any]:
    """Node parameters of one camera of a rig."""
    values: dict[str, Any] = {"camera_name": camera.name, "image_topic": camera.image_topic}
    if camera.camera_info_topic:
        values["camera_info_topic"] = camera.camera_info_topic
    if camera.calibration is not None:
        values["calibration_file"] = str(camera.calibration)
    if camera.rectified:
        values["rectified"] = True
    return values | ({"camera_pose": list(camera.pose)} if camera.pose else {})


def cpu_share(cameras: int) -> int:
    """CPU threads of the engine of each camera; 0, all cores, for a single one."""
    return 0 if cameras < 2 else max(1, len(os.sched_getaffinity(0)) // cameras)


def play_command(bag: str, rate: str, loop: str) -> list[str]:
    """`ros2 bag play` with a clock."""
    return ["ros2", "bag", "play", bag, "--clock", "100", "--rate", rate, *(["--loop"] if typed("loop", loop) else [])]


def has_rosbag2() -> bool:
    return find_spec("ros2bag") is not None


# Actions


def declare_arguments(arguments: tuple[Argument, ...]) -> list[Any]:
    """DeclareLaunchArgument for each."""
    from launch.actions import DeclareLaunchArgument

    return [
        DeclareLaunchArgument(argument.name, description=argument.description, **_default(argument))
        for argument in arguments
    ]


def _default(argument: Argument) -> dict[str, str]:
    return {} if argument.default is None else {"default_value": argument.default}


def values_of(arguments: tuple[Argument, ...], context: Any) -> dict[str, str]:
    """The values of the launch arguments."""
    return {argument.name: context.launch_configurations.get(argument.name, "") for argument in arguments}


def node(
    executable: str,
    name: str | None,
    namespace: str | None,
    parameters: list[Any],
    values: Mapping[str, str],
    share: Path,
    arguments: Sequence[str] = (),
) -> Any:
    """The launch action of one of our nodes."""
    from launch_ros.actions import Node

    return Node(
        package="camera_perception_ros",
        executable=executable,
        name=name,
        namespace=namespace,
        parameters=parameters,
        output="screen",
        additional_env=environment(share),
        respawn=typed("respawn", values.get("respawn", "false")),
        respawn_delay=1.0,
        on_exit=after_exit,
        arguments=[
            *arguments,
            "--ros-args",
            "--log-level",
            values.get("log_level") or "info",
            *enclave(name, namespace),
        ],
    )


def after_exit(event: Any, context: Any) -> list[Any]:
    """Actions after a process has ended: one that cannot run as configured is not started again, the others stay."""
    if event.returncode != CONFIGURATION_ERROR:
        return []
    from launch.actions import EmitEvent, LogInfo
    from launch.events.process import ShutdownProcess

    text = f"{event.process_name} is not started again: correct what its last error names, then launch again"
    return [LogInfo(msg=text), EmitEvent(event=ShutdownProcess(process_matcher=lambda action: action is event.action))]


def params_file(values: Mapping[str, str], share: Path) -> str:
    """The parameter file of the camera nodes; ValueError for one that is missing, which launch_ros would leave out."""
    given = values.get("params_file") or ""
    if given and not Path(given).is_file():
        raise ValueError(f"argument 'params_file' is '{given}', which is not a file: correct the path")
    return given or str(share / "config" / "perception.param.yaml")


def views(values: Mapping[str, str], share: Path, view: str, cameras: Mapping[str, str]) -> list[Any]:
    """RViz and Foxglove, if requested; view is camera or rig, cameras maps names to namespaces."""
    from launch.actions import LogInfo
    from launch_ros.actions import Node

    time = [{"use_sim_time": typed("use_sim_time", values.get("use_sim_time") or "false")}]
    actions: list[Any] = []
    if typed("live", values.get("live") or "false"):
        wanted = {"cameras": list(cameras.values()), **time[0]}
        actions.append(node("live_node", "live", "/", [wanted], values, share))
    if typed("rviz", values.get("rviz") or "false"):
        file = write_view(share / "rviz" / f"{view}.rviz", cameras)
        actions.append(Node(package="rviz2", executable="rviz2", arguments=["-d", file], parameters=time, output="log"))
    if typed("foxglove", values.get("foxglove") or "false"):
        file = write_view(share / "foxglove" / f"{view}.json", cameras)
        actions.append(Node(package="foxglove_bridge", executable="foxglove_bridge", parameters=time, output="log"))
        actions.append(LogInfo(msg=f"Foxglove: connect to ws://localhost:8765 and import the layout {file}"))
    return actions


def one_camera(values: Mapping[str, str], share: Path) -> list[Any]:
    """The camera node of perception.launch.py and replay.launch.py."""
    parameters = overrides(COMMON + CAMERA, values)
    namespace = "/" + values["namespace"].strip("/")
    name = values.get("camera_name") or namespace.rpartition("/")[2]
    return [
        node("camera_node", NODE, namespace, [params_file(values, share), parameters], values, share),
        *views(values, share, "camera", {name: namespace}),
    ]


def many_cameras(values: Mapping[str, str], cameras: Sequence[RigCamera], share: Path) -> list[Any]:
    """The cameras of a rig, in one process each or in a single one, and the fusion node."""
    nodes = [whole_rig(values, share)] if typed("one_process", values.get("one_process", "false")) else []
    for camera in [] if nodes else cameras:
        own = {**overrides(COMMON, values), **rig_overrides(camera), "watched_fusion": FUSION}
        if not values.get("params_file"):  # an own file says how many threads there are
            own["engine_threads"] = cpu_share(len(cameras))
        nodes.append(node("camera_node", NODE, camera.namespace, [params_file(values, share), own], values, share))
    namespaces = {camera.name: camera.namespace for camera in cameras}
    return [*nodes, fusion(values, cameras, share), *views(values, share, "rig", namespaces)]


def whole_rig(values: Mapping[str, str], share: Path) -> Any:
    """All cameras in one process that share one engine."""
    parameters = [params_file(values, share), {**overrides(COMMON, values), "watched_fusion": FUSION}]
    return node("rig_node", None, None, parameters, values, share, ["--rig", values["rig"]])


def fusion(values: Mapping[str, str], cameras: Sequence[RigCamera], share: Path) -> Any:
    """The fusion node of a rig."""
    own = {
        "cameras": [camera.name for camera in cameras],
        "topics": [f"{camera.namespace}/{NODE}/perception" for camera in cameras],
        **{name: value for name, value in overrides(COMMON, values).items() if name in OF_ALL},
    }
    return node("fusion_node", FUSION[1:], "/", [str(share / "config" / "fusion.param.yaml"), own], values, share)


def player(values: Mapping[str, str], share: Path) -> Any:
    """The player of the recording: our own node, or rosbag2 if it is asked for; ValueError where it is missing."""
    chosen = values.get("player") or "ours"
    if chosen not in ("ours", "rosbag2"):
        raise ValueError(f"argument 'player' is '{chosen}': expected ours or rosbag2")
    if chosen == "rosbag2" and not has_rosbag2():
        raise ValueError(
            "argument 'player' is 'rosbag2', which is not installed: install ros2bag, or give player:=ours"
        )
    if chosen == "rosbag2":
        from launch.actions import ExecuteProcess

        command = play_command(values["bag"], values["rate"], values["loop"])
        return ExecuteProcess(cmd=command, output="screen", additional_env=environment(share))
    return node("bag_player_node", "bag_player", "/", [player_parameters(values)], {}, share)


def player_parameters(values: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of our own player: it waits for the camera of replay.launch.py only."""
    return {
        "bag": values["bag"],
        "rate": float(values["rate"]),
        "loop": typed("loop", values["loop"]),
        "clock": 100.0,
        "wait_for_subscribers": 120.0,
        "wait_for_cameras": ["/".join(("", *filter(None, values["namespace"].split("/")), NODE))],
    }
