"""Write a drive of PandaSet as a recording, with all its cameras, their calibration, mounting and the ego motion.

python bags/make_pandaset_bag.py ../shared/data/pandaset_002 --out out/pandaset    our converted sequence
python bags/make_pandaset_bag.py PANDASET/002 --out out/pandaset                   a sequence as published
make demo BAG=out/pandaset

People and number plates are recognisable: cover them with `camera-perception anonymize` before you show a picture.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import typer
import yaml
from make_bag import camera_info, odometry_of, optical_frame, rig_of, stamp, static_transforms
from tqdm import tqdm

from camera_perception.core.natural_order import natural_order
from camera_perception.image.files import read_file
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.ros_types import CAMERA_INFO, COMPRESSED_IMAGE

# PandaSet's poses are those of a frame at hub height; in sequence 002 it is 0.318 m above the road (std 0.024).
ABOVE_ROAD = 0.318

app = typer.Typer(add_completion=False, help=__doc__)


@dataclass(frozen=True)
class CameraDrive:
    """One camera of a sequence.

    intrinsics        fx, fy, cx, cy, pixels, counted from the middle of the first
    base_from_camera  (4, 4) optical frame
    images            JPEG files, each with its stamp in nanoseconds
    """

    intrinsics: tuple[float, float, float, float]
    base_from_camera: np.ndarray
    images: list[tuple[int, Path]]


@dataclass(frozen=True)
class Ego:
    """Where the car is at a time: world_from_base (4, 4), m/s, rad/s."""

    stamp_ns: int
    world_from_base: np.ndarray
    speed: float
    yaw_rate: float


Drive = tuple[dict[str, CameraDrive], list[Ego]]


@app.command()
def main(
    sequence: Path = typer.Argument(help="Folder of a sequence: as published, or with calibration.json and ego.json."),
    out: Path = typer.Option(Path("out/pandaset"), help="Recording to write, a folder that does not exist."),
    cameras: str = typer.Option("", help="Names, comma-separated, such as front,left. Default: all."),
    frames: int = typer.Option(0, min=0, help="Number of frames per camera; 0: all."),
    width: int = typer.Option(0, min=0, help="Width to which images are shrunk, pixels; 0: JPEG files unchanged."),
) -> None:
    """Write a PandaSet sequence as a recording that `make demo BAG=` and `camera-perception replay` take."""
    drive, ego = read_drive(sequence)
    wanted = [name.strip() for name in cameras.split(",") if name.strip()] or list(drive)
    if unknown := [name for name in wanted if name not in drive]:
        raise typer.BadParameter(f"no camera {unknown[0]}: the sequence has {', '.join(drive)}")
    write_bag({name: drive[name] for name in wanted}, ego, out, frames, width)
    typer.echo(f"{out}: play it with `make demo BAG={out}`")


def read_drive(sequence: Path) -> Drive:
    """Cameras and ego motion; BadParameter when the folder is no sequence."""
    if (sequence / "calibration.json").is_file():
        return read_converted(sequence)
    if (sequence / "lidar/poses.json").is_file():
        return read_published(sequence)
    raise typer.BadParameter(f"{sequence} is no PandaSet sequence: it lacks calibration.json and lidar/poses.json")


def read_converted(sequence: Path) -> Drive:
    """A sequence with calibration.json and ego.json, in our frames."""
    calibration, ego = _json(sequence / "calibration.json"), _json(sequence / "ego.json")
    cameras = {}
    for name, camera in calibration["cameras"].items():
        rows = ego["cameras"][name]
        files = [(_ns(row["stamp"]), sequence / f"images/{name}/{row['frame']:02d}.jpg") for row in rows]
        pose = np.array(camera["T_base_link_camera_optical"])
        cameras[name] = CameraDrive(_intrinsics(np.array(camera["K"])), pose, files)
    rows = ego["cameras"]["front"]
    return cameras, [
        Ego(_ns(row["stamp"]), np.array(row["T_world_base_link"]), row["velocity_base_link"][0], row["yaw_rate"])
        for row in rows
    ]


def read_published(sequence: Path) -> Drive:
    """A sequence as PandaSet publishes it; its vehicle frame is x right, y forward, z up, above the road."""
    from scipy.spatial.transform import Rotation, Slerp

    stamps = np.array(_json(sequence / "lidar/timestamps.json"), float)
    poses = [_matrix(row) @ BASE for row in _json(sequence / "lidar/poses.json")]
    turns = Slerp(stamps, Rotation.from_matrix([pose[:3, :3] for pose in poses]))

    def world_from_base(seconds: float) -> np.ndarray:
        at, out = float(np.clip(seconds, stamps[0], stamps[-1])), np.eye(4)
        out[:3, :3] = turns(at).as_matrix()
        out[:3, 3] = [np.interp(at, stamps, [pose[axis, 3] for pose in poses]) for axis in range(3)]
        return out

    cameras = {}
    for folder in natural_order((sequence / "camera").iterdir()):
        times, lens = _json(folder / "timestamps.json"), _json(folder / "intrinsics.json")
        mounts = [
            np.linalg.inv(world_from_base(at)) @ _matrix(row) for at, row in zip(times, _json(folder / "poses.json"))
        ]
        images = [*zip(map(_ns, times), natural_order(folder.glob("*.jpg")))]
        k = (lens["fx"], lens["fy"], lens["cx"], lens["cy"])
        # The middle of the drive: at its ends the car's pose is not known at the camera's time.
        cameras[folder.name.removesuffix("_camera")] = CameraDrive(k, mounts[len(mounts) // 2], images)
    return cameras, [_ego(world_from_base, float(at)) for at in stamps]


# Our base_link in PandaSet's vehicle frame: x forward is its y, y left is minus its x.
BASE = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, -ABOVE_ROAD], [0, 0, 0, 1]], float)


def _ego(world_from_base: Any, at: float, step: float = 0.1) -> Ego:
    """Pose at a time in seconds, and the speed and yaw rate around it."""
    before, now, after = (world_from_base(at + shift) for shift in (-step, 0.0, step))
    moved = np.linalg.inv(now)[:3, :3] @ (after - before)[:3, 3]
    turned = np.linalg.inv(before)[:3, :3] @ after[:3, :3]
    yaw = float(np.arctan2(turned[1, 0], turned[0, 0]))
    return Ego(_ns(at), now, float(moved[0]) / (2 * step), yaw / (2 * step))


def write_bag(cameras: dict[str, CameraDrive], ego: list[Ego], out: Path, frames: int = 0, width: int = 0) -> None:
    """Images, camera_info, /odom and /tf_static in the order of their stamps; rig.yaml beside them."""
    chosen = {name: camera.images[: frames or None] for name, camera in cameras.items()}
    images = [(at, name, path) for name, files in chosen.items() for at, path in files]
    first, last = min(images)[0], max(images)[0]
    moves = [(each.stamp_ns, "", each) for each in ego if first <= each.stamp_ns <= last]
    poses = {name: camera.base_from_camera for name, camera in cameras.items()}
    with BagWriter(out) as bag:
        bag.write_fields("/tf_static", "tf2_msgs/msg/TFMessage", first, static_transforms(poses, first))
        for at, name, what in tqdm(sorted([*images, *moves], key=lambda row: row[:2]), unit="message", disable=None):
            if isinstance(what, Ego):
                odometry = odometry_of(what.world_from_base, what.speed, what.yaw_rate, at)
                bag.write_fields("/odom", "nav_msgs/msg/Odometry", at, odometry)
            else:
                _write_image(bag, name, cameras[name], at, what, width)
    (out / "rig.yaml").write_text(yaml.safe_dump(rig_of(poses), sort_keys=False))


def _write_image(bag: BagWriter, name: str, camera: CameraDrive, at: int, path: Path, width: int) -> None:
    data, size, scale = _jpeg(path, width)
    fx, fy, cx, cy = camera.intrinsics
    # Pixels are counted from the middle of the first, which moves when they shrink.
    lens = fx * scale, fy * scale, (cx + 0.5) * scale - 0.5, (cy + 0.5) * scale - 0.5
    header = {"stamp": stamp(at), "frame_id": optical_frame(name)}
    image = {"header": header, "format": "bgr8; jpeg compressed bgr8", "data": data}
    bag.write_fields(f"/camera/{name}/image_raw/compressed", COMPRESSED_IMAGE, at, image)
    info = {"header": header, **camera_info(lens, [0.0] * 5, *size)}
    bag.write_fields(f"/camera/{name}/camera_info", CAMERA_INFO, at, info)


def _jpeg(path: Path, width: int) -> tuple[np.ndarray, tuple[int, int], float]:
    """JPEG bytes, width and height, and the factor by which the image was shrunk."""
    image = read_file(path)
    if not width or width >= image.shape[1]:
        return np.fromfile(path, np.uint8), (image.shape[1], image.shape[0]), 1.0
    scale = width / image.shape[1]
    small = cv2.resize(image, (width, round(image.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].ravel()
    return data, (small.shape[1], small.shape[0]), scale


def _matrix(pose: dict[str, dict[str, float]]) -> np.ndarray:
    """(4, 4) of a pose with position and heading."""
    from scipy.spatial.transform import Rotation

    out, heading = np.eye(4), pose["heading"]
    out[:3, :3] = Rotation.from_quat([heading[axis] for axis in "xyzw"]).as_matrix()
    out[:3, 3] = [pose["position"][axis] for axis in "xyz"]
    return out


def _intrinsics(k: np.ndarray) -> tuple[float, float, float, float]:
    return float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    app()
