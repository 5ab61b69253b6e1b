"""perception-models realbench: one table of a model on all real pictures at hand, beside public networks."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from camera_perception.decode.scores import minimum_scores
from camera_perception.tools.bench.metadata import machine, model_metadata
from camera_perception.tools.bench.report import Table, origin, put_into, without_nan
from perception_models.data.files import DataError, read_image
from perception_models.data.readers.traffic_lights import LightCrops
from perception_models.evaluation.metrics.lights import record_crop, summarise
from perception_models.evaluation.model import MIN_SCORES, Predictor, open_model
from perception_models.evaluation.real import teachers
from perception_models.evaluation.real.mistakes import mistake_rows
from perception_models.evaluation.real.output import Network, Output, from_observations
from perception_models.evaluation.real.pandaset import pandaset_drive
from perception_models.evaluation.real.rows import MODEL, Row, as_json, table_rows
from perception_models.evaluation.real.sets import MOST, RealSet, read_sets
from perception_models.evaluation.real.sheets import write_sheets

COLUMNS = (MODEL, teachers.TILES, teachers.WHOLE, teachers.VEHICLES, teachers.ROAD)
CROPS, PANDASET = "labelled/traffic_light_crops", "pandaset_002"
MOST_CROPS = 120
MARK = "real pictures"
MAPS = (teachers.ROAD,)  # of the public networks: those without objects
NOTE = (
    "Column 'model' is the model under test; the others are public networks, with a dash for what one does not "
    "do. Objects are matched at IoU 0.5, traffic lights at 0.3. The own threshold is that of model.json; public "
    "networks use 0.4. Heights are pixels of the picture as it is stored. CamVid's objects are the components of "
    "its label map that tiled YOLOX confirms, so tiled YOLOX has no figure there and plain YOLOX is flattered. "
    "Models may be trained on the COCO, Open Images, highway and drive.ai pictures and on the other folds of the "
    "light crops; on CamVid and PandaSet none may."
)


@dataclass(frozen=True)
class Report:
    """rows, and what was skipped as one sentence each."""

    rows: list[Row]
    skipped: list[str]
    table: Table
    sheets: list[Path]


def realbench(
    model: Path, data: Path, out: Path, teacher_folder: Path, most: int = MOST, engine: str = "onnxruntime"
) -> Report:
    """Measure a model folder or checkpoint; write metrics.json, table.md and sheets into `out`.

    data            ../shared/data or a folder like it; what it lacks is skipped
    teacher_folder  public networks; their outputs are kept under out/cache
    most            pictures per set, evenly spaced
    """
    sets, missing = read_sets(data, most)
    if not sets:
        raise DataError(f"{data}: holds none of the sets; give the folder that holds labelled/ and pandaset_002/")
    skipped = [f"skipped {name}: not in {data}" for name in missing]
    outputs = teacher_outputs(sets, teacher_folder, out / "cache")
    skipped += [
        f"skipped {name}: no {teachers.FILES[name]} in {teacher_folder}" for name in COLUMNS[1:] if name not in outputs
    ]
    metadata = machine()
    with open_model(model, engine, {"objects": MIN_SCORES["objects"]}) as opened:
        network = model_network(opened)
        outputs = {MODEL: {each.name: run_set(network, each, "model") for each in sets}, **outputs}
        rows = table_rows(sets, outputs) + mistake_rows(sets, outputs) + crop_rows(opened, data / CROPS)
        metadata["model"] = model_metadata(opened.spec)
    rows += drive_rows(data / PANDASET, model, engine)
    sheets = [path for each in sets for path in _sheets(out, each, outputs)]
    table = Table("Real pictures", ("measure", "set", "of", *COLUMNS), [_cells(row) for row in rows], NOTE)
    _write(out, rows, skipped, table, metadata, f"perception-models realbench --model {model}")
    return Report(rows, skipped, table, sheets)


def model_network(predict: Predictor) -> Network:
    """The model under test as a function from a picture to an Output."""
    head = predict.spec.head("objects")
    least = minimum_scores(head, head.threshold) if head else np.zeros(0, np.float32)
    return lambda image: from_observations(predict(image), predict.spec.classes, least)


def run_set(network: Network, each: RealSet, title: str) -> list[Output]:
    """One output per picture, with a progress bar."""
    bar = tqdm(each.pictures, desc=f"{title}: {each.name}", unit="picture", leave=False, disable=None)
    return [network(read_image(picture.path)) for picture in bar]


def teacher_outputs(
    sets: Sequence[RealSet], folder: Path, cache: Path, columns: Collection[str] = COLUMNS[1:]
) -> dict[str, dict[str, list[Output]]]:
    """Outputs of the public networks, by column and set; each is computed once and kept."""
    out: dict[str, dict[str, list[Output]]] = {}
    for column, network in teachers.load_teachers(folder, columns).items():
        kept = cache / teachers.cache_key(folder, column)
        chosen = [each for each in sets if needed(column, each)]
        out[column] = {each.name: _run_cached(network, each, column, kept / each.name) for each in chosen}
    return out


def needed(column: str, each: RealSet) -> bool:
    """Whether a public network has something to say on a set."""
    if column in MAPS:
        return bool(each.road_lines or each.hood or any(picture.road for picture in each.pictures))
    marks_lights = each.lights and column == teachers.TILES
    return marks_lights or any(picture.targets for picture in each.pictures)


def _run_cached(network: Network, each: RealSet, title: str, folder: Path) -> list[Output]:
    out = []
    for picture in tqdm(each.pictures, desc=f"{title}: {each.name}", unit="picture", leave=False, disable=None):
        file = folder / f"{picture.name}.npz"
        if not file.is_file():
            network(read_image(picture.path)).save(file)
        out.append(Output.load(file))
    return out


def crop_rows(opened: Predictor, folder: Path) -> list[Row]:
    """State of single real lights of the fold that is held out of training."""
    states, light = opened.spec.light_states, opened.spec.light_class
    if not folder.is_dir() or not states:
        return []
    crops = LightCrops(folder, fold="val")
    count = min(len(crops), MOST_CROPS)
    samples = [
        crops[i * len(crops) // count] for i in tqdm(range(count), desc="model: light crops", leave=False, disable=None)
    ]
    pairs = [(opened(sample.image).detections, sample.boxes) for sample in samples]
    records = [record_crop(seen, int(boxes.light_states[0]), states, light) for seen, boxes in pairs if boxes]
    right = summarise(records)["recall"]
    return [Row("state of single traffic lights right", "light crops, held out", f"{count} pictures", {MODEL: right})]


def drive_rows(folder: Path, model: Path, engine: str) -> list[Row]:
    """Tracks and ranges of the pipeline on PandaSet; only for model folders."""
    if not folder.is_dir() or not (model / "model.json").is_file():
        return []
    figures = pandaset_drive(folder, model, engine)
    ranges, seconds = f"{figures['ranges']:.0f} ranges", f"{figures['object_seconds']:.0f} object-seconds"
    chosen = (
        ("range to 40 m on the street, median error in %", ranges, "street range_error_median_percent"),
        ("ranges inside one sigma, %", ranges, "street range_inside_1_sigma_percent"),
        ("HOTA", seconds, "hota"),
        ("id switches per 100 object-seconds", seconds, "id_switches_per_100_object_seconds"),
    )
    return [Row(title, "PandaSet front, drive", count, {MODEL: figures[name]}) for title, count, name in chosen]


def _sheets(out: Path, each: RealSet, outputs: dict[str, dict[str, list[Output]]]) -> list[Path]:
    found = {column: by_set[each.name] for column, by_set in outputs.items() if each.name in by_set}
    return write_sheets(out / "sheets", each, found)


def _cells(row: Row) -> list[str | float]:
    return [row.measure, row.set, row.count, *(row.values.get(column, math.nan) for column in COLUMNS)]


def _write(
    out: Path, rows: list[Row], skipped: list[str], table: Table, metadata: dict[str, Any], command: str
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    values = {"metadata": metadata, "skipped": skipped, "rows": as_json(rows)}
    (out / "metrics.json").write_text(json.dumps(without_nan(values), indent=1), "utf-8")
    parts = [origin(metadata, command), table.note, "\n".join(table.markdown().splitlines()[4:]), *skipped]
    (out / "table.md").write_text("\n\n".join(parts) + "\n", "utf-8")


def publish(out: Path, page: Path) -> None:
    """Replace the text between the marks of a page by the table that a run wrote."""
    put_into(page, (out / "table.md").read_text("utf-8"), MARK)
