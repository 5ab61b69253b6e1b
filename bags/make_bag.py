"""Write the demo drive: a rendered drive with exact truth, as a recording that `ros2 bag play` and our player read.

python bags/make_bag.py --out bags/demo_drive           renders the drive first (needs the renderer's packages)
python bags/make_bag.py --drive DIR --out BAG           takes a drive that `perception-models render sequence` wrote
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import typer
import yaml
from tqdm import tqdm

from camera_perception.image.files import read_file
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_IMAGE

START_NS = 1_790_000_000_000_000_000
# Cameras do not trigger together: the second is this much later, the third twice as much.
PHASE_NS = 7_000_000
HERE = Path(__file__).parent

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    out: Path = typer.Option(HERE / "demo_drive", help="Recording to write, a folder that does not exist."),
    drive: Path | None = typer.Option(None, help="Rendered drive: a labelled folder per camera. Default: render one."),
    rig: Path = typer.Option(HERE / "rig_demo.yaml", help="Cameras to render with."),
    seconds: float = typer.Option(12.0, min=1.0, help="Length of the drive to render."),
    rate: float = typer.Option(10.0, min=1.0, max=60.0, help="Frames per second to render."),
    seed: int = typer.Option(1, help="The same seed gives the same drive."),
    kind: str = typer.Option("city", help="highway, rural, city, residential or tunnel."),
    quality: int = typer.Option(86, min=50, max=100, help="Of the jpeg images in the recording."),
) -> None:
    """Render a drive, or take one, and write it as a recording with its rig and its truth."""
    with TemporaryDirectory() as scratch:
        if drive is None:
            drive = Path(scratch)
            render(drive, rig, seconds, rate, seed, kind)
        write_bag(drive, out, quality)


def render(folder: Path, rig: Path, seconds: float, rate: float, seed: int, kind: str) -> None:
    """A drive by day in fair weather, as `perception-models render sequence` makes it."""
    from driving_scenes.base.camera import read_rig
    from driving_scenes.output.sequence import drive, make_sequence

    found = drive(seed, seconds, kind, "partly cloudy", "daytime")
    make_sequence(folder, found, read_rig(rig), seconds, rate, seed, "demo")


def write_bag(drive: Path, out: Path, quality: int) -> None:
    """Images, camera_info, /tf_static and /odom in stamp order; rig.yaml and truth beside them."""
    cameras = {path.parent.parent.name: read_truth(path) for path in sorted(drive.glob("*/truth/truth.jsonl"))}
    if not cameras:
        raise typer.BadParameter(f"{drive} holds no rendered cameras: expected {drive}/NAME/truth/truth.jsonl")
    rows = sorted(
        (
            (START_NS + row["stamp_ns"] + number * PHASE_NS, name, row)
            for number, (name, truth) in enumerate(cameras.items())
            for row in truth
        ),
        key=lambda item: item[:2],
    )
    with BagWriter(out, version=8) as bag:  # of Humble; later releases read it, too
        poses = {name: np.array(truth[0]["base_from_camera"]) for name, truth in cameras.items()}
        bag.write_fields("/tf_static", "tf2_msgs/msg/TFMessage", START_NS, static_transforms(poses, START_NS))
        for stamp_ns, name, row in tqdm(rows, unit="frame", desc=str(out), disable=None):
            for topic, kind, values in messages(drive, name, row, stamp_ns, quality, first=name == next(iter(cameras))):
                bag.write_fields(topic, kind, stamp_ns, values)
    (out / "rig.yaml").write_text(yaml.safe_dump(rig_of(poses), sort_keys=False))
    for name, truth in cameras.items():
        (out / f"truth_{name}.jsonl").write_text(
            "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in truth)
        )


def read_truth(path: Path) -> list[dict[str, Any]]:
    """One row per frame, see perception_models/DATA.md."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def messages(
    drive: Path, name: str, row: dict, stamp_ns: int, quality: int, first: bool
) -> Iterator[tuple[str, str, dict]]:
    """(topic, type, fields) of one camera frame; the first camera's frames carry the odometry."""
    image = read_file(drive / name / "images" / row["name"])
    header = {"stamp": stamp(stamp_ns), "frame_id": optical_frame(name)}
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].ravel()
    yield (
        f"/camera/{name}/image_raw/compressed",
        COMPRESSED_IMAGE,
        {"header": header, "format": "bgr8; jpeg compressed bgr8", "data": data},
    )
    yield (
        f"/camera/{name}/camera_info",
        CAMERA_INFO,
        {"header": header, **info_of(row, image.shape[1], image.shape[0])},
    )
    if first:
        yield "/odom", "nav_msgs/msg/Odometry", odometry(row, stamp_ns)


