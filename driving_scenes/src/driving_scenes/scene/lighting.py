"""Shader uniforms for sun, sky, street lamps and headlights."""

from __future__ import annotations

from typing import Any

import numpy as np

from driving_scenes.base.conditions import Conditions
from driving_scenes.scene.asset_pool import size
from driving_scenes.scene.drive import Snapshot
from driving_scenes.scene.object import SceneObject

MAX_LAMPS = 12  # length of uLamps in common.glsl


def lights_on(obj: SceneObject, snapshot: Snapshot) -> float:
    """1 if the lamps of a vehicle or street lamp are on, else 0; parked vehicles have theirs off."""
    if obj.key.asset_type == "street_lamp":
        return float(snapshot.conditions.timeofday == "night" and snapshot.conditions.lamps > 0.5)
    moving = obj.velocity != (0.0, 0.0) or obj.brake > 0
    return float(moving and (obj.track * 0.618) % 1.0 < snapshot.conditions.lamps)


def _lamp_positions(snapshot: Snapshot, camera_position: np.ndarray) -> list[np.ndarray]:
    """World positions of at most MAX_LAMPS lamps that light the scene: on the tunnel ceiling or the nearest ones."""
    if snapshot.world.road_type == "tunnel":
        s = np.floor(snapshot.ego_s / 12) * 12 + np.arange(MAX_LAMPS) * 12 - 12
        return list(snapshot.world.road.at(s, _tunnel_middle(snapshot), 5.8))
    if snapshot.conditions.timeofday != "night":
        return []
    lamps = [x for x in snapshot.objects if x.key.asset_type == "street_lamp"]
    positions = [(x.world_from_object @ [0, 1.6, size(x.key)[2] - 0.3, 1])[:3] for x in lamps]
    return sorted(positions, key=lambda p: float(np.linalg.norm(p - camera_position)))[:MAX_LAMPS]


def _tunnel_middle(snapshot: Snapshot) -> float:
    left, right = snapshot.world.layout.paved
    return (left + right) / 2


def headlights(c: Conditions) -> float:
    """Power of the ego headlights: 1 at night, 0 when they are off."""
    return (1.0 if c.timeofday == "night" else 0.25) * float(c.lamps > 0.5)


def light_values(snapshot: Snapshot, camera_position: np.ndarray) -> dict[str, Any]:
    """Uniforms of common.glsl."""
    c, base = snapshot.conditions, snapshot.world_from_base
    positions = _lamp_positions(snapshot, camera_position)
    lamps = np.zeros((MAX_LAMPS, 4))
    for i, p in enumerate(positions):
        lamps[i] = (*p, 26.0 if snapshot.world.road_type != "tunnel" else 11.0)
    warm = np.array([1.0, 0.78, 0.5]) if snapshot.seed % 1 < 0.6 else np.array([0.9, 0.95, 1.0])
    tunnel = float(snapshot.world.road_type == "tunnel")
    return {
        "uCameraPosition": camera_position,
        "uSun": c.sun,
        "uSunColor": c.sun_color * (1 - tunnel),
        "uZenith": c.zenith * (1 - 0.85 * tunnel),
        "uHorizon": c.horizon * (1 - 0.8 * tunnel),
        "uGround": c.ground * (1 - 0.5 * tunnel),
        "uCloud": c.cloud,
        "uCloudColor": c.cloud_color,
        "uFogColor": c.fog_color,
        "uFog": c.fog,
        "uNight": c.night,
        "uWet": c.wetness,
        "uPuddles": c.puddles,
        "uSnow": c.snow,
        "uShadowOn": float(c.sun_color.sum() > 0.02),
        "uTunnel": tunnel,
        "uCloudOffset": (snapshot.seed * 0.37 % 1, snapshot.seed * 0.11 % 1),
        "uTunnelMiddle": _tunnel_middle(snapshot),
        "uLamps": lamps,
        "uLampCount": len(positions),
        "uLampColor": warm * (0.6 if snapshot.seed % 0.1 < 0.05 else 1.0),
        "uHeadPosition": (base @ [2.0, 0, 0.7, 1])[:3],
        "uHeadForward": base[:3, :3] @ [1.0, 0, 0],
        "uHead": headlights(c),
    }
