"""Recall of `camera-perception anonymize` on real people: how many heads it covers.

python -m perception_models.evaluation.real.privacy_recall --model models/mine --extra-model models/yolox --tiles

Real pictures have boxes of people, not of heads: the head is taken to be the upper eighth of the box, half as wide as
it, in the middle. CamVid's people are those that tiled YOLOX confirms (sets.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from camera_perception.core.text_table import text_table
from camera_perception.image.files import size_of_file
from camera_perception.tools.privacy.anonymize import detect
from camera_perception.tools.privacy.detector import Detector, open_detector
from camera_perception.tools.privacy.regions import Region, Settings
from camera_perception.tools.privacy.temporal import plan_regions
from perception_models.data.files import read_image
from perception_models.evaluation.real import teachers
from perception_models.evaluation.real.mistakes import MIN_COVERED, covered_fraction, heads_of, held_out
from perception_models.evaluation.real.output import Output
from perception_models.evaluation.real.rows import truth
from perception_models.evaluation.real.run import teacher_outputs
from perception_models.evaluation.real.sets import RealSet, evenly, read_sets

SETS = ("CamVid day", "CamVid dusk", "PandaSet front", "COCO people")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    model: Annotated[Path, typer.Option(help="Model folder")] = Path("perception_models/zoo/demo"),
    extra_model: Annotated[list[Path] | None, typer.Option(help="Further model folder; repeatable")] = None,
    in_tiles: Annotated[bool, typer.Option("--tiles", help="Also look at enlarged parts of each image")] = False,
    least: Annotated[float, typer.Option(help="Minimum detection score, 0 to 1")] = 0.2,
    data: Annotated[Path, typer.Option(help="Folder with labelled/, pictures/ and pandaset_002/")] = Path(
        "../shared/data"
    ),
    cache: Annotated[Path, typer.Option(help="Kept outputs of public networks")] = Path("out/realbench/cache"),
    most: Annotated[int, typer.Option(help="Maximum pictures with people per set, evenly spaced", min=1)] = 12,
    engine: Annotated[str, typer.Option(help="Inference engine")] = "onnxruntime",
) -> None:
    """Measure which fraction of the heads of real people is covered, and of all pixels."""
    sets = [held_out(each) for each in read_sets(data)[0] if each.name in SETS]
    confirmed = teacher_outputs([each for each in sets if each.components], data / "teachers", cache, [teachers.TILES])
    detector = open_detector([model, *(extra_model or [])], least, in_tiles=in_tiles, backend=engine, threads=1)
    found = [confirmed.get(teachers.TILES, {}).get(each.name) for each in sets]
    rows = [measure(each.name, evenly(people_of(each, outputs), most), detector) for each, outputs in zip(sets, found)]
    detector.close()
    typer.echo(text_table(("set", "heads", "covered", "recall", "pixels covered, %"), rows))


def people_of(each: RealSet, confirmed: Sequence[Output] | None) -> list[tuple[Path, list[np.ndarray]]]:
    """The pictures with people that are large enough, and the boxes of their heads.

    confirmed  outputs of tiled YOLOX on the pictures, which confirm CamVid's components
    """
    found = {} if confirmed is None else {teachers.TILES: confirmed}
    none = np.zeros((0, 4))
    pairs = [
        (picture.path, list(heads_of(truth(each, number, found)[0].get("person", none))))
        for number, picture in enumerate(each.pictures)
    ]
    return [pair for pair in pairs if pair[1]]


def measure(
    name: str, people: Sequence[tuple[Path, list[np.ndarray]]], detector: Detector
) -> tuple[str, int, int, float, float]:
    """Name of the set, heads, covered heads, their ratio, and the mean percentage of covered pixels."""
    hits, shares = [], []
    for path, heads in tqdm(people, desc=name, unit="picture", leave=False, disable=None):
        regions = covered_regions(path, detector)
        hits += [covered_fraction(head, regions) >= MIN_COVERED for head in heads]
        height, width = size_of_file(path)
        shares.append(100 * covered_fraction(np.array((0, 0, width, height)), regions))
    if not hits:
        return name, 0, 0, float("nan"), float("nan")
    return name, len(hits), sum(hits), float(np.mean(hits)), float(np.mean(shares))


def covered_regions(path: Path, detector: Detector) -> list[Region]:
    """What anonymize covers in a single picture."""
    detected = detect(lambda: read_image(path), 0, detector)
    return plan_regions([detected], detector.names, Settings(hold=0.0))[0] or []


if __name__ == "__main__":
    app()
