"""Cameras on a car: pinhole model with lens distortion, and the undistorted canvas that the image is cut from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # base_from_camera of a level camera facing forward
Distortion = tuple[float, float, float, float, float]
MOST_BYTES = 64 << 10  # of a rig file
NO_DISTORTION: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Camera:
    """Intrinsics in pixels, OpenCV's distortion coefficients and the (4, 4) pose base_from_camera.

    base frame: x forward, y left, z up, origin on the road; camera frame: x right, y down, z forward
    """

    name: str
    width: int
    height: int
    intrinsics: tuple[float, float, float, float]  # fx fy cx cy
    distortion: Distortion  # k1 k2 p1 p2 k3
    base_from_camera: np.ndarray

    @cached_property
    def matrix(self) -> np.ndarray:
        fx, fy, cx, cy = self.intrinsics
        return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])

    @cached_property
    def canvas(self) -> tuple[int, int, float, float]:
        """(width, height, cx, cy) of a pinhole image that holds every ray of the distorted one; same focal lengths."""
        fx, fy, cx, cy = self.intrinsics
        if not any(self.distortion):
            return self.width, self.height, cx, cy
        border = _rays(self, *np.meshgrid(np.linspace(0, self.width, 33), np.linspace(0, self.height, 33)))
        low, high = border.min((0, 1)), border.max((0, 1))
        left, top = (np.ceil((-low[k] * f + 2) / 16) * 16 for k, f in ((0, fx), (1, fy)))
        right, bottom = (np.ceil((high[k] * f + 2) / 16) * 16 for k, f in ((0, fx), (1, fy)))
        return int(left + right), int(top + bottom), float(left), float(top)

    @cached_property
    def lookup(self) -> tuple[np.ndarray, np.ndarray] | None:
        """cv2.remap tables from the canvas, None without distortion."""
        if not any(self.distortion):
            return None
        fx, fy, _, _ = self.intrinsics
        _, _, cx, cy = self.canvas
        step = 8
        u, v = np.arange(0, self.width + 1, step), np.arange(0, self.height + 1, step)
        coarse = _rays(self, *np.meshgrid(u.astype(float), v.astype(float)))
        at_u, at_v = np.meshgrid((np.arange(self.width) + 0.5) / step, (np.arange(self.height) + 0.5) / step)
        rays = cv2.remap(
            coarse.astype(np.float32),
            at_u.astype(np.float32),
            at_v.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return (rays[..., 0] * fx + cx - 0.5).astype(np.float32), (rays[..., 1] * fy + cy - 0.5).astype(np.float32)

    def project(self, points_base: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (N, 2) of points (N, 3) in base, and their depth (N,) along the optical axis.

        Depth is nan for points behind the camera or off the canvas, where the distortion polynomial folds back.
        """
        camera_from_base = np.linalg.inv(self.base_from_camera)
        points = points_base @ camera_from_base[:3, :3].T + camera_from_base[:3, 3]
        depth = points[:, 2]
        xy = points[:, :2] / np.where(np.abs(depth) < 1e-6, 1e-6, depth)[:, None]
        width, height, cx, cy = self.canvas
        ideal = xy * self.intrinsics[:2] + [cx, cy]
        on_canvas = (depth > 0.05) & (ideal >= 0).all(1) & (ideal[:, 0] <= width) & (ideal[:, 1] <= height)
        return distort(xy, self.distortion) * self.intrinsics[:2] + self.intrinsics[2:], np.where(
            on_canvas, depth, np.nan
        )

    def in_canvas(self, pixels: np.ndarray) -> np.ndarray:
        """Canvas position of (N, 2) pixels of the final image."""
        if not any(self.distortion):
            return pixels
        rays = _rays(self, pixels[:, 0][None], pixels[:, 1][None])[0]
        return np.asarray(rays * self.intrinsics[:2] + self.canvas[2:])


def distort(xy: np.ndarray, distortion: tuple[float, ...]) -> np.ndarray:
    """Ideal to distorted normalised image coordinates (N, 2); Brown's model, as in OpenCV."""
    k1, k2, p1, p2, k3 = distortion
    x, y = xy[:, 0], xy[:, 1]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return np.stack(
        [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], -1
    )


def _rays(camera: Camera, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    pixels = np.stack([u, v], -1).reshape(-1, 1, 2).astype(np.float64)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 1e-7)
    matrix, distortion = camera.matrix, np.array(camera.distortion)
    opencv: Any = cv2  # its stubs reject None for R and P
    if hasattr(opencv, "undistortPointsIter"):
        rays = opencv.undistortPointsIter(pixels, matrix, distortion, None, None, criteria)
    else:  # merged in OpenCV 5
        rays = opencv.undistortPoints(pixels, matrix, distortion, criteria=criteria)
    return np.asarray(rays).reshape(*u.shape, 2)


