"""Labels out to annotation tools, and into our own folder. The readers beside this file read each format."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from camera_perception.core.errors import BadImage
from camera_perception.image.files import read_file
from perception_models.data.files import DataError, read_json
from perception_models.data.labels import LIGHT, LIGHT_STATES, LINE_COLORS, LINE_TYPES, OBJECTS, ROLES, UNKNOWN
from perception_models.data.readers.scalabel import lanes_from_frame
from perception_models.data.sample import Lane, Sample

ROLE_OF = {position: role for role, position in ROLES.items()}
LANE = "lane"


@dataclass(frozen=True)
class Box:
    """One label: x0 y0 x1 y1 pixels, state of a traffic light or "", reason why it is doubtful or ""."""

    name: str
    sides: tuple[float, float, float, float]
    score: float = 1.0
    state: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Labels:
    """The labels of one image file. size (height, width)."""

    image: Path
    size: tuple[int, int]
    boxes: Sequence[Box]
    lanes: Sequence[Lane] = ()


def read_labels(folder: Path) -> list[Labels]:
    """The labels of a folder in our layout, with the scores and reasons of `autolabel`."""
    paths = [folder / "labels/det_20/det.json", folder / "labels/lane/lane.json"]
    if not any(path.is_file() for path in paths):
        raise DataError(f"{folder}: no labels/det_20/det.json: run `perception-models autolabel` first")
    frames, lines = ({f["name"]: f for f in read_json(path)} if path.is_file() else {} for path in paths)
    labels = []
    for name in sorted(frames.keys() | lines.keys()):
        try:
            size = read_file(folder / "images" / name).shape
        except BadImage as error:
            text = f"{folder / 'images' / name}: not a readable image; restore it or remove its labels"
            raise DataError(text) from error
        boxes = [_box(label) for label in frames.get(name, {}).get("labels") or ()]
        lanes = lanes_from_frame(lines[name], paths[1]) if name in lines else []
        labels.append(Labels(folder / "images" / name, (size[0], size[1]), boxes, lanes))
    return labels


def _box(label: Mapping[str, Any]) -> Box:
    attributes, sides = label.get("attributes") or {}, label["box2d"]
    reason = str(attributes.get("reason") or "doubtful") if attributes.get("ignored") else ""
    box = tuple(float(sides[side]) for side in ("x1", "y1", "x2", "y2"))
    score = float(attributes.get("score", 1.0))
    return Box(str(label["category"]), box, score, str(attributes.get("trafficLightColor") or ""), reason)  # type: ignore[arg-type]


# Out


def export_labels(folder: Path, out: Path, form: str) -> Path:
    """Write the labels of a folder in our layout for a tool; returns the file to give to it.

    Doubtful boxes are written too, with their reason, for people to decide.
    """
    if form not in WRITERS:
        raise DataError(f"--format {form}: expected one of {', '.join(WRITERS)}")
    labels = read_labels(folder)
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty; choose another --out")
    (out / "images").mkdir(parents=True, exist_ok=True)
    for each in labels:
        shutil.copyfile(each.image, out / "images" / each.image.name)
    return WRITERS[form](labels, out)


def write_coco(labels: Sequence[Labels], out: Path) -> Path:
    """COCO's JSON, with score and reason of each annotation as further keys."""
    images: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for number, each in enumerate(labels, 1):
        size = {"height": each.size[0], "width": each.size[1]}
        images.append({"id": number, "file_name": each.image.name, **size})
        for box in each.boxes:
            x0, y0, x1, y1 = box.sides
            row: dict[str, Any] = {"id": len(rows) + 1, "image_id": number, "category_id": OBJECTS.index(box.name) + 1}
            row |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            row |= {"iscrowd": 0, "segmentation": []}
            rows.append({**row, "score": box.score, "attributes": _attributes(box)})
    categories = [{"id": number, "name": name} for number, name in enumerate(OBJECTS, 1)]
    return _write(
        out / "annotations/instances_default.json", {"images": images, "annotations": rows, "categories": categories}
    )


