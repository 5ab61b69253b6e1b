"""The mounting of a camera whose height alone is known, from the lane lines of the drive that is replayed."""

from __future__ import annotations

from itertools import islice

import numpy as np
from tqdm import tqdm

from camera_perception.core.errors import BadImage, CalibrationError
from camera_perception.core.model_spec import ModelSpec
from camera_perception.engines import Engine
from camera_perception.geometry.camera import Camera
from camera_perception.pipeline import Pipeline
from camera_perception.tools.calibration.calibrate import mounting
from camera_perception.tools.replay.source import Source

IMAGES = 300


def auto_mount(source: Source, spec: ModelSpec, engine: Engine, height: float) -> tuple[tuple[float, ...], str]:
    """x y z roll pitch yaw from up to IMAGES images of the source, and a sentence about how well it is known.

    height  of the camera above the road, metres; position and roll are taken as zero
    raises CalibrationError without a lens, or without enough straight lane lines
    """
    if source.calibration is None:
        raise CalibrationError(f"--mount auto,{height:g} needs the lens: give --calibration with a camera_info file")
    pipeline, pairs = Pipeline(spec, engine), []
    total = min(source.length, IMAGES) if source.length else IMAGES
    for arrival in tqdm(islice(source.arrivals, IMAGES), total=total, unit="img", desc="mounting", disable=None):
        try:
            frame = arrival.frame()
            lines = {line.position: line.points for line in pipeline.run(frame).lanes}
        except BadImage:
            continue
        _check_size(frame.image, source.calibration)
        if {-1, 1} <= lines.keys():
            pairs.append((lines[-1], lines[1]))
    pose, spread = mounting(pairs, source.calibration, (0.0, 0.0, height))
    pitch, yaw, pitch_std, yaw_std = (value * 57.29578 for value in (*pose[4:], *spread))
    angles = f"pitch {pitch:.2f} deg down (sd {pitch_std:.2f}), yaw {yaw:.2f} deg left (sd {yaw_std:.2f})"
    return pose, f"mounting from lane lines: {angles}; metres are approximate"


def _check_size(image: np.ndarray, lens: Camera) -> None:
    if image.shape[:2] != (lens.height, lens.width):
        found = f"images are {image.shape[1]}x{image.shape[0]}"
        raise CalibrationError(f"the calibration is for {lens.width}x{lens.height}, {found}: calibrate at their size")
