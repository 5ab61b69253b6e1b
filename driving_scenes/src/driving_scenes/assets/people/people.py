"""People on foot and on two wheels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from driving_scenes.assets.people.person import Dress, Pose, dressed, person, walking
from driving_scenes.assets.people.person_pool import SEATS, VARIANTS, pooled, ride_of, source
from driving_scenes.assets.vehicles.cycles import Ride, bicycle_ride, motorcycle_ride
from driving_scenes.base import colors
from driving_scenes.base.asset import Asset, asset_of
from driving_scenes.base.mesh import Mesh, join
from driving_scenes.base.semantic_ids import PEDESTRIAN, RIDER
from driving_scenes.base.shapes import box, grounded, rods, tube

_BAGS = colors.linear("111214", "3a2a1c", "7a1f1f", "22364f", "4d4f3a", "c9b48a")
_UMBRELLAS = colors.linear("0e0e10", "1c2a4a", "8a1420", "d8d8d0", "2f6a4a")
_HELMETS = colors.linear("f0f0ee", "101012", "b01818", "1e4fa0", "e0c020", "70767c")


def pedestrian(rng: np.random.Generator, detail: int = 1, seat: str = "") -> Asset:
    """A person facing +x who walks or stands, or sits on one of SEATS with the hips above the origin."""
    if seat and seat not in SEATS:
        raise ValueError(f"no person on a {seat!r}: choose one of {', '.join(SEATS)}")
    if source() is not None:
        kind = seat or "pedestrian"
        return asset_of(pooled(kind, int(rng.integers(VARIANTS[kind])), detail), "pedestrian", PEDESTRIAN)
    if seat:
        return asset_of(_simple_sitter(rng, SEATS[seat], detail), "pedestrian", PEDESTRIAN)
    dress, pose = dressed(rng), walking(rng)
    body = [person(dress, pose, detail)]
    carried = rng.choice(["", "backpack", "bag", "umbrella", "stick"], p=[0.6, 0.15, 0.13, 0.09, 0.03])
    if detail:
        body += _carried(rng, str(carried), dress, pose)
    return asset_of(grounded(join(body)), "pedestrian", PEDESTRIAN)


def rider(rng: np.random.Generator, vehicle: str = "bicycle", detail: int = 1) -> Asset:
    """A person on a bicycle or motorcycle; the vehicle is the part of that name."""
    rides = {"bicycle": bicycle_ride, "motorcycle": motorcycle_ride}
    if vehicle not in rides:
        raise ValueError(f"no rider for a {vehicle!r}: choose one of {', '.join(rides)}")
    if source() is not None:
        variant = int(rng.integers(VARIANTS[vehicle]))
        two_wheeler = ride_of(vehicle, variant, min(detail, 1)).mesh
        return asset_of(pooled(vehicle, variant, detail), "rider", RIDER, {vehicle: two_wheeler})
    ride = rides[vehicle](rng, detail)
    helmet = vehicle == "motorcycle" or rng.random() < 0.55
    dress = replace(dressed(rng), height=1.0, coat=False, skirt=False, long_hair=False, hat="helmet" if helmet else "")
    if helmet:
        dress = replace(dress, hair=colors.one_of(rng, _HELMETS))
    meshes = [person(dress, _seated(rng, ride), detail)]
    tall = rng.uniform(1.6, 1.85)
    mesh = meshes[0]
    mesh = Mesh((mesh.vertices * tall).astype(np.float32), mesh.faces, mesh.normals, mesh.colors, mesh.materials)
    seat = np.array([ride.seat[0], 0, ride.seat[2] + 0.06 * tall])
    pose = np.eye(4)
    pose[:3, 3] = seat
    mesh = mesh.moved(pose)
    if rng.random() < 0.25 and detail:
        back = seat + (ride.lean * 0.55 * 0.31 * tall - 0.19, 0, 0.2 * tall)
        mesh = join([mesh, box(back, (0.16, 0.28, 0.4), colors.one_of(rng, _BAGS))])
    return asset_of(mesh, "rider", RIDER, {vehicle: ride.mesh})


def _simple_sitter(rng: np.random.Generator, height: float, detail: int) -> Mesh:
    """A simple figure of a grown-up on a seat `height` metres above the ground."""
    tall, low = rng.uniform(1.55, 1.85), height < 0.3
    hip, side = np.array([0, 0, (height + 0.09) / tall]), np.array([[1.0], [-1.0]])
    ankles = np.array([rng.uniform(0.21, 0.28), 0, 0.045]) + side * (0, rng.uniform(0.04, 0.09), 0)
    hands = (hip + ankles) / 2 + side * (0, 0.05, 0) + ((0.1, 0, 0.2) if low else (0.02, 0, 0.18))
    dress = replace(dressed(rng), height=tall, coat=False, skirt=False)
    lean = rng.uniform(0.25, 0.6) if low else rng.uniform(-0.1, 0.2)
    return person(dress, _folded(hip, lean, ankles, hands), detail)


def _seated(rng: np.random.Generator, ride: Ride) -> Pose:
    """Hands on the bars, feet on the pegs; the hip is the origin, lengths are relative to a height of 1.72 m."""
    hip_position, tall = np.array([ride.seat[0], 0, ride.seat[2] + 0.1]), 1.72
    grips, pegs = (ride.grips - hip_position) / tall, (ride.pegs - hip_position) / tall
    return _folded(np.zeros(3), ride.lean, pegs + (0, 0, 0.045), grips)


def _folded(hip: np.ndarray, lean: float, ankles: np.ndarray, hands: np.ndarray) -> Pose:
    """Bent legs and arms between given ends; lean: sine of the angle of the back."""
    side = np.array([1.0, -1.0])
    neck = hip + (lean * 0.31, 0, 0.31 * np.sqrt(1 - lean**2))
    thighs = hip + np.stack([0 * side, side * 0.048, 0 * side], 1)
    shoulders = neck + np.stack([0 * side, side * 0.1, 0 * side - 0.025], 1)
    return Pose(
        hip,
        neck,
        _joint(thighs, ankles, 0.25, (1, 0, 0.25)),
        ankles,
        _joint(shoulders, hands, 0.175, (-0.4, 0, -1)),
        hands,
    )


def _joint(start: np.ndarray, end: np.ndarray, bone: float, towards: tuple[float, float, float]) -> np.ndarray:
    """Joint positions of limbs with two equal bones between given ends."""
    gap = end - start
    half = np.linalg.norm(gap, axis=1, keepdims=True) / 2
    direction = np.array(towards) - gap * (gap @ np.array(towards) / np.maximum((gap**2).sum(1), 1e-9))[:, None]
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    return np.asarray((start + end) / 2 + direction * np.sqrt(np.clip(bone**2 - half**2, 0.0004, None)))


def _carried(rng: np.random.Generator, item: str, dress: Dress, pose: Pose) -> list[Mesh]:
    tall = dress.height
    color = colors.one_of(rng, _BAGS)
    if item == "backpack":
        return [box((pose.hip + (-0.1, 0, 0.2)) * tall, (0.13, 0.27, 0.4), color, top=(0.7, 0.8))]
    hand = pose.hands[1] * tall
    if item == "bag":
        return [
            box(hand - (0, 0, 0.3), (0.32, 0.12, 0.3), color, top=(0.9, 0.6)),
            rods([hand - (0, 0, 0.16)], [hand], 0.012, color),
        ]
    if item == "stick":
        return [rods([hand + (0.15, 0, -hand[2] + 0.01)], [hand], 0.012, colors.WOOD)]
    if item == "umbrella":
        top = (pose.neck + (0.05, -0.06, 0.25)) * tall
        rise, spread = np.array([0, 0.09, 0.17, 0.22]), np.array([0.52, 0.42, 0.22, 0.01]) * rng.uniform(0.85, 1.1)
        shade = colors.one_of(rng, _UMBRELLAS)
        canopy = tube(top + rise[:, None] * (0, 0, 1.0), spread, shade, sides=8)
        return [canopy, rods([top - (0, 0, 0.5)], [top + (0, 0, 0.2)], 0.012, colors.STEEL)]
    return []
