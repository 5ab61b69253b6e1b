"""perception-models failures: the worst real pictures that their licences allow to show, for the card of a model.

Pictures of COCO and Open Images that are held out of training, and the drive of drive.ai. Heads and number plates are
covered: those of labelled objects and of all that the model, tiled YOLOX-nano and OpenCV's face cascades report. That
hides most, not all: look at every picture before it is published.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from camera_perception.image.files import size_of_file
from camera_perception.tools.privacy.detector import CASCADES, cascade, detect_faces
from camera_perception.tools.privacy.regions import Region, Settings, region_of
from perception_models.data.curation.sources import open_source
from perception_models.data.files import DataError, read_image
from perception_models.evaluation.model import MIN_SCORES, open_model
from perception_models.evaluation.real import metrics, teachers
from perception_models.evaluation.real.metrics import REPORTED
from perception_models.evaluation.real.output import Network, Output
from perception_models.evaluation.real.rows import MODEL, WET, truth
from perception_models.evaluation.real.run import model_network, run_set
from perception_models.evaluation.real.sets import MOST, READERS, RealSet
from perception_models.evaluation.real.sheets import LEAST_HEIGHT, draw, penalty

HELD_OUT = {"COCO people": "7", "Open Images vehicles": "f", "Open Images dark": "f", "drive.ai": ""}  # ends of names
SHOWN = 10
WIDTH, QUALITY = 480, 80  # of the JPEG files: faces that escaped are a few pixels wide
COVERED = 0.1  # least score of an object that is covered
UPRIGHT = 0.8  # height by width of a person's box, below which the head may be anywhere in it
CELLS = {"head": 4, "plate": 20}  # of the mosaic along the width of a region: no face and no letter survives
LEAST_CELL = 5  # pixels
MOST_PEOPLE, MOST_HEIGHT = 6, 0.65  # of the picture's height: crowds and portraits, all mosaic, show nothing
NAMES = {"person": ("person", "people"), "vehicle": ("vehicle", "vehicles")}
HEADING = "## Failures"


@dataclass(frozen=True)
class Failure:
    """One picture: its set and number there, the penalty of sheets.py, and what went wrong in words."""

    set: str
    number: int
    penalty: float
    text: str


def failures(
    model: Path, data: Path, teacher_folder: Path, out: Path | None = None, engine: str = "onnxruntime"
) -> list[Path]:
    """Write the pictures into `out` (default: MODEL/failures) and name them in the model card."""
    sets = unseen_sets(data)
    if not sets:
        raise DataError(f"{data}: holds no pictures/coco_cc_by, vehicles_openimages_ccby or driveai_sample")
    detector = teachers.load_teachers(teacher_folder, [teachers.TILES]).get(teachers.TILES)
    if detector is None:
        raise DataError(f"{teacher_folder}: holds no yolox_nano.onnx, without which heads would stay uncovered")
    with open_model(model, engine, {"objects": MIN_SCORES["objects"]}) as opened:
        network = model_network(opened)
        found = {each.name: run_set(network, each, "model") for each in sets}
    folder = out or model / "failures"
    chosen = choose(sets, found)
    paths = write_pictures(folder, data, sets, found, chosen, detector)
    if (card := model / "MODEL_CARD.md").is_file() and folder.parent == model:
        replace_section(card, section(data, sets, chosen, folder.name))
    return paths


def unseen_sets(data: Path) -> list[RealSet]:
    """The sets that may be shown, reduced to pictures that are held out of training."""
    here = {name: READERS[name] for name in HELD_OUT if (data / READERS[name][0]).is_dir()}
    sets = [read(name, data / folder, 10 * MOST) for name, (folder, read) in here.items()]
    return [replace(s, pictures=tuple(p for p in s.pictures if p.name.endswith(HELD_OUT[s.name]))) for s in sets]


def choose(sets: Sequence[RealSet], found: Mapping[str, Sequence[Output]], most: int = SHOWN) -> list[Failure]:
    """The worst picture of every set, then the second of every set, and so on; only pictures with mistakes."""
    ranked = [sorted(_failures(each, found[each.name]), key=lambda f: -f.penalty) for each in sets]
    rounds = [row[i] for i in range(most) for row in ranked if i < len(row)]
    return sorted(rounds[:most], key=lambda failure: -failure.penalty)


def _failures(each: RealSet, outputs: Sequence[Output]) -> Iterator[Failure]:
    for number in range(len(each.pictures)):
        if is_scene(each, number) and (total := penalty(each, number, {MODEL: outputs})) > 0:
            yield Failure(each.name, number, total, in_words(each, number, outputs))


def is_scene(each: RealSet, number: int) -> bool:
    """Whether something is left to see when the people are covered."""
    people = each.pictures[number].targets.get("person", np.zeros((0, 4)))
    tallest = (people[:, 3] - people[:, 1]).max(initial=0)
    return len(people) <= MOST_PEOPLE and bool(tallest <= MOST_HEIGHT * size_of_file(each.pictures[number].path)[0])


def in_words(each: RealSet, number: int, outputs: Sequence[Output]) -> str:
    """What is wrong with the output on one picture, such as "2 of 3 people missed, 1 false vehicle"."""
    output, (targets, ignored) = outputs[number], truth(each, number, {MODEL: outputs})
    parts = []
    for kind, boxes in targets.items():
        judged = metrics.judge(*output.relative(kind), boxes, ignored[kind])
        large = judged.heights >= LEAST_HEIGHT
        missed, false = int((~judged.found(REPORTED) & large).sum()), judged.false(REPORTED)
        parts += [f"{missed} of {int(large.sum())} {NAMES[kind][int(large.sum() > 1)]} missed"] if missed else []
        parts += [f"{false} false {NAMES[kind][int(false > 1)]}"] if false else []
    width = size_of_file(each.pictures[number].path)[1]
    jumping = sum(metrics.jump(points, width) > metrics.JUMP for points in output.lines or ()) if each.road_lines else 0
    parts += [f"{jumping} lines that jump"] if jumping else []
    wet = each.dry and output.weather in WET
    return ", ".join(parts + ([f"a dry picture called {output.weather}"] if wet else []))


def write_pictures(
    folder: Path,
    data: Path,
    sets: Sequence[RealSet],
    found: Mapping[str, Sequence[Output]],
    chosen: Sequence[Failure],
    detector: Network,
) -> list[Path]:
    """01.jpg and so on, small and with heads and plates covered, and credits.json."""
    by_name, paths, credits = {each.name: each for each in sets}, [], {}
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9][0-9].jpg"):
        old.unlink()
    for place, failure in enumerate(tqdm(chosen, "covering", unit="picture", leave=False, disable=None), 1):
        each, outputs = by_name[failure.set], found[failure.set]
        image = read_image(each.pictures[failure.number].path)
        hide(image, regions_to_hide(image, each, failure.number, outputs, detector(image)))
        drawn = draw(each, failure.number, {MODEL: outputs}, image)
        scale = WIDTH / drawn.shape[1]
        small = cv2.resize(
            drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        )
        paths.append(folder / f"{place:02}.jpg")
        cv2.imwrite(str(paths[-1]), small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        credits[paths[-1].name] = {"picture": each.pictures[failure.number].path.name, "set": failure.set}
    (folder / "credits.json").write_text(json.dumps(_credited(data, credits), indent=1) + "\n", "utf-8")
    return paths


def regions_to_hide(
    image: np.ndarray, each: RealSet, number: int, outputs: Sequence[Output], second: Output
) -> list[Region]:
    """What is covered in one picture: heads, plates, and whole people who do not stand upright."""
    size, settings = (image.shape[0], image.shape[1]), Settings()
    picture = each.pictures[number]
    boxes = [(box, "person") for part in (picture.targets, picture.ignored) for box in part.get("person", ())]
    boxes += [(box, "car") for box in picture.targets.get("vehicle", ())]
    for output in (outputs[number], second):
        for kind, name in (("person", "person"), ("vehicle", "car")):
            rows, scores = output.of(kind)
            boxes += [(box, name) for box in rows[scores >= COVERED]]
    boxes += [(box, "face") for box in detect_faces(image, [cascade(name) for name in CASCADES])]
    whole = replace(settings, whole=True)
    chosen = [whole if name == "person" and _lies(box) else settings for box, name in boxes]
    regions = [region_of(box, name, size, each) for (box, name), each in zip(boxes, chosen)]
    return [region for region in regions if region is not None]


def _lies(box: np.ndarray) -> bool:
    return bool(box[3] - box[1] < UPRIGHT * (box[2] - box[0]))


def hide(image: np.ndarray, regions: Sequence[Region]) -> None:
    """Make a mosaic of regions of an image, in place."""
    for region in regions:
        part = image[region.y0 : region.y1, region.x0 : region.x1]
        cell = max((region.x1 - region.x0) / CELLS[region.content], LEAST_CELL)
        small = [max(round(side / cell), 1) for side in part.shape[1::-1]]
        coarse = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(coarse, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)


# The card


def _credited(data: Path, rows: Mapping[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """The rows with id, author, url and licence of each picture."""
    folders = {name: data / READERS[name][0] for name in {row["set"] for row in rows.values()}}
    known = {(name, p.path.name): p.credit for name, folder in folders.items() for p in open_source(folder)}
    return {file: {**row, **known.get((row["set"], row["picture"]), {})} for file, row in rows.items()}


def section(data: Path, sets: Sequence[RealSet], chosen: Sequence[Failure], folder: str) -> str:
    """Markdown: one row per picture with what is wrong and the credit."""
    by_name = {each.name: each for each in sets}
    names = {
        f"{place:02}.jpg": {"set": failure.set, "picture": by_name[failure.set].pictures[failure.number].path.name}
        for place, failure in enumerate(chosen, 1)
    }
    credits = _credited(data, names)
    rows = [
        f"| ![{failure.set}]({folder}/{file}) | {failure.text} | {failure.set}: {_credit(credits[file])} |"
        for file, failure in zip(names, chosen)
    ]
    counts = ", ".join(f"{len(each.pictures)} of {each.name}" for each in sets)
    return (
        f"{HEADING}\nThe worst real pictures, the worst of each set in turn, of {counts}, without crowds and "
        "portraits. Those of COCO and Open Images were held out of training, those of drive.ai were not. Green: found; "
        "yellow: missed; red: reported, but not there; blue-grey: kinds that are not labelled in this set; white: lane "
        "lines; tinted: drivable. The mosaic over heads and plates was added for this card.\n\n"
        "| picture | what is wrong | credit |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    )


def _credit(credit: Mapping[str, str]) -> str:
    name = f"[{credit.get('id', '')}]({credit['url']})" if credit.get("url") else credit.get("id", "")
    return f"{name}, {credit.get('licence', 'licence unknown')}".replace("|", " ")


def replace_section(card: Path, text: str) -> None:
    """Put a section at the end of a Markdown file, in place of the one with the same heading."""
    before, _, rest = card.read_text("utf-8").partition(f"\n{HEADING}\n")
    _, mark, after = rest.partition("\n## ")
    card.write_text(f"{before.rstrip()}\n\n{text}" + (f"\n## {after}" if mark else ""), "utf-8")