def info_of(row: dict, width: int, height: int) -> dict[str, Any]:
    """The renderer counts pixels from their corner, CameraInfo from their middle."""
    fx, fy, cx, cy = row["intrinsics"]
    return camera_info((fx, fy, cx - 0.5, cy - 0.5), row["distortion"], width, height)


def camera_info(
    intrinsics: tuple[float, float, float, float], distortion: Sequence[float], width: int, height: int
) -> dict[str, Any]:
    """CameraInfo fields (REP 104) of fx, fy, cx, cy in pixels."""
    fx, fy, cx, cy = intrinsics
    k = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
    return {"width": width, "height": height, "distortion_model": "plumb_bob", "d": list(distortion), "k": k,
            "r": np.eye(3).ravel(), "p": [fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0]}  # fmt: skip


def odometry(row: dict, stamp_ns: int) -> dict[str, Any]:
    """Of a rendered frame."""
    ego = row["ego"]
    return odometry_of(np.array(ego["world_from_base"]), ego["speed"], ego["yaw_rate"], stamp_ns)


def odometry_of(pose: np.ndarray, speed: float, yaw_rate: float, stamp_ns: int) -> dict[str, Any]:
    """Odometry fields: pose of base_link in odom (4, 4), and speed along its own axes, m/s and rad/s."""
    twist = {"linear": {"x": speed}, "angular": {"z": yaw_rate}}
    placed = {"position": xyz(pose[:3, 3]), "orientation": quaternion(pose[:3, :3])}
    header = {"stamp": stamp(stamp_ns), "frame_id": "odom"}
    return {"header": header, "child_frame_id": "base_link", "pose": {"pose": placed}, "twist": {"twist": twist}}


def static_transforms(poses: dict[str, np.ndarray], stamp_ns: int) -> dict[str, Any]:
    """base_link -> each optical frame, from base_from_camera (4, 4) by camera."""
    return {
        "transforms": [
            {
                "header": {"stamp": stamp(stamp_ns), "frame_id": "base_link"},
                "child_frame_id": optical_frame(name),
                "transform": {"translation": xyz(pose[:3, 3]), "rotation": quaternion(pose[:3, :3])},
            }
            for name, pose in poses.items()
        ]
    }


def rig_of(poses: dict[str, np.ndarray]) -> dict[str, Any]:
    """The rig file of multi_camera.launch.py: where each camera sits, as x y z roll pitch yaw."""
    return {
        "cameras": [
            {"name": name, "image_topic": f"/camera/{name}/image_raw", "pose": pose_of(pose)}
            for name, pose in poses.items()
        ]
    }


def pose_of(pose: np.ndarray) -> list[float]:
    """x y z in metres, roll pitch yaw in radians, of the camera body (x forward), from base_from_camera (4, 4)."""
    forward, left, up = pose[:3, 2], -pose[:3, 0], -pose[:3, 1]
    yaw, pitch = math.atan2(forward[1], forward[0]), -math.asin(forward[2])
    return [round(float(v), 6) for v in (*pose[:3, 3], math.atan2(left[2], up[2]), pitch, yaw)]


def quaternion(rotation: np.ndarray) -> dict[str, float]:
    """(3, 3) rotation as geometry_msgs/Quaternion fields."""
    from scipy.spatial.transform import Rotation

    return dict(zip("xyzw", map(float, Rotation.from_matrix(rotation).as_quat())))


def xyz(vector: np.ndarray) -> dict[str, float]:
    return dict(zip("xyz", map(float, vector)))


def stamp(ns: int) -> dict[str, int]:
    return {"sec": ns // 10**9, "nanosec": ns % 10**9}


def optical_frame(camera: str) -> str:
    return f"camera_{camera}_optical_frame"


if __name__ == "__main__":
    app()
