"""Random views: one homography for zoom, shift, tilt and mirroring."""

from __future__ import annotations

import math

import numpy as np

from perception_models.data.warp import letterbox, mirror

FOCAL = 0.9  # image widths; focal length assumed for images without calibration


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
    """(3, 3) target_from_image of a random view.

    scale        range of the zoom, log-uniform; it keeps the height of the horizon (35 to 55 % down) rather than the
                 image centre, so that distant objects stay in view
    shift        largest shift, fraction of the image
    tilt         largest rotation, degrees: always roll
    perspective  probability of pitch and yaw as well (four times the work)
    flip         probability of mirroring
    """
    angles = rng.uniform(-tilt, tilt, 3) if rng.random() < perspective else (0, 0, rng.uniform(-tilt, tilt))
    view = letterbox(size, target) @ rotation_homography(size, np.array(angles), intrinsics)
    if rng.random() < flip:
        view = mirror(target[1]) @ view
    zoom = math.exp(rng.uniform(math.log(scale[0]), math.log(scale[1])))
    out: np.ndarray = zoom_about(target, zoom, rng.uniform(-shift, shift, 2), rng.uniform(0.35, 0.55)) @ view
    return out


def zoom_about(size: tuple[int, int], zoom: float, shift: np.ndarray, height: float) -> np.ndarray:
    """(3, 3) zoom about the point (0.5, `height`), then shift by `shift`, both in fractions of the image."""
    u, v = size[1] / 2, size[0] * height
    return np.array(
        [[zoom, 0, u - zoom * u + shift[0] * size[1]], [0, zoom, v - zoom * v + shift[1] * size[0]], [0, 0, 1.0]]
    )


def rotation_homography(size: tuple[int, int], degrees: np.ndarray, intrinsics: np.ndarray | None = None) -> np.ndarray:
    """(3, 3) homography of a camera rotating in place by (pitch, yaw, roll)."""
    focal = FOCAL * size[1]
    if intrinsics is None:
        intrinsics = np.array([[focal, 0, size[1] / 2], [0, focal, size[0] / 2], [0, 0, 1]])
    homography: np.ndarray = intrinsics @ _rotation(np.radians(degrees)) @ np.linalg.inv(intrinsics)
    return homography


def _rotation(angles: np.ndarray) -> np.ndarray:
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    pitch = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    roll = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: np.ndarray = pitch @ yaw @ roll
    return rotation
