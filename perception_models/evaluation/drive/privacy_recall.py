"""Recall of `camera-perception anonymize`: how many heads and plates of a rendered drive it covers.

python -m perception_models.evaluation.drive.privacy_recall data/drive/front --model perception_models/zoo/demo
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from camera_perception.core.model_spec import load_spec
from camera_perception.engines.serving.fitting import load_fitting
from camera_perception.tools.privacy.anonymize import detect
from camera_perception.tools.privacy.detector import PrivacyDetector
from camera_perception.tools.privacy.regions import Region, Settings
from camera_perception.tools.privacy.temporal import plan_regions
from perception_models.data.files import read_image
from perception_models.evaluation.drive.ground_truth import Actor, Snapshot, read_drive

HEADS, PLATES = ("pedestrian", "rider"), ("car", "truck", "bus")
MIN_HEIGHT = {"head": 48.0, "plate": 60.0}  # box height in pixels; below, nobody can be recognised and no plate read
MIN_VISIBLE = 0.5
MIN_COVERED = 0.9  # fraction of the visible part of a head or plate


def main(
    drive: Annotated[Path, typer.Argument(help="Rendered drive of one camera, with its ground truth")],
    model: Annotated[Path, typer.Option(help="Model folder")] = Path("perception_models/zoo/demo"),
    engine: Annotated[str, typer.Option(help="Inference engine")] = "onnxruntime",
    least: Annotated[float, typer.Option(help="Minimum detection score, 0 to 1")] = 0.2,
) -> None:
    """Measure which fraction of all sufficiently large heads and plates is covered, and of all pixels."""
    spec, snapshots = load_spec(model), read_drive(drive)
    detector = PrivacyDetector(spec, load_fitting(spec, engine), least)
    detections = [
        detect(partial(_read, snapshot), snapshot.stamp_ns, detector)
        for snapshot in tqdm(snapshots, unit="image", disable=None)
    ]
    detector.close()
    regions = [each or () for each in plan_regions(detections, detector.names, Settings())]
    results = [pair for snapshot, each in zip(snapshots, regions) for pair in covered(snapshot, each)]
    for part in MIN_HEIGHT:
        hits = [hit for name, hit in results if name == part]
        typer.echo(f"{part}s covered: {sum(hits)} of {len(hits)}")
    fractions = [_covered_fraction(snapshot, each) for snapshot, each in zip(snapshots, regions)]
    typer.echo(f"pixels covered: {100 * np.mean(fractions):.1f} %")


def _read(snapshot: Snapshot) -> np.ndarray:
    assert snapshot.image is not None
    return read_image(snapshot.image)


def covered(snapshot: Snapshot, regions: Sequence[Region]) -> Iterator[tuple[str, bool]]:
    """("head" or "plate", is it covered?) of every actor that is large and visible enough."""
    for actor in snapshot.actors:
        part = "head" if actor.category in HEADS else "plate" if actor.category in PLATES else ""
        if not part or actor.visible < MIN_VISIBLE or actor.box[3] - actor.box[1] < MIN_HEIGHT[part]:
            continue
        pixels = visible_pixels(actor, snapshot)
        if len(pixels):
            yield part, bool(_inside(pixels, regions).mean() >= MIN_COVERED)


def visible_pixels(actor: Actor, snapshot: Snapshot) -> np.ndarray:
    """(N, 2) pixels of a person's head or a vehicle's plates inside the box of its visible part."""
    camera = snapshot.camera
    points = head_of(actor) if actor.category in HEADS else plates_of(actor, camera.pose[:3, 3])
    pixels = camera.pixels_from_base(points)
    with np.errstate(invalid="ignore"):
        return pixels[((pixels >= actor.box[:2]) & (pixels < actor.box[2:])).all(axis=1)]


def head_of(actor: Actor) -> np.ndarray:
    """(100, 3) points on the head of a person, base_link: a sphere in the upper 26 cm, above the feet."""
    directions = np.random.default_rng(0).normal(size=(100, 3))
    centre = actor.position + (0, 0, actor.size[2] - 0.13)
    return np.asarray(centre + 0.13 * directions / np.linalg.norm(directions, axis=1, keepdims=True))


def plates_of(actor: Actor, camera_position: np.ndarray) -> np.ndarray:
    """(N, 3) points on the front and rear plates that face the camera: 52 cm wide, 35 to 75 cm above the road."""
    along = np.array([np.cos(actor.yaw), np.sin(actor.yaw), 0])
    side, up = np.array([-along[1], along[0], 0]), np.array([0, 0, 1])
    ends = [sign * along * actor.size[0] / 2 for sign in (-1, 1)]
    points = [
        actor.position + end + across * side + height * up
        for end in ends
        for across in np.linspace(-0.26, 0.26, 9)
        for height in np.linspace(0.35, 0.75, 7)
        if (camera_position - actor.position - end) @ end > 0
    ]
    return np.array(points).reshape(-1, 3)


def _inside(pixels: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    """(N,) bool: pixels in any region."""
    boxes = np.array([(r.x0, r.y0, r.x1, r.y1) for r in regions], float).reshape(-1, 1, 4)
    return np.asarray(((pixels >= boxes[..., :2]) & (pixels < boxes[..., 2:])).all(axis=2).any(axis=0))


def _covered_fraction(snapshot: Snapshot, regions: Sequence[Region]) -> float:
    mask = np.zeros((snapshot.camera.height, snapshot.camera.width), bool)
    for region in regions:
        mask[region.y0 : region.y1, region.x0 : region.x1] = True
    return float(mask.mean())


if __name__ == "__main__":
    typer.run(main)
