"""A drive: the car and the traffic move, every camera of a rig sees it, tracks keep their ids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from driving_scenes.base.camera import Camera
from driving_scenes.output.dataset import gather, is_done, write_shot
from driving_scenes.output.shot import shoot
from driving_scenes.renderer.camera_effects import Lens, random_lens
from driving_scenes.scene.drive import Drive, random_drive
from driving_scenes.scene.world import build_world


def drive(
    seed: int, seconds: float, kind: str | None = None, weather: str | None = None, timeofday: str | None = None
) -> Drive:
    """A drive of a seed through a world long enough for it; weather and time of day can be asked for."""
    ahead = 260.0 + 35.0 * seconds
    world = build_world((seed, 0), kind, ahead)
    for attempt in range(400):
        found = random_drive(np.random.default_rng([seed, attempt, 2]), world, 0.0, seconds)
        light = found.conditions
        if weather in (None, light.weather) and timeofday in (None, light.timeofday):
            return found
    raise ValueError(
        f"no drive with weather {weather!r} at {timeofday!r}: see WEATHER and DAYTIME in conditions.py for the names"
    )


def make_sequence(
    folder: Path, found: Drive, cameras: list[Camera], seconds: float, rate: float, seed: int, name: str
) -> None:
    """One labelled folder per camera below `folder`; frames `rate` times a second, stamps from 0."""
    lens = _fair(random_lens(np.random.default_rng([seed, 3]), found.conditions))
    for i in tqdm(range(round(seconds * rate)), unit="frame"):
        snapshot = found.snapshot(i / rate)
        for number, camera in enumerate(cameras):
            place, frame = folder / camera.name, f"{name}_{i:06d}"
            if not is_done(place, frame):
                rng = np.random.default_rng([seed, i, number, 4])
                write_shot(place, frame, shoot(snapshot, camera, lens, rng), name, round(i * 1e9 / rate))
    for camera in cameras:
        gather(folder / camera.name)


def _fair(lens: Lens) -> Lens:
    """The same lens without the faults that would flicker from frame to frame."""
    return replace(lens, dirt=0.0, drops=0, motion=0.0, exposure=float(np.clip(lens.exposure, -0.3, 0.3)), quality=92)
