"""Render a drive: ego car and traffic move, every camera of a rig is rendered, track ids are constant."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from driving_scenes.base.camera import Camera
from driving_scenes.output.dataset import is_done, merge_records, write_shot
from driving_scenes.output.shot import shoot
from driving_scenes.renderer.camera_effects import Lens, random_lens
from driving_scenes.scene.drive import Drive, random_drive
from driving_scenes.scene.world import build_world

ATTEMPTS = 400


def drive(
    seed: int, seconds: float, kind: str | None = None, weather: str | None = None, timeofday: str | None = None
) -> Drive:
    """The drive of a seed through a world long enough for it, on a given road type, weather and time of day.

    Raises ValueError if no drive has that weather at that time.
    """
    ahead = 260.0 + 35.0 * seconds
    world = build_world((seed, 0), kind, ahead)
    for attempt in range(ATTEMPTS):
        found = random_drive(np.random.default_rng([seed, attempt, 2]), world, 0.0, seconds)
        light = found.conditions
        if weather in (None, light.weather) and timeofday in (None, light.timeofday):
            return found
    raise ValueError(
        f"no drive with weather {weather!r} and time of day {timeofday!r} on a {world.road_type} road: ask for others "
        "(tunnels have neither)"
    )


def make_sequence(
    folder: Path, found: Drive, cameras: list[Camera], seconds: float, rate: float, seed: int, name: str
) -> None:
    """Write one labelled folder per camera below `folder`: `rate` frames per second, stamps from 0."""
    lens = _steady(random_lens(np.random.default_rng([seed, 3]), found.conditions))
    for i in tqdm(range(round(seconds * rate)), unit="frame", disable=None):
        snapshot = found.snapshot(i / rate)
        for number, camera in enumerate(cameras):
            target, frame = folder / camera.name, f"{name}_{i:06d}"
            if not is_done(target, frame):
                rng = np.random.default_rng([seed, i, number, 4])
                write_shot(target, frame, shoot(snapshot, camera, lens, rng), name, round(i * 1e9 / rate))
    for camera in cameras:
        merge_records(folder / camera.name)


def _steady(lens: Lens) -> Lens:
    """The same lens without the faults that would flicker from frame to frame."""
    exposure = float(np.clip(lens.exposure, -0.3, 0.3))
    return replace(lens, dirt=0.0, drops=0, reflection=0.0, motion=0.0, exposure=exposure, quality=92)
