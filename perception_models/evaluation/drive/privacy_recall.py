"""How many heads and plates of a rendered drive `camera-perception anonymize` covers with a model: against exact truth.

python -m perception_models.evaluation.drive.privacy_recall data/drive/front --model perception_models/zoo/demo
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from tqdm import tqdm

from camera_perception.core.model_spec import load_spec
from camera_perception.engines.select import load_engine
from camera_perception.tools.privacy.anonymize import detect
from camera_perception.tools.privacy.detector import PrivacyDetector
from camera_perception.tools.privacy.regions import Region, Settings
from camera_perception.tools.privacy.temporal import plan_regions
from perception_models.evaluation.drive.ground_truth import SceneObject, Snapshot, read_drive

HEADS, PLATES = ("pedestrian", "rider"), ("car", "truck", "bus")
LEAST = {"head": 48.0, "plate": 60.0}  # pixels of a box's height: below nobody and nothing can be told
VISIBLE = 0.5
ENOUGH = 0.9  # share of what is seen of a head or plate


def head_of(thing: SceneObject) -> np.ndarray:
    """(100, 3) points on the head of a person, base_link: the upper 26 cm, above the middle of the feet."""
    directions = np.random.default_rng(0).normal(size=(100, 3))
    middle = thing.position + (0, 0, thing.size[2] - 0.13)
    return middle + 0.13 * directions / np.linalg.norm(directions, axis=1, keepdims=True)


def plates_of(thing: SceneObject, eye: np.ndarray) -> np.ndarray:
    """(N, 3) points on the plates at front and back that face the eye: 52 cm wide, 35 to 75 cm above the road."""
    along = np.array([np.cos(thing.yaw), np.sin(thing.yaw), 0])
    side, up = np.array([-along[1], along[0], 0]), np.array([0, 0, 1])
    ends = [sign * along * thing.size[0] / 2 for sign in (-1, 1)]
    points = [
        thing.position + end + across * side + height * up
        for end in ends
        for across in np.linspace(-0.26, 0.26, 9)
        for height in np.linspace(0.35, 0.75, 7)
        if (eye - thing.position - end) @ end > 0
    ]
    return np.array(points).reshape(-1, 3)


def seen_of(thing: SceneObject, snapshot: Snapshot) -> np.ndarray:
    """(N, 2) pixels of a person's head or a vehicle's plates, as far as its box shows them."""
    points = head_of(thing) if thing.category in HEADS else plates_of(thing, snapshot.camera.pose[:3, 3])
    pixels = snapshot.camera.pixels_from_base(points)
    with np.errstate(invalid="ignore"):
        return pixels[((pixels >= thing.box[:2]) & (pixels < thing.box[2:])).all(axis=1)]


def covered(snapshot: Snapshot, regions: Sequence[Region]) -> Iterator[tuple[str, bool]]:
    """("head" or "plate", is it covered?) of everything large and visible enough."""
    for thing in snapshot.things:
        kind = "head" if thing.category in HEADS else "plate" if thing.category in PLATES else ""
        if not kind or thing.visible < VISIBLE or thing.box[3] - thing.box[1] < LEAST[kind]:
            continue
        pixels = seen_of(thing, snapshot)
        if len(pixels):
            yield kind, bool(_inside(pixels, regions).mean() >= ENOUGH)


def _inside(pixels: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
    boxes = np.array([(r.x0, r.y0, r.x1, r.y1) for r in regions], float).reshape(-1, 1, 4)
    return ((pixels >= boxes[..., :2]) & (pixels < boxes[..., 2:])).all(axis=2).any(axis=0)


def main(
    drive: Annotated[Path, typer.Argument(help="rendered drive of one camera, with its truth")],
    model: Annotated[Path, typer.Option(help="model folder")] = Path("perception_models/zoo/demo"),
    engine: Annotated[str, typer.Option(help="engine that runs it")] = "onnxruntime",
    least: Annotated[float, typer.Option(help="score from which on something is covered")] = 0.2,
) -> None:
    """Heads and plates that are covered, of all that are large enough, and the share of pixels that is covered."""
    spec, snapshots = load_spec(model), read_drive(drive)
    finder = PrivacyDetector(spec, load_engine(spec, engine), least)
    looks = [detect(lambda m=m: cv2.imread(str(m.image)), m.stamp_ns, finder) for m in tqdm(snapshots, unit="image")]
    finder.close()
    steps = plan_regions(looks, finder.names, Settings())
    found = [pair for snapshot, regions in zip(snapshots, steps) for pair in covered(snapshot, regions or ())]
    for kind in LEAST:
        right = [good for name, good in found if name == kind]
        typer.echo(f"{kind}s covered: {sum(right)} of {len(right)}")
    typer.echo(f"pixels covered: {100 * np.mean([_share(m, r or ()) for m, r in zip(snapshots, steps)]):.1f} %")


def _share(snapshot: Snapshot, regions: Sequence[Region]) -> float:
    mask = np.zeros((snapshot.camera.height, snapshot.camera.width), bool)
    for region in regions:
        mask[region.y0 : region.y1, region.x0 : region.x1] = True
    return float(mask.mean())


if __name__ == "__main__":
    typer.run(main)