def camera_pose(x: float, y: float, z: float, yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(4, 4) base_from_camera; positive yaw is left, pitch down, roll clockwise seen from behind, radians."""
    cy, sy, cp, sp, cr, sr = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    turn = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    nod = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    lean = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = turn @ nod @ lean @ OPTICAL, (x, y, z)
    return out


def _random_turn(rng: np.random.Generator) -> np.ndarray:
    """(4, 4) rotation about base z by 30 to 180 degrees to either side."""
    yaw = rng.choice([-1, 1]) * np.radians(rng.uniform(30, 180))
    out = np.eye(4)
    out[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    return out


def random_camera(rng: np.random.Generator, width: int, height: int, around: bool = False) -> Camera:
    """A dashboard camera: 45 to 110 degrees horizontal field of view, 1.1 to 2.2 m high, slightly misaligned.

    around: a side or rear camera instead
    """
    fov = np.radians(rng.choice([rng.uniform(45, 75), rng.uniform(55, 100), rng.uniform(90, 110)], p=[0.55, 0.35, 0.1]))
    f = width / 2 / np.tan(fov / 2)
    cx, cy = width / 2 + rng.normal(0, 0.01 * width), height / 2 + rng.normal(0, 0.02 * height)
    pitch = np.arctan2(rng.uniform(-0.14, 0.14) * height, f)
    pose = camera_pose(
        rng.uniform(0.8, 2.0),
        rng.uniform(-0.4, 0.4),
        rng.uniform(1.1, 2.2) if rng.random() < 0.4 else rng.uniform(1.15, 1.6),
        rng.normal(0, 0.018),
        pitch,
        rng.normal(0, 0.012),
    )
    wide = np.tan(fov / 2) ** 2 * (1 + (height / width) ** 2)
    bend = (
        float(rng.uniform(-0.16, 0.03) / wide),
        float(rng.uniform(-0.01, 0.02) / wide**2),
        float(rng.normal(0, 3e-4)),
        float(rng.normal(0, 3e-4)),
        0.0,
    )
    distortion = bend if rng.random() < 0.4 else NO_DISTORTION
    if around:
        pose = _random_turn(rng) @ pose
    return Camera("front", width, height, (f, f * rng.uniform(0.99, 1.01), cx, cy), distortion, pose)


def read_rig(path: Path) -> list[Camera]:
    """Cameras of a YAML file: {cameras: {NAME: {size, intrinsics, distortion, position, yaw_pitch_roll (degrees)}}}.

    Raises ValueError naming the camera and the missing entries.
    """
    document = _document(Path(path))
    if not isinstance(document, dict) or not isinstance(document.get("cameras"), dict):
        raise ValueError(f"{path}: a rig file starts with `cameras:` and their names; see rig_front.yaml")
    return [_camera_of(path, str(name), entry) for name, entry in document["cameras"].items()]


def _camera_of(path: Path, name: str, entry: Any) -> Camera:
    missing = {"size", "intrinsics", "position"} - set(entry if isinstance(entry, dict) else ())
    if missing:
        raise ValueError(f"{path}: camera {name[:80]} needs {', '.join(sorted(missing))}")
    try:
        width, height = map(int, entry["size"])
        angles = np.radians(np.array(entry.get("yaw_pitch_roll", (0, 0, 0)), float))
        position = np.array(entry["position"], float)
        fx, fy, cx, cy = map(float, entry["intrinsics"])
        k1, k2, p1, p2, k3 = map(float, entry.get("distortion", NO_DISTORTION))
        pose = camera_pose(*position, *angles)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path}: camera {name[:80]}: expected size of 2 numbers, intrinsics of 4, position and yaw_pitch_roll of "
            "3, distortion of 5"
        ) from error
    return Camera(name, width, height, (fx, fy, cx, cy), (k1, k2, p1, p2, k3), pose)


def _document(path: Path) -> Any:
    """The contents of a small YAML file. ValueError for anything else, also aliases, which can expand without end."""
    try:
        with path.open("rb") as stream:
            text = stream.read(MOST_BYTES + 1).decode()
        if len(text) > MOST_BYTES or any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            raise ValueError(f"{path}: expected at most {MOST_BYTES:,} bytes without aliases; see rig_front.yaml")
        return yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: cannot be read as YAML ({reason}); see rig_front.yaml") from error
