"""Tracks and ranges of the whole pipeline on PandaSet's front camera. The drive only measures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from camera_perception.core.model_spec import load_spec
from camera_perception.core.types import EgoMotion, Frame, Objects
from camera_perception.engines.serving.fitting import load_fitting
from camera_perception.geometry.camera import Camera
from camera_perception.pipeline import Pipeline
from perception_models.data.files import read_image, read_json
from perception_models.evaluation.drive.ground_truth import Actor, Snapshot, motion_between
from perception_models.evaluation.drive.tracking import track_logs, track_metrics
from perception_models.evaluation.real.sets import is_target, kind_of_pandaset

NEAR_ROAD = 7.0  # metres to either side: further away the lots are up to one metre above or below the road
CAMERA = "front"


def pandaset_drive(folder: Path, model: Path, engine: str) -> dict[str, float]:
    """HOTA and errors of range against the cuboids. Ranges are those of objects on the street only."""
    drive = read_pandaset(folder)
    tracks = _run(drive, model, engine)
    classes = load_spec(model).classes
    every, _ = track_logs(drive, lambda snapshot, motion: tracks[snapshot.stamp_ns], classes)
    street, _ = track_logs(map(on_the_street, drive), lambda snapshot, motion: tracks[snapshot.stamp_ns], classes)
    out = {f"street {name}": value for name, value in track_metrics(street).items()}
    return {**out, **track_metrics(every), "ranges": float(len(street.ranges))}


def _run(drive: list[Snapshot], model: Path, engine: str) -> dict[int, Objects]:
    spec = load_spec(model)
    loaded = load_fitting(spec, engine)
    pipeline, out, last = Pipeline(spec, loaded, drive[0].camera), {}, None
    for snapshot in tqdm(drive, desc="PandaSet drive", unit="frame", disable=None):
        assert snapshot.image is not None
        motion: EgoMotion | None = motion_between(last, snapshot) if last else None
        out[snapshot.stamp_ns] = pipeline.run(Frame(read_image(snapshot.image), snapshot.stamp_ns), motion).objects
        last = snapshot
    loaded.close()
    return out


def on_the_street(snapshot: Snapshot) -> Snapshot:
    """The snapshot with objects beside the street hidden: neither targets nor errors."""
    beside = [replace(a, visible=0.0) if abs(a.position[1]) >= NEAR_ROAD else a for a in snapshot.actors]
    return replace(snapshot, actors=beside)


def read_pandaset(folder: Path) -> list[Snapshot]:
    """One snapshot per frame of the front camera."""
    calibration = read_json(folder / "calibration.json")["cameras"][CAMERA]
    ego = read_json(folder / "ego.json")["cameras"][CAMERA]
    pose = np.array(calibration["T_base_link_camera_optical"], float)
    k = np.ravel(calibration["K"]).tolist()
    camera = Camera.from_camera_info(calibration["width"], calibration["height"], k, base_from_camera=pose)
    frames = read_json(folder / "objects.json")["frames"]
    return [_snapshot(folder, frame, ego[frame["frame"]], camera) for frame in frames]


def _snapshot(folder: Path, frame: dict[str, Any], ego: dict[str, Any], camera: Camera) -> Snapshot:
    actors = [_actor(each, each["cameras"][CAMERA]) for each in frame["objects"] if CAMERA in each["cameras"]]
    stamp_ns = round(ego["stamp"] * 1e9)
    world = np.array(ego["T_world_base_link"], float)
    image = folder / f"images/{CAMERA}/{frame['frame']:02d}.jpg"
    return Snapshot(stamp_ns, camera, actors, [], world, image, "pandaset")


def _actor(each: dict[str, Any], view: dict[str, Any]) -> Actor:
    """An object as the camera sees it; what need not be found is hidden."""
    target = is_target(view) and bool(kind_of_pandaset(each))
    box = np.array(view["box2d_lidar" if target else "box2d_cuboid"], float)
    size, position = np.array(each["size"], float), np.array(view["position"], float)
    position[2] -= size[2] / 2
    velocity = np.array(each["velocity"][:2], float)
    category = each["class"] or "car"  # without class: cones and construction vehicles, hidden here
    return Actor(each["id"], category, position, view["yaw"], size, velocity, float(target), box)
