"""perception-models cutouts: cuts people, riders and vehicles out of labelled real images."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from perception_models.data.augment.cutouts import Cutout, Part, read_index, write_index
from perception_models.data.curation.boxes import Box, iou
from perception_models.data.curation.cutouts import rules
from perception_models.data.curation.cutouts.masks import by_grabcut, cut_alpha, from_polygons, own_colours
from perception_models.data.curation.cutouts.matting import PersonMatting
from perception_models.data.curation.cutouts.sheet import write_sheets
from perception_models.data.files import malformed_as_data_error, read_json, read_json_lines
from perception_models.data.readers.folder import LabelledFolder
from perception_models.data.sample import Sample

HELD_OUT = ("*7.jpg", "*f.jpg")  # validation images of configs/real.yaml
SAME_OBJECT = 0.85  # IoU of a label with the box of a polygon
MAX_HEIGHT = 480  # pixels of a stored cut-out
Outline = tuple[Box, list[list[float]]]  # box and polygons of one object
Refusals = Counter[str]


@dataclass(frozen=True)
class CutConfig:
    """How to cut.

    exclude   file name patterns of images to leave alone
    polygons  folder with an annotations.json (COCO records) that has polygons for some objects
    matting   pose network for masks of people; None: GrabCut
    """

    exclude: tuple[str, ...] = HELD_OUT
    polygons: Path | None = None
    matting: PersonMatting | None = None


@dataclass
class _Source:
    """A labelled folder with what is known about its images."""

    folder: Path
    outlines: dict[str, list[Outline]]
    credits: dict[str, dict[str, str]] = field(default_factory=dict)


def cut_all(sources: Sequence[Path], out: Path, config: CutConfig = CutConfig()) -> tuple[list[Cutout], Refusals]:
    """Write RGBA images, index.json and contact sheets to `out`; returns the cut-outs and the refused objects.

    Finished images are skipped, so an interrupted run continues where it was.
    """
    out.mkdir(parents=True, exist_ok=True)
    log = out / "images.jsonl"
    done = {row["image"]: row for row in (read_json_lines(log) if log.exists() else [])}
    outlines = _outlines(config.polygons) if config.polygons else {}
    with log.open("a", encoding="utf-8") as lines:
        for folder in sources:
            source = _Source(folder, outlines, _credits(folder))
            samples = LabelledFolder(folder, exclude=config.exclude)
            for index in tqdm(range(len(samples)), desc=folder.name, unit="image", disable=None):
                image = f"{folder.name}/{samples.names[index]}"
                if image not in done:
                    done[image] = _cut_image(image, samples[index], source, out, config)
                    lines.write(json.dumps(done[image]) + "\n")
                    lines.flush()
    return _finish(out, list(done.values()))


def _finish(out: Path, rows: list[dict[str, Any]]) -> tuple[list[Cutout], Refusals]:
    refusals: Refusals = Counter()
    for row in rows:
        refusals.update(row["refused"])
    (out / "index.json").write_text(json.dumps({"cutouts": [c for row in rows for c in row["cutouts"]]}, indent=1))
    cutouts = list(read_index(out))
    write_index(out, cutouts)
    write_sheets(out, cutouts)
    return cutouts, refusals


def _outlines(folder: Path) -> dict[str, list[Outline]]:
    """Objects with polygons by image name."""
    path = folder / "annotations.json"
    with malformed_as_data_error(path):
        return {str(r["file_name"]): list(_record_outlines(r)) for r in read_json(path)}


def _record_outlines(record: dict[str, Any]) -> Iterator[Outline]:
    for each in record["truth"]:
        polygons = each.get("polygon")
        if polygons and not each.get("crowd"):
            x, y, across, down = each["bbox"]
            yield (x, y, x + across, y + down), polygons if isinstance(polygons[0], list) else [polygons]


def _credits(folder: Path) -> dict[str, dict[str, str]]:
    path = folder / "CREDITS.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file_name"]: row for row in csv.DictReader(file)}


def _cut_image(name: str, sample: Sample, source: _Source, out: Path, config: CutConfig) -> dict[str, Any]:
    """Row of images.jsonl: the cut-outs of one image, and why others were refused."""
    refused: Refusals = Counter()
    cutouts: list[Cutout] = []
    if sample.boxes is not None and rules.coloured(sample.image):
        for candidate in rules.candidates(sample.boxes):
            found = _cut(candidate, sample, source.outlines.get(sample.name, []), config)
            if isinstance(found, str):
                refused[found] += 1
            else:
                file = f"{Path(name).with_suffix('').as_posix().replace('/', '_')}_{len(cutouts)}.png"
                cutouts.append(_store(found, file, name, sample, out, source.credits.get(sample.name, {})))
    return {"image": name, "cutouts": [asdict(cutout) for cutout in cutouts], "refused": dict(refused)}


@dataclass(frozen=True)
class _Mask:
    candidate: rules.Candidate
    mask: np.ndarray  # (H, W) uint8 0 or 1
    method: str
    agreement: float = 1.0


def _cut(candidate: rules.Candidate, sample: Sample, outlines: list[Outline], config: CutConfig) -> _Mask | str:
    """The mask of an object, or why it is refused."""
    assert sample.boxes is not None
    if reason := rules.refusal(candidate, sample.boxes, sample.size):
        return reason
    found = _mask(candidate, sample.image, outlines, config)
    if isinstance(found, str):
        return found
    if reason := rules.mask_refusal(found.mask, candidate, found.method, found.agreement):
        return reason
    return found if rules.sharpness(sample.image, found.mask) >= rules.SHARP else "blurred"


def _mask(candidate: rules.Candidate, image: np.ndarray, outlines: list[Outline], config: CutConfig) -> _Mask | str:
    """By polygons where all parts have one, else by the pose network and GrabCut; people must show their feet."""
    person = config.matting.find(image, candidate.boxes[0]) if config.matting and candidate.shape != "block" else None
    feet = "bottom" not in rules.truncated_sides(candidate.box, (image.shape[0], image.shape[1]))
    if person and candidate.shape == "person" and feet and not person.standing:
        return "no feet visible"
    drawn = [[shape for box, shape in outlines if iou(box, part) > SAME_OBJECT] for part in candidate.boxes]
    if all(drawn):
        mask = from_polygons([polygon for shapes in drawn for polygon in shapes[0]], image.shape[:2])
        return _Mask(candidate, mask, "polygon")
    if candidate.categories[-1] == "bicycle":
        return "no mask"
    if candidate.shape == "block" or (candidate.shape == "person" and person is None):
        return _Mask(candidate, *_by_grabcut(image, candidate.box, candidate.shape))
    if person is None:
        return "no mask"
    if candidate.shape == "rider":
        return _rider(candidate, image, person.mask, person.agreement)
    return _Mask(candidate, person.mask, "matting", person.agreement)


def _by_grabcut(image: np.ndarray, box: Box, shape: str) -> tuple[np.ndarray, str, float]:
    mask, agreement = by_grabcut(image, box, shape)
    return mask, "grabcut", agreement


def _rider(candidate: rules.Candidate, image: np.ndarray, person: np.ndarray, agreement: float) -> _Mask:
    wheeler, stability = by_grabcut(image, candidate.boxes[1], "block")
    return _Mask(candidate, person | wheeler, "grabcut", min(agreement + 0.05, stability))


def _store(found: _Mask, file: str, source: str, sample: Sample, out: Path, credit: dict[str, str]) -> Cutout:
    alpha = cut_alpha(found.mask)
    u, v, across, down = cv2.boundingRect(found.mask)
    scale = min(1.0, MAX_HEIGHT / down)
    rgba = np.dstack([own_colours(sample.image, found.mask), alpha])[v : v + down, u : u + across]
    rgba = cv2.resize(rgba, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgba
    cv2.imwrite(str(out / file), rgba)
    parts = [Part(k, _moved(box, (u, v), scale, rgba.shape)) for k, box in _parts(found)]
    return Cutout(
        file=file,
        size=(rgba.shape[1], rgba.shape[0]),
        parts=tuple(parts),
        height=round(float(down), 1),
        truncated=rules.truncated_sides(found.candidate.box, sample.size),
        surround=_surround(sample.image, found.mask),
        brightness=_brightness(rgba),
        method=found.method,
        source=source,
        author=credit.get("author") or "",
        url=credit.get("url") or "",
        licence=credit.get("licence") or "",
    )


def _parts(found: _Mask) -> Iterator[tuple[str, Box]]:
    """Category and box of each part; a single one has the extent of the mask."""
    if len(found.candidate.boxes) == 1:
        u, v, across, down = cv2.boundingRect(found.mask)
        yield found.candidate.categories[0], (u, v, u + across, v + down)
    else:
        yield from zip(found.candidate.categories, found.candidate.boxes)


def _moved(box: Box, corner: tuple[int, int], scale: float, shape: tuple[int, ...]) -> Box:
    u, v = corner
    x0, y0, x1, y1 = (scale * (side - origin) for side, origin in zip(box, (u, v, u, v)))
    return (
        round(max(x0, 0), 1), round(max(y0, 0), 1), round(min(x1, shape[1]), 1), round(min(y1, shape[0]), 1)
    )  # fmt: skip


def _surround(image: np.ndarray, mask: np.ndarray) -> tuple[float, float, float]:
    """Mean colour of the ring around an object."""
    u, v, across, down = cv2.boundingRect(mask)
    grow = max(across, down) // 4
    area = np.s_[max(v - grow // 2, 0) : v + down + grow // 2, max(u - grow, 0) : u + across + grow]
    ring = cv2.dilate(mask[area], np.ones((5, 5), np.uint8)) == 0
    blue, green, red = (image[area][ring].mean(0) if ring.any() else image.mean((0, 1))).round(1).tolist()
    return blue, green, red


def _brightness(rgba: np.ndarray) -> float:
    luma = cv2.cvtColor(rgba[..., :3], cv2.COLOR_BGR2GRAY)
    return round(float(np.average(luma, weights=rgba[..., 3] + 1e-3)), 1)


def counts(cutouts: Sequence[Cutout]) -> Counter[str]:
    """Cut-outs by category, those at image edges separately."""
    return Counter(c.category + (f" cut at the {c.truncated[0]}" if c.truncated else "") for c in cutouts)
