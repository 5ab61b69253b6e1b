"""Poses of the MakeHuman rig: rotations of bones in the axes of its file (x left, y up, z forward)."""

from __future__ import annotations

import cv2
import numpy as np

X, Y, Z = np.eye(3)
Turns = dict[str, np.ndarray]
SIDES = (("L", 1, 0.0), ("R", -1, np.pi))  # suffix of the bones, sign of x, phase of the stride


def turn(axis: np.ndarray, degrees: float) -> np.ndarray:
    """(3, 3) rotation about an axis."""
    return np.asarray(cv2.Rodrigues(axis * np.radians(degrees))[0])


def elbow(sign: int, degrees: float) -> np.ndarray:
    """Bends an arm forward; at rest it points down and outward at 45 degrees."""
    return turn(-(X + sign * Y) / np.sqrt(2), degrees)


def relaxed_hand(rng: np.random.Generator, side: str, sign: int, curl: float = 24.0) -> Turns:
    """Fingers bent towards the palm by about `curl` degrees at each joint; they splay at rest."""
    bend = curl * rng.uniform(0.6, 1.4)
    joints = [f"finger{finger}-{joint}.{side}" for finger in (2, 3, 4, 5) for joint in (1, 2, 3)]
    return {name: turn(Z, -sign * bend) for name in joints}


def walking(rng: np.random.Generator, stride: float) -> Turns:
    """A phase of a stride; stride 0: standing, 1: walking, 2: running."""
    phase, turns = rng.uniform(0, 2 * np.pi), {}
    bend = rng.uniform(6, 26) + 70 * max(0.0, stride - 1)
    for side, sign, shift in SIDES:
        swing = np.sin(phase + shift)
        knee = max(0.0, np.sin(phase + shift - 1.9))
        turns[f"upperleg01.{side}"] = turn(X, -24 * stride * swing) @ turn(Z, -sign * 3)
        turns[f"lowerleg01.{side}"] = turn(X, 4 + stride * 34 * knee)
        turns[f"upperarm01.{side}"] = turn(X, 20 * stride * swing) @ turn(Z, -sign * rng.uniform(38, 47))
        turns[f"lowerarm01.{side}"] = elbow(sign, bend + rng.uniform(0, 12))
        turns |= relaxed_hand(rng, side, sign)
    if stride < 1.3 and rng.random() < 0.3:  # holds a phone, a cup or the strap of a bag
        side, sign, _ = SIDES[int(rng.integers(2))]
        turns[f"upperarm01.{side}"] = turn(X, rng.uniform(-25, 5)) @ turn(Z, -sign * 42)
        turns[f"lowerarm01.{side}"] = turn(Z, -sign * rng.uniform(10, 40)) @ elbow(sign, rng.uniform(60, 125))
    turns["root"] = turn(X, 3 * stride + rng.normal(0, 1.5))
    turns["head"] = turn(Y, rng.normal(0, 22)) @ turn(X, rng.normal(4, 8))
    return turns
