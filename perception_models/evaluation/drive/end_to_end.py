"""Accuracy of the whole pipeline on rendered images: tracks, ranges, velocities and lanes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.types import EgoLane, EgoMotion, Frame, LaneLine, Objects
from camera_perception.engines.serving.fitting import load_fitting
from camera_perception.geometry.camera import Camera
from camera_perception.pipeline import Pipeline
from perception_models.data.files import read_image
from perception_models.evaluation.drive.ground_truth import Snapshot
from perception_models.evaluation.drive.lanes import LaneLog, lane_log, lane_metrics
from perception_models.evaluation.drive.tracking import KITTI_HEIGHT, TrackLog, metrics_by_part, track_logs


def network_metrics(drives: list[list[Snapshot]], model: Path, engine: str) -> dict[str, dict[str, float]]:
    """Metrics of objects and lanes over all drives, each with a new pipeline."""
    spec = load_spec(model)
    loaded = load_fitting(spec, engine)
    totals, lanes = (TrackLog(), TrackLog(KITTI_HEIGHT)), LaneLog()
    for number, drive in enumerate(drives):
        logs, drive_lanes = _run(drive, Pipeline(spec, loaded), spec)
        for total, log in zip(totals, logs):
            _append(total, log, 1_000_000_000 * (number + 1))
        lanes.add(drive_lanes)
    loaded.close()
    return {**metrics_by_part("network", totals), "network lanes": lane_metrics(lanes)}


def _append(total: TrackLog, log: TrackLog, shift: int) -> None:
    """Ids are shifted, because the same id in two drives means two objects."""
    total.true_ids += [ids + shift for ids in log.true_ids]
    total.track_ids += [ids + shift for ids in log.track_ids]
    total.overlaps += log.overlaps
    total.ranges += log.ranges
    total.velocities += log.velocities
    total.seconds += log.seconds


def _run(drive: list[Snapshot], pipeline: Pipeline, spec: ModelSpec) -> tuple[tuple[TrackLog, TrackLog], LaneLog]:
    lanes: list[tuple[tuple[LaneLine, ...], EgoLane | None]] = []

    def track(snapshot: Snapshot, motion: EgoMotion | None) -> Objects:
        assert snapshot.image is not None
        pipeline.camera = _same(pipeline.camera, snapshot)
        perception = pipeline.run(Frame(read_image(snapshot.image), snapshot.stamp_ns), motion)
        lanes.append((perception.lanes, perception.ego_lane))
        return perception.objects

    logs = track_logs(tqdm(drive, unit="frame", disable=None), track, spec.classes)
    detected = iter(lanes)
    return logs, lane_log(drive, lambda snapshot: next(detected))


def _same(camera: Camera | None, snapshot: Snapshot) -> Camera:
    """The previous camera while its pose is unchanged: a new object would count as a new calibration."""
    same = camera is not None and np.array_equal(camera.pose, snapshot.camera.pose)
    return camera if camera is not None and same else snapshot.camera
