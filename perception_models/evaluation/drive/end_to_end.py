"""The network in the loop: pictures in, figures of tracks, ranges, velocities and lanes out."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.types import EgoLane, EgoMotion, Frame, LaneLine, Objects
from camera_perception.engines.select import load_engine
from camera_perception.pipeline import Pipeline
from perception_models.evaluation.drive.ground_truth import Snapshot
from perception_models.evaluation.drive.lanes import LaneLog, lane_figures, lane_log
from perception_models.evaluation.drive.tracking import KITTI_HEIGHT, Log, parts_of, track_logs


def network_figures(drives: list[list[Snapshot]], model: Path, engine: str) -> dict[str, dict[str, float]]:
    """Figures of objects and lanes over all drives, each with a fresh pipeline."""
    spec = load_spec(model)
    running = load_engine(spec, engine)
    tracks, lanes = (Log(), Log(KITTI_HEIGHT)), LaneLog()
    for number, drive in enumerate(drives):
        logs, lane = _run(drive, Pipeline(spec, running), spec)
        for total, log in zip(tracks, logs):
            _append(total, log, 1_000_000_000 * (number + 1))
        for name in ("lateral", "heading", "offset", "roles"):
            getattr(lanes, name).extend(getattr(lane, name))
        lanes.missing, lanes.frames = lanes.missing + lane.missing, lanes.frames + lane.frames
    running.close()
    return {**parts_of("network", tracks), "network lanes": lane_figures(lanes)}


def _append(total: Log, log: Log, shift: int) -> None:
    """Ids of different drives are different objects."""
    total.true_ids += [ids + shift for ids in log.true_ids]
    total.found_ids += [ids + shift for ids in log.found_ids]
    total.overlaps += log.overlaps
    total.ranges += log.ranges
    total.speeds += log.speeds
    total.seconds += log.seconds


def _run(drive: list[Snapshot], pipeline: Pipeline, spec: ModelSpec) -> tuple[tuple[Log, Log], LaneLog]:
    lanes: list[tuple[tuple[LaneLine, ...], EgoLane | None]] = []

    def follow(snapshot: Snapshot, motion: EgoMotion | None) -> Objects:
        pipeline.camera = _same(pipeline.camera, snapshot)
        image = cv2.imread(str(snapshot.image), cv2.IMREAD_COLOR)
        perception = pipeline.run(Frame(image, snapshot.stamp_ns), motion)
        lanes.append((perception.lanes, perception.ego_lane))
        return perception.objects

    logs = track_logs(tqdm(drive, unit="frame"), follow, spec.classes)
    seen = iter(lanes)
    return logs, lane_log(drive, lambda snapshot: next(seen))


def _same(camera, snapshot: Snapshot):
    """The camera of before while nothing about it changed: a new one would be a new calibration."""
    same = camera is not None and np.array_equal(camera.pose, snapshot.camera.pose)
    return camera if same else snapshot.camera
