"""Where the camera could have stood and looked: one random homography per view."""

from __future__ import annotations

import math

import numpy as np

from perception_models.data.warp import letterbox, mirror

FOCAL = 0.9  # image widths; the lens assumed when a picture has no calibration


def random_view(
    size: tuple[int, int],
    target: tuple[int, int],
    rng: np.random.Generator,
    *,
    scale: tuple[float, float] = (0.6, 1.7),
    shift: float = 0.08,
    tilt: float = 2.5,
    perspective: float = 0.4,
    flip: float = 0.5,
    intrinsics: np.ndarray | None = None,
) -> np.ndarray:
    """(3, 3) target_from_image: zoom by `scale`, move by up to `shift` of the picture, turn by up to `tilt` degrees:
    always about the viewing axis, with the chance `perspective` also up, down and sideways (four times the work).

    The zoom keeps the horizon's height (a third to a half down), not the middle, so that far objects stay in view.
    """
    angles = rng.uniform(-tilt, tilt, 3) if rng.random() < perspective else (0, 0, rng.uniform(-tilt, tilt))
    view = letterbox(size, target) @ turned(size, np.array(angles), intrinsics)
    if rng.random() < flip:
        view = mirror(target[1]) @ view
    zoom = math.exp(rng.uniform(math.log(scale[0]), math.log(scale[1])))
    return zoom_about(target, zoom, rng.uniform(-shift, shift, 2), rng.uniform(0.35, 0.55)) @ view


def zoom_about(size: tuple[int, int], zoom: float, shift: np.ndarray, height: float) -> np.ndarray:
    """Zoom about the point half across and `height` down the picture, then move by shares of the picture."""
    u, v = size[1] / 2, size[0] * height
    return np.array(
        [[zoom, 0, u - zoom * u + shift[0] * size[1]], [0, zoom, v - zoom * v + shift[1] * size[0]], [0, 0, 1.0]]
    )


def turned(size: tuple[int, int], degrees: np.ndarray, intrinsics: np.ndarray | None = None) -> np.ndarray:
    """(3, 3) homography of a camera that turns in place by (pitch, yaw, roll)."""
    focal = FOCAL * size[1]
    lens = np.array([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]]) if intrinsics is None else intrinsics
    return lens @ _rotation(np.radians(degrees)) @ np.linalg.inv(lens)


def _rotation(angles: np.ndarray) -> np.ndarray:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    pitch = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    roll = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return pitch @ yaw @ roll
