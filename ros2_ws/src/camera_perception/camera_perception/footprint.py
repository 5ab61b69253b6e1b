"""How much of the road a thing covers, and where: from its class, its contact with the road and where it heads."""

from __future__ import annotations

import numpy as np

MOVING = 1.0  # m/s, from where on the direction of motion is the direction of the object

# length, width, height in metres of usual ones; measured sizes are not known from one camera
SIZES = {
    "car": (4.5, 1.85, 1.5),
    "truck": (8.0, 2.5, 3.2),
    "bus": (11.0, 2.6, 3.2),
    "train": (20.0, 3.0, 3.8),
    "pedestrian": (0.6, 0.6, 1.75),
    "person": (0.6, 0.6, 1.75),
    "rider": (1.8, 0.7, 1.75),
    "bicycle": (1.8, 0.6, 1.1),
    "motorcycle": (2.0, 0.8, 1.2),
    "traffic light": (0.5, 0.5, 1.0),
    "traffic sign": (0.5, 0.5, 1.0),
}
CAR = SIZES["car"]


def heading_of(velocity: np.ndarray) -> float:
    """Radians to the left of x that a thing with velocity (2,) m/s points to; 0 for what stands or is not known."""
    vx, vy = float(velocity[0]), float(velocity[1])
    return float(np.arctan2(vy, vx)) if np.hypot(vx, vy) > MOVING else 0.0


def covered(position: np.ndarray, name: str, velocity: np.ndarray) -> np.ndarray:
    """(4, 2) corners in metres of the road that a thing covers which touches the road at position on our side."""
    size, heading = SIZES.get(name, CAR)[:2], heading_of(velocity)
    return rectangle(behind_contact(position, size, heading), size, heading)


def behind_contact(position: np.ndarray, size: tuple[float, ...], heading: float) -> np.ndarray:
    """Middle of an object (length, width) that touches the road at position on the side towards us."""
    sight = float(np.arctan2(position[1], position[0]))
    across, along = abs(np.sin(sight - heading)), abs(np.cos(sight - heading))
    depth = min(size[0] / max(along, 1e-6), size[1] / max(across, 1e-6)) / 2
    return position + depth * np.array([np.cos(sight), np.sin(sight)])


def rectangle(middle: np.ndarray, size: tuple[float, ...], heading: float) -> np.ndarray:
    """(4, 2) corners in metres of a rectangle (length, width) around a middle, turned from x towards y."""
    forward = np.array([np.cos(heading), np.sin(heading)])
    left = np.array([-forward[1], forward[0]])
    signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) / 2
    return middle + signs[:, :1] * size[0] * forward + signs[:, 1:] * size[1] * left


def ellipse(middle: np.ndarray, cov: np.ndarray, deviations: float, count: int = 49) -> np.ndarray:
    """(count, 2) points that lie that many standard deviations from the middle of a normal distribution."""
    values, vectors = np.linalg.eigh(cov)
    angles = np.linspace(0, 2 * np.pi, count)
    circle = np.column_stack((np.cos(angles), np.sin(angles)))
    return middle + deviations * (circle * np.sqrt(np.maximum(values, 0))) @ vectors.T
