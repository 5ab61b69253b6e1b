"""Dressed human figures of jointed limbs in any pose."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from driving_scenes.base import colors
from driving_scenes.base.mesh import Mesh, join
from driving_scenes.base.shapes import box, tube

_SKIN = colors.linear("f1c9a5", "e0ac83", "c68642", "8d5524", "5b3a22", "eebb99")
_HAIR = colors.linear("0f0d0c", "1c1410", "3a2416", "6b4a2b", "a5824f", "8a8a88", "5a2d17")
_TOPS = colors.linear(
    "14161a",
    "1f2a44",
    "3b3f46",
    "7a7d80",
    "e8e6e0",
    "8c1c1c",
    "2f4a2f",
    "6d5a44",
    "35578a",
    "c9a23a",
    "b04a2a",
    "4a2f5a",
    "d8d2c4",
)
_LEGS = colors.linear("14151a", "1d2536", "2b3a5a", "3f5478", "5a5346", "8a7d64", "2a2a2c", "6a6a6a")
_SHOES = colors.linear("0d0d0d", "2a1d14", "d8d8d4", "4a4a4c")


@dataclass(frozen=True, slots=True)
class Pose:
    """Joint positions in metres for a person 1 m tall: x forward, y left, z up; left limb first, then right."""

    hip: np.ndarray
    neck: np.ndarray
    knees: np.ndarray  # 2 3
    ankles: np.ndarray
    elbows: np.ndarray
    hands: np.ndarray


@dataclass(frozen=True, slots=True)
class Dress:
    """Colours and shape of one person."""

    height: float
    girth: float
    skin: np.ndarray
    hair: np.ndarray
    top: np.ndarray
    legs: np.ndarray
    shoes: np.ndarray
    coat: bool
    skirt: bool
    short_sleeves: bool
    long_hair: bool
    hat: str = field(default="")  # "", "cap", "helmet", "hood"


def dressed(rng: np.random.Generator) -> Dress:
    """Random clothes, build and age."""
    child = rng.random() < 0.12
    hi_vis = rng.random() < 0.04
    return Dress(
        height=rng.uniform(1.0, 1.45) if child else float(np.clip(rng.normal(1.70, 0.09), 1.5, 1.95)),
        girth=rng.uniform(0.88, 1.3),
        skin=colors.one_of(rng, _SKIN),
        hair=colors.one_of(rng, _HAIR),
        top=colors.linear("d8e626", "ff6a13")[rng.integers(2)] if hi_vis else colors.one_of(rng, _TOPS, 0.2),
        legs=colors.one_of(rng, _LEGS, 0.2),
        shoes=colors.one_of(rng, _SHOES),
        coat=rng.random() < 0.25,
        skirt=rng.random() < 0.12,
        short_sleeves=rng.random() < 0.3,
        long_hair=rng.random() < 0.35,
        hat=str(rng.choice(["", "cap", "hood"], p=[0.78, 0.12, 0.1])),
    )


def walking(rng: np.random.Generator) -> Pose:
    """A random phase of a stride; a quarter of the people stand."""
    stride = rng.uniform(0.25, 0.5) * (rng.random() < 0.75)
    phase = rng.uniform(0, 2 * np.pi)
    swing = np.array([np.sin(phase), -np.sin(phase)]) * stride
    lift = np.clip(np.array([np.cos(phase), -np.cos(phase)]), 0, 1) * stride
    side = np.array([1.0, -1.0])
    hip = np.array([0, 0, 0.525 - 0.03 * stride])
    knees = np.stack(
        [0.245 * np.sin(swing + lift * 0.9 + 0.05), side * 0.05, hip[2] - 0.245 * np.cos(swing + lift * 0.9)], 1
    )
    shin = swing - lift * 1.1 - 0.04
    ankles = knees + np.stack([0.24 * np.sin(shin), side * 0.002, -0.24 * np.cos(shin)], 1)
    neck = hip + (0.03 * stride + rng.normal(0, 0.012), 0, 0.31)
    arm = -swing * 0.9 + rng.normal(0, 0.06, 2)
    bend = rng.uniform(0.1, 0.5, 2) + stride * 0.4
    bend[0] += rng.choice([0, 1.6], p=[0.8, 0.2])  # a phone or a bag strap is held
    shoulders = neck + np.stack([0 * side, side * 0.105, 0 * side - 0.02], 1)
    elbows = shoulders + np.stack([0.17 * np.sin(arm), side * 0.035, -0.17 * np.cos(arm)], 1)
    hands = elbows + np.stack([0.16 * np.sin(arm + bend), side * -0.01, -0.16 * np.cos(arm + bend)], 1)
    return Pose(hip, neck, knees, ankles, elbows, hands)


def person(dress: Dress, pose: Pose, detail: int = 1) -> Mesh:
    """The dressed body in its pose, scaled to its height."""
    sides, g, scale = (8 if detail else 4), dress.girth, dress.height
    hip, neck = pose.hip, pose.neck
    spine = neck - hip
    forward = np.array([spine[2], 0, -spine[0]]) / np.linalg.norm(spine)
    meshes = [_torso(dress, hip, spine, sides, detail)]
    for k in range(2):
        side = 1 - 2 * k
        thigh = hip + (0, side * 0.048, 0.0)
        meshes += _leg(dress, thigh, pose.knees[k], pose.ankles[k], sides - 2 if detail else 3)
        shoulder = neck + (0, side * 0.1, -0.04)
        meshes += _arm(dress, shoulder, pose.elbows[k], pose.hands[k], sides - 2 if detail else 3, detail)
    meshes += _head(dress, neck, forward, sides, detail)
    if dress.skirt:
        drop = np.linspace(0.02, -0.22, 3)[:, None] * (0, 0, 1.0)
        meshes.append(
            tube(
                hip + drop,
                np.array([[0.085, 0.07], [0.11, 0.1], [0.12, 0.11]]) * g,
                dress.legs,
                sides=sides,
                caps=False,
            )
        )
    mesh = join(meshes)
    return Mesh((mesh.vertices * scale).astype(np.float32), mesh.faces, mesh.normals, mesh.colors, mesh.materials)


def _torso(dress: Dress, hip: np.ndarray, spine: np.ndarray, sides: int, detail: int) -> Mesh:
    bottom = -0.45 if dress.coat else -0.16
    along = np.array([bottom, 0.0, 0.38, 0.72, 0.9, 1.0, 1.04] if detail else [bottom, 0.4, 0.9, 1.04])
    wide = np.array(
        [0.092 if dress.coat else 0.08, 0.086, 0.077, 0.098, 0.095, 0.05, 0.03] if detail else [0.085, 0.08, 0.1, 0.03]
    )
    deep = np.array(
        [0.078 if dress.coat else 0.066, 0.068, 0.06, 0.068, 0.056, 0.036, 0.03] if detail else [0.07, 0.06, 0.06, 0.03]
    )
    radii = np.stack([wide * (0.55 + 0.45 * dress.girth), deep * dress.girth], 1)
    down = np.array([0, 0, np.linalg.norm(spine)])
    path = hip + np.where(along[:, None] < 0, along[:, None] * down, along[:, None] * spine)
    color = np.repeat(dress.top[None], len(along) - 1, 0)
    if not dress.coat:
        color[0] = dress.legs
    return tube(path, radii, color, sides=sides)


def _leg(dress: Dress, hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, sides: int) -> list[Mesh]:
    path = np.stack([hip, (hip + knee) / 2, knee, knee * 0.6 + ankle * 0.4, ankle])
    radii = np.array([0.055, 0.052, 0.038, 0.036, 0.026]) * (0.5 + 0.5 * dress.girth)
    cloth = np.repeat(dress.legs[None], 4, 0)
    if dress.skirt:
        cloth[2:] = dress.skin
    if sides == 3:
        return [tube(path[::2], radii[::2], cloth[::2], sides=3, caps=False)]
    shin = ankle - knee
    toe = np.array([0.05, 0, -0.03]) if shin[0] > -0.1 else np.array([0.03, 0, -0.045])
    shoe = box(ankle + toe * 0.7, (0.145, 0.055, 0.05), dress.shoes, top=(0.75, 0.8))
    return [tube(path, radii, cloth, sides=sides, caps=False), shoe]


def _arm(
    dress: Dress, shoulder: np.ndarray, elbow: np.ndarray, hand: np.ndarray, sides: int, detail: int
) -> list[Mesh]:
    root = shoulder * (1, 0.5, 1) + (0, 0, 0.018)
    path = np.stack([root, shoulder, (shoulder + elbow) / 2, elbow, hand, hand + (hand - elbow) * 0.3])
    radii = np.array([0.026, 0.035, 0.033, 0.028, 0.021, 0.024]) * (0.7 + 0.3 * dress.girth)
    sleeve = np.repeat(dress.top[None], 5, 0)
    if dress.short_sleeves and not dress.coat:
        sleeve[2:] = dress.skin
    sleeve[4] = dress.skin
    if not detail:
        path, radii, sleeve = path[1::2], radii[1::2], sleeve[1::2][:2]
    return [tube(path, radii, sleeve, sides=sides)]


def _head(dress: Dress, neck: np.ndarray, forward: np.ndarray, sides: int, detail: int) -> list[Mesh]:
    rise = np.array([-0.01, 0.035, 0.06, 0.1, 0.145, 0.17, 0.18] if detail else [0.0, 0.09, 0.175])
    radii = np.array([0.032, 0.03, 0.044, 0.053, 0.05, 0.032, 0.008] if detail else [0.03, 0.055, 0.02])
    at = neck + forward * 0.012
    skin = dress.skin if detail else np.stack([dress.skin, dress.hair])
    head = tube(at + rise[:, None] * (0, 0, 1.0), np.stack([radii * 0.9, radii * 1.1], 1), skin, sides=sides)
    cover = {"helmet": dress.hair, "cap": dress.legs, "hood": dress.top}.get(dress.hat, dress.hair)
    shift = at + (-0.012, 0, 0)
    low = 0.02 if dress.long_hair or dress.hat == "hood" else 0.075
    level = np.array([low, 0.11, 0.15, 0.178, 0.19]) + (0.012 if dress.hat == "helmet" else 0)
    grow = 1.22 if dress.hat in ("helmet", "hood") else 1.05
    wide = np.array([0.042, 0.054, 0.053, 0.036, 0.008]) * grow
    hair = tube(shift + level[:, None] * (0, 0, 1.0), np.stack([wide * 0.95, wide * 1.02], 1), cover, sides=sides)
    brim = [box(at + forward * 0.06 + (0, 0, 0.135), (0.08, 0.09, 0.01), cover)] if dress.hat == "cap" else []
    return [head, hair, *brim] if detail else [head]
