"""Labelled images of any annotation format as samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from camera_perception.core.natural_order import natural_key, natural_order
from perception_models.data.files import IMAGE_SUFFIXES, DataError, is_file, read_image
from perception_models.data.labels import LIGHT, LIGHT_STATES, OBJECTS, UNKNOWN, ClassNames, index
from perception_models.data.readers.scalabel import checked_box
from perception_models.data.sample import Boxes, Lane, Lanes, Sample, boxes_from_rows


@dataclass(frozen=True)
class Box:
    """One labelled object.

    sides    x0 y0 x1 y1, pixels, or fractions of the image if `relative`
    ignored  neither a target nor a false positive, such as Pascal VOC's `difficult`
    state    of a traffic light, one of labels.LIGHT_STATES, or empty
    """

    name: str
    sides: tuple[float, ...]
    relative: bool = False
    ignored: bool = False
    state: str = ""


@dataclass
class ImageLabels:
    """The labels of one image.

    source  file that holds the labels
    size    (height, width) as the label file states it, or None
    lines   None: lane lines are not labelled
    error   why the labels cannot be used; empty if they can
    """

    image: Path
    source: Path
    boxes: list[Box] = field(default_factory=list)
    size: tuple[int, int] | None = None
    lines: list[Lane] | None = None
    error: str = ""


class AnnotatedImages:
    """Samples of labelled images; classes that no label and no list of classes names are unlabelled.

    names_of_classes  the class list of the format; None: the names that occur
    orphans           labels whose image does not exist
    others            class names that are not among ours, whose objects are left out
    """

    def __init__(
        self,
        where: Path,
        labels: Sequence[ImageLabels],
        names_of_classes: Sequence[str] | None,
        classes: Mapping[str, Any] | None,
    ):
        self.where, self._names = where, ClassNames(classes)
        self._labels = sorted(
            (each for each in labels if is_file(each.image)), key=lambda each: natural_key(each.image)
        )
        self.orphans = natural_order(str(each.image) for each in labels if not is_file(each.image))
        if not self._labels:
            missing = f", such as {self.orphans[0]}" if self.orphans else ""
            raise DataError(f"{where}: none of {len(labels)} labelled images exists{missing}; copy the images there")
        used = {box.name for each in self._labels for box in each.boxes}
        listed = used if names_of_classes is None else {*names_of_classes, *used}
        self.others = self._names.unknown(listed)
        self.known = frozenset(map(self._names, listed)) - {UNKNOWN}
        if listed and not self.known and any(each.boxes for each in self._labels):
            raise DataError(
                f"{where}: no class is among {', '.join(OBJECTS)}: {', '.join(self.others[:8])}; give the option "
                "classes: {name: one of these}"
            )

    @property
    def names(self) -> list[str]:
        return [each.image.name for each in self._labels]

    @property
    def files(self) -> list[Path]:
        return natural_order({path for each in self._labels for path in (each.image, each.source) if is_file(path)})

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, number: int) -> Sample:
        labels = self._labels[number]
        if labels.error:
            raise DataError(labels.error)
        image = read_image(labels.image)
        size = image.shape[0], image.shape[1]
        if labels.size not in (None, size):
            stated = f"{labels.size[1]}x{labels.size[0]}" if labels.size else ""
            raise DataError(f"{labels.image}: {size[1]}x{size[0]} pixels, but {stated} in {labels.source}")
        lanes = None if labels.lines is None else Lanes(labels.lines, frozenset(x.position for x in labels.lines) - {0})
        return Sample(labels.image.name, image, self._boxes(labels, size), lanes, known_classes=self.known)

    def _boxes(self, labels: ImageLabels, size: tuple[int, int]) -> Boxes:
        where, rows = f"{labels.source}: {labels.image.name}", []
        for box in labels.boxes:
            class_id = self._names(box.name)
            if class_id != UNKNOWN:
                scale = (size[1], size[0]) * 2 if box.relative else (1.0,) * 4
                sides = checked_box([side * each for side, each in zip(box.sides, scale)], where)
                state = index(LIGHT_STATES, box.state.lower()) if class_id == LIGHT else UNKNOWN
                rows.append((sides, class_id, box.ignored, state))
        return boxes_from_rows(rows)


def read_each(
    sources: Sequence[Path], read: Callable[[Path], ImageLabels], folders: Sequence[Path] = ()
) -> list[ImageLabels]:
    """The labels of each file; its image is in `folders` or beside it. A broken file gives labels with an `error`."""
    labels = []
    for source in sources:
        try:
            labels.append(read(source))
        except DataError as error:
            labels.append(ImageLabels(image_beside(source, folders), source, error=str(error)))
    return labels


def image_beside(source: Path, folders: Sequence[Path] = (), name: str = "") -> Path:
    """The image of a label file: `name` or the file's own stem, in `folders` or beside it; else where it should be."""
    folders = [*folders, source.parent]
    names = [Path(name.replace("\\", "/")).name] if name else []
    names += [source.stem + suffix for each in IMAGE_SUFFIXES for suffix in (each, each.upper())]
    found = (folder / each for folder in folders for each in names)
    return next((path for path in found if is_file(path)), folders[0] / names[0])


def bounds(points: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """x0 y0 x1 y1 of a polygon of at least one point."""
    us, vs = zip(*((float(u), float(v)) for u, v in points))
    return min(us), min(vs), max(us), max(vs)
