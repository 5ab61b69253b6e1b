"""Sun, sky, street lamps and headlights as values for the shaders."""

from __future__ import annotations

import numpy as np

from driving_scenes.scene.asset_pool import size
from driving_scenes.scene.drive import Snapshot
from driving_scenes.scene.object import SceneObject


def lights_on(thing: SceneObject, snapshot: Snapshot) -> float:
    """Whether a vehicle drives with its lamps on: parked cars do not."""
    if thing.key.kind == "street_lamp":
        return float(snapshot.conditions.timeofday == "night" and snapshot.conditions.lamps > 0.5)
    moving = thing.velocity != (0.0, 0.0) or thing.brake > 0
    return float(moving and (thing.track * 0.618) % 1.0 < snapshot.conditions.lamps)


def light_values(snapshot: Snapshot, eye: np.ndarray) -> dict:
    """Uniforms of common.glsl."""
    c, base = snapshot.conditions, snapshot.world_from_base
    lamps = np.zeros((12, 4))
    on = [t for t in snapshot.things if t.key.kind == "street_lamp"] if c.timeofday == "night" else []
    at = [(t.world_from_object @ [0, 1.6, size(t.key)[2] - 0.3, 1])[:3] for t in on]
    at = sorted(at, key=lambda p: float(np.linalg.norm(p - eye)))[:12]
    if snapshot.world.kind == "tunnel":
        road, s = snapshot.world.road, np.floor(snapshot.ego_s / 12) * 12 + np.arange(12) * 12 - 12
        at = list(road.at(s, (snapshot.world.layout.paved[0] + snapshot.world.layout.paved[1]) / 2, 5.8))
    for i, p in enumerate(at):
        lamps[i] = (*p, 26.0 if snapshot.world.kind != "tunnel" else 11.0)
    warm = np.array([1.0, 0.78, 0.5]) if snapshot.seed % 1 < 0.6 else np.array([0.9, 0.95, 1.0])
    tunnel = float(snapshot.world.kind == "tunnel")
    return {
        "uEye": eye,
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
        "uTunnelMiddle": (snapshot.world.layout.paved[0] + snapshot.world.layout.paved[1]) / 2,
        "uLamps": lamps,
        "uLampCount": len(at),
        "uLampColor": warm * (0.6 if snapshot.seed % 0.1 < 0.05 else 1.0),
        "uHeadPosition": (base @ [2.0, 0, 0.7, 1])[:3],
        "uHeadForward": base[:3, :3] @ [1.0, 0, 0],
        "uHead": (1.0 if c.timeofday == "night" else 0.25) * float(c.lamps > 0.5),
    }