def write_cvat(labels: Sequence[Labels], out: Path) -> Path:
    """CVAT for images 1.1: boxes with attributes, polylines for lane lines; a zip to upload as annotations.

    labels.json beside it declares labels and attributes for the raw constructor of a new task.
    """
    declared = cvat_labels(any(each.lanes for each in labels))
    _write(out / "labels.json", declared)
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    _elements(task, {"labels": [{"label": each} for each in declared]})
    for number, each in enumerate(labels):
        size = {"width": str(each.size[1]), "height": str(each.size[0])}
        image = ElementTree.SubElement(root, "image", {"id": str(number), "name": each.image.name, **size})
        for box in each.boxes:
            values = dict(zip(("xtl", "ytl", "xbr", "ybr"), map(_text, box.sides)))
            _shape(image, "box", box.name, values, {**_attributes(box), "score": f"{box.score:.3f}"})
        for lane in each.lanes:
            points = ";".join(f"{_text(u)},{_text(v)}" for u, v in lane.points.tolist())
            _shape(image, "polyline", LANE, {"points": points}, lane_attributes(lane))
    ElementTree.ElementTree(root).write(out / "annotations.xml", encoding="utf-8", xml_declaration=True)
    with zipfile.ZipFile(out / "cvat.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(out / "annotations.xml", "annotations.xml")
    return out / "cvat.zip"


def cvat_labels(with_lanes: bool) -> list[dict[str, Any]]:
    """Labels of a CVAT task and their attributes, which CVAT drops unless they are declared."""
    box = [_declared("score", "number", ("0", "1", "0.001")), _declared("reason", "text", ("",))]
    light = _declared("trafficLightColor", "select", ("", *LIGHT_STATES))
    names = {"role": tuple(ROLES), "lineType": ("", *LINE_TYPES), "lineColor": ("", *LINE_COLORS)}
    lane = [_declared(name, "select", values) for name, values in names.items()]
    rows = [(name, "rectangle", [*box, light] if number == LIGHT else box) for number, name in enumerate(OBJECTS)]
    rows += [(LANE, "polyline", lane)] if with_lanes else []
    return [{"name": name, "type": shape, "attributes": attributes} for name, shape, attributes in rows]


def _declared(name: str, kind: str, values: Sequence[str]) -> dict[str, Any]:
    return {"name": name, "mutable": False, "input_type": kind, "default_value": values[0], "values": list(values)}


def _elements(parent: ElementTree.Element, values: Mapping[str, Any]) -> None:
    """Nested elements; lists of mappings repeat elements, lists of text become lines, as in CVAT's own exports."""
    for name, value in values.items():
        child = ElementTree.SubElement(parent, name)
        if name == "attributes":
            value = [{"attribute": each} for each in value]
        if isinstance(value, Mapping):
            _elements(child, value)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for each in value:
                _elements(child, each)
        else:
            child.text = "\n".join(value) if isinstance(value, list) else str(value)


def _shape(
    image: ElementTree.Element, kind: str, label: str, values: Mapping[str, str], more: Mapping[str, str]
) -> None:
    shape = ElementTree.SubElement(image, kind, {"label": label, "source": "auto", "occluded": "0", **values})
    for name, value in more.items():
        ElementTree.SubElement(shape, "attribute", {"name": name}).text = value


def write_label_studio(labels: Sequence[Labels], out: Path) -> Path:
    """Tasks with predictions in percent of the image; serve the images from its local files storage."""
    tasks = []
    for each in labels:
        height, width = each.size
        results = []
        for number, box in enumerate(each.boxes):
            x0, y0, x1, y1 = box.sides
            value: dict[str, Any] = {
                "x": 100 * x0 / width,
                "y": 100 * y0 / height,
                "rotation": 0,
                "rectanglelabels": [box.name],
            }
            value |= {"width": 100 * (x1 - x0) / width, "height": 100 * (y1 - y0) / height}
            result: dict[str, Any] = {"id": f"{each.image.stem}-{number}", "type": "rectanglelabels", "value": value}
            result |= {"from_name": "label", "to_name": "image", "score": box.score, "meta": {"text": [box.reason]}}
            results.append({**result, "original_width": width, "original_height": height})
        data = {"image": f"/data/local-files/?d=images/{each.image.name}"}
        tasks.append({"data": data, "predictions": [{"model_version": "autolabel", "result": results}]})
    names = "".join(f'<Label value="{name}"/>' for name in OBJECTS)
    view = f'<View><Image name="image" value="$image"/><RectangleLabels name="label" toName="image">{names}'
    (out / "interface.xml").write_text(f"{view}</RectangleLabels></View>\n", "utf-8")
    return _write(out / "tasks.json", tasks)


def write_yolo(labels: Sequence[Labels], out: Path) -> Path:
    """A text file per image, and data.yaml; doubtful boxes are left out, since the format cannot mark them."""
    (out / "labels").mkdir(parents=True, exist_ok=True)
    for each in labels:
        height, width = each.size
        lines = []
        for box in each.boxes:
            x0, y0, x1, y1 = box.sides
            row = (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height
            lines += [] if box.reason else [f"{OBJECTS.index(box.name)} {' '.join(f'{v:.6f}' for v in row)}\n"]
        (out / "labels" / f"{each.image.stem}.txt").write_text("".join(lines), "utf-8")
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(OBJECTS))
    (out / "data.yaml").write_text(f"path: .\ntrain: images\nval: images\nnames:\n{names}", "utf-8")
    return out / "data.yaml"


WRITERS: dict[str, Callable[[Sequence[Labels], Path], Path]] = {
    "coco": write_coco,
    "cvat": write_cvat,
    "label-studio": write_label_studio,
    "yolo": write_yolo,
}


def _attributes(box: Box) -> dict[str, str]:
    named = {"trafficLightColor": box.state, "reason": box.reason}
    return {name: value for name, value in named.items() if value}


def lane_attributes(lane: Lane) -> dict[str, str]:
    """role, lineType and lineColor, as in DATA.md."""
    values = {"role": ROLE_OF.get(lane.position, "other")}
    values |= {"lineType": LINE_TYPES[lane.line_type]} if lane.line_type != UNKNOWN else {}
    return values | ({"lineColor": LINE_COLORS[lane.line_color]} if lane.line_color != UNKNOWN else {})


def _text(value: float) -> str:
    return f"{value:.2f}"


def _write(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), "utf-8")
    return path


