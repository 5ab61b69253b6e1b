"""Light and weather of a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from driving_scenes.base.frequencies import DAYTIMES, WEATHERS

CLOUD_COVER = {"clear": 0.0, "partly cloudy": 0.25, "overcast": 0.97, "rainy": 0.97, "foggy": 0.92, "snowy": 0.92}


@dataclass(frozen=True, slots=True)
class Conditions:
    """Weather, time of day and light. Radiances are (3,) linear RGB; a white wall in full sun is about 1."""

    weather: str
    timeofday: str
    sun: np.ndarray  # (3,) unit vector towards the sun
    sun_color: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    ground: np.ndarray
    cloud: float  # 0..1 cover
    cloud_color: np.ndarray
    fog_color: np.ndarray
    fog: float  # density per metre
    wetness: float  # 0 dry .. 1 wet road
    puddles: float  # 0..1 fraction of the road under water
    snow: float  # 0..1 cover
    night: float  # 0 or 1 (1: lamps and headlights are on)
    lamps: float  # fraction of cars with lights on


def random_conditions(rng: np.random.Generator, tunnel: bool = False) -> Conditions:
    """Draw weather, time of day and matching light; in a tunnel the lamps are on by day."""
    weather = str(rng.choice(list(WEATHERS), p=list(WEATHERS.values())))
    timeofday = str(rng.choice(list(DAYTIMES), p=list(DAYTIMES.values())))
    if tunnel:
        weather, timeofday = "clear", "daytime"
    night, dusk = timeofday == "night", timeofday == "dawn/dusk"
    elevation = np.radians(rng.uniform(1, 8) if dusk else rng.uniform(14, 75))
    azimuth = rng.normal(0, 0.4) if rng.random() < (0.35 if dusk else 0.1) else rng.uniform(0, 2 * np.pi)  # 0 is ahead
    sun = np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])
    covered = CLOUD_COVER[weather]
    zenith, horizon, warm = (_dusk if dusk else _day)(rng, covered)
    strength = (min(0.35, 1.2 * float(zenith.max())) if dusk else 1.0) * (1 - covered) * rng.uniform(0.8, 1.2)
    sun_color, ground, cloud_color = warm * strength, horizon * 0.28, horizon * rng.uniform(0.9, 1.25)
    cloud = {"clear": rng.uniform(0, 0.25), "partly cloudy": rng.uniform(0.4, 0.7)}.get(weather, rng.uniform(0.0, 1.0))
    if night:
        skyglow = rng.uniform(0.004, 0.03) * np.array([1.0, 0.85, 0.7])
        zenith, horizon, ground = skyglow * np.array([0.25, 0.3, 0.45]), skyglow, skyglow * 0.3
        sun_color, cloud_color = np.zeros(3), skyglow * 1.2
    fog = {"foggy": rng.uniform(0.008, 0.035), "rainy": rng.uniform(0.0008, 0.006), "snowy": rng.uniform(0.001, 0.008)}
    haze = fog.get(weather, rng.uniform(0.00005, 0.0009))
    wet = rng.uniform(0.5, 1.0) if weather == "rainy" else (rng.uniform(0.2, 0.9) if rng.random() < 0.18 else 0.0)
    wet, puddles = (0.0, 0.0) if tunnel else (wet, wet * rng.uniform(0, 0.6))
    snow = rng.uniform(0.3, 1.0) if weather == "snowy" and not tunnel else 0.0
    dark = night or dusk or weather in ("rainy", "foggy", "snowy") or tunnel
    return Conditions(
        weather,
        timeofday,
        sun,
        sun_color,
        zenith,
        horizon,
        ground,
        float(cloud),
        cloud_color,
        horizon * rng.uniform(0.85, 1.05),
        haze,
        wet,
        puddles,
        snow,
        float(night or tunnel),
        rng.uniform(0.85, 1.0) if night else float(rng.uniform(0.1, 1.0) if dark else rng.uniform(0, 0.3)),
    )


def _day(rng: np.random.Generator, covered: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radiance of zenith, horizon and sun."""
    blue = np.array([0.12, 0.27, 0.60]) * rng.uniform(0.7, 1.5) * rng.uniform(0.85, 1.15, 3)
    pale = np.array([0.50, 0.62, 0.80]) * rng.uniform(0.75, 1.25)
    grey = np.array([0.66, 0.70, 0.74]) * rng.uniform(0.5, 1.6) * rng.uniform(0.95, 1.05, 3)  # up to glaring white
    return (
        _mix(blue, grey, covered),
        _mix(pale, grey * 1.05, covered),
        np.array([1.0, 0.93, 0.82]) * rng.uniform(0.95, 1.1, 3),
    )


def _dusk(rng: np.random.Generator, covered: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dim = np.exp(rng.uniform(np.log(0.04), np.log(0.6)))
    zenith = np.array([0.12, 0.18, 0.36]) * dim
    afterglow = np.array([0.75, 0.45 * rng.uniform(0.8, 1.3), 0.28 * rng.uniform(0.6, 1.8)]) * dim
    grey = np.array([0.30, 0.32, 0.38]) * dim
    return _mix(zenith, grey, covered), _mix(afterglow, grey, covered), np.array([1.0, 0.6, 0.3])


def _mix(a: np.ndarray, b: np.ndarray, k: float) -> np.ndarray:
    return a * (1 - k) + b * k