# Our own folder


def write_folder(samples: Sequence[Sample], out: Path) -> dict[str, int]:
    """images/, labels/det_20/det.json and, with lane lines, labels/lane/lane.json."""
    import cv2

    (out / "images").mkdir(parents=True, exist_ok=True)
    frames, lines, counts = [], [], dict[str, int]()
    for sample in samples:
        name = Path(sample.name).name
        if not cv2.imwrite(str(out / "images" / name), sample.image, [cv2.IMWRITE_JPEG_QUALITY, 95]):
            raise DataError(f"{out / 'images' / name}: cannot be written; check that the disk is not full")
        rows = _box_rows(sample)
        unlabelled = [OBJECTS[i] for i in range(len(OBJECTS)) if i not in sample.known_classes]
        frames.append({"name": name, "unlabelled": unlabelled, "labels": rows})
        for row in rows:
            counts[row["category"]] = counts.get(row["category"], 0) + 1
        if sample.lanes is not None:
            lines.append({"name": name, "labels": [_lane_row(lane, n) for n, lane in enumerate(sample.lanes.lines)]})
            counts[LANE] = counts.get(LANE, 0) + len(sample.lanes.lines)
    _write(out / "labels/det_20/det.json", frames)
    if lines:
        _write(out / "labels/lane/lane.json", lines)
    return counts


def _box_rows(sample: Sample) -> list[dict[str, Any]]:
    rows = []
    for number in range(0 if sample.boxes is None else len(sample.boxes)):
        assert sample.boxes is not None
        class_id, state = int(sample.boxes.classes[number]), int(sample.boxes.light_states[number])
        attributes: dict[str, Any] = {"source": "people"}
        attributes |= {"trafficLightColor": LIGHT_STATES[state]} if class_id == LIGHT and state != UNKNOWN else {}
        attributes |= {"ignored": True} if sample.boxes.ignored[number] else {}
        sides = dict(zip(("x1", "y1", "x2", "y2"), (round(float(v), 2) for v in sample.boxes.boxes[number])))
        rows.append({"id": str(number), "category": OBJECTS[class_id], "attributes": attributes, "box2d": sides})
    return rows


def _lane_row(lane: Lane, number: int) -> dict[str, Any]:
    vertices = [[round(u, 2), round(v, 2)] for u, v in lane.points.tolist()]
    return {
        "id": str(number),
        "category": LANE,
        "attributes": lane_attributes(lane),
        "poly2d": [{"vertices": vertices}],
    }
