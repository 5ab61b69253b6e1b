"""YOLO text files: one row `class cx cy w h`, or a polygon, per object (docs.ultralytics.com/datasets/detect)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from camera_perception.core.documents.parsing import read_yaml
from camera_perception.core.natural_order import natural_order
from perception_models.data.files import DataError, is_file, list_images, read_lines
from perception_models.data.readers.annotations.images import AnnotatedImages, Box, ImageLabels, bounds

LIST = "classes.txt"
NO_LABELS = ("classes", "train.", "val.", "valid.", "test.", "readme")  # beginnings of other text files
LISTS = (LIST, f"labels/{LIST}", "obj.names")
MOST_CLASSES = 100_000
MOST_BYTES = 4 << 20  # of data.yaml: 20,000 names take half a megabyte


class Yolo(AnnotatedImages):
    """Samples of a data.yaml, or of a folder with images/, labels/ and classes.txt (or obj.names, as CVAT writes it).

    Label files may lie beside their images; an image without one is empty. Keypoints are left out.

    split    entry of data.yaml or subfolder: train, val or test
    classes  our classes for the names, see ClassNames
    """

    def __init__(self, path: Path | str, split: str = "train", classes: Mapping[str, Any] | None = None):
        path = Path(path)
        if not path.exists():
            raise DataError(f"{path}: missing; give data.yaml or the folder that holds images and labels")
        folder = path if path.is_dir() else path.parent
        config = _config(path)
        names = _names(config, folder)
        listed = _listed(config, folder, split)
        images = listed or [image for each in _image_folders(config, folder, split) for image in list_images(each)]
        labels = [_read(image, names, bool(config.get("kpt_shape"))) for image in images]
        if not any(each.source.is_file() for each in labels):
            expected = labels[0].source
            raise DataError(
                f"{folder}: no label file for any of {len(images)} images; expected files such as {expected}"
            )
        super().__init__(folder, labels, names, classes)
        if not listed:
            self.orphans += _without_image(labels)


def _config(path: Path) -> dict[str, Any]:
    files = [path] if path.is_file() else [path / name for name in ("data.yaml", "data.yml", "dataset.yaml")]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        return {}
    try:
        config = read_yaml(found, MOST_BYTES)
    except ValueError as error:
        raise DataError(f"{found}: cannot be read as YAML ({str(error)[:200]})") from error
    if not isinstance(config, dict):
        raise DataError(f"{found}: expected names and train, val or test")
    return config


def _names(config: dict[str, Any], folder: Path) -> list[str]:
    """Class names by number: a list, or {number: name}; or the lines of classes.txt."""
    names = config.get("names")
    if isinstance(names, dict):
        try:
            numbers = {int(number): str(name) for number, name in names.items()}
        except (ValueError, TypeError, OverflowError) as error:
            raise DataError(f"{folder}: names has keys that are not numbers") from error
        if max(numbers, default=0) > MOST_CLASSES:
            raise DataError(f"{folder}: names has a number above {MOST_CLASSES}; number the classes from 0")
        names = [numbers.get(number, "") for number in range(max(numbers, default=-1) + 1)]
    if not names:
        names = next((read_lines(folder / each) for each in LISTS if (folder / each).is_file()), None)
    if not isinstance(names, list) or not names:
        raise DataError(f"{folder}: no class names; add data.yaml with names: [...] or {LIST}")
    return list(map(str, names))


def _without_image(labels: Sequence[ImageLabels]) -> list[str]:
    """Label files beside those of the images."""
    read = {each.source for each in labels}
    found = {path for folder in {source.parent for source in read} for path in folder.glob("*.txt")}
    return [str(path) for path in natural_order(found - read) if not path.name.lower().startswith(NO_LABELS)]


def _listed(config: dict[str, Any], folder: Path, split: str) -> list[Path]:
    """The images that a text file of data.yaml or train.txt names, by paths that may be those of another machine."""
    entry = config.get(split) or f"{split}.txt"
    path = folder / str(config.get("path", "")) / entry if isinstance(entry, str) else folder
    if path.suffix != ".txt" or not path.is_file():
        return []
    images = []
    for line in read_lines(path):
        parts = Path(line.strip()).parts
        tails = (folder.joinpath(*parts[first:]) for first in range(len(parts)))
        images.append(next((each for each in tails if is_file(each)), folder / line.strip()))
    return images


def _image_folders(config: dict[str, Any], folder: Path, split: str) -> Sequence[Path]:
    entries = config.get(split) or (config.get("valid") if split == "val" else None) or []
    entries = entries if isinstance(entries, list) else [entries]
    roots = [folder / str(config.get("path", "")), folder]
    alternatives = ("valid", "val") if split == "val" else (split,)
    # Roboflow writes ../train/images beside data.yaml and means train/images.
    named = [root / str(each).removeprefix("../") for each in entries for root in roots]
    usual = [folder / each for name in alternatives for each in (f"images/{name}", f"{name}/images", name)]
    if found := [path for path in named if _is_dir(path)]:
        return list(dict.fromkeys(path.resolve() for path in found))
    usual += [folder / "images", folder / "obj_train_data"]
    usual += [folder] * any((folder / each).is_file() for each in LISTS)
    if found := [path for path in usual if path.is_dir()]:
        return found[:1]
    raise DataError(f"{folder}: no folder of images for the split {split}; looked for {usual[0]} and {usual[1]}")


def _is_dir(path: Path) -> bool:
    """Also of what is no name of a folder at all, as a damaged file gives it."""
    try:
        return path.is_dir()
    except OSError:
        return False


def label_file(image: Path) -> Path:
    """labels/... instead of the last images/..., or beside the image."""
    parts = list(image.parts)
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        parts[last] = "labels"
    return Path(*parts).with_suffix(".txt")


def _read(image: Path, names: Sequence[str], keypoints: bool) -> ImageLabels:
    source = label_file(image)
    if not source.is_file():
        return ImageLabels(image, source)
    try:
        return ImageLabels(image, source, [_box(line, names, source, keypoints) for line in read_lines(source)])
    except DataError as error:
        return ImageLabels(image, source, error=str(error))


def _box(line: str, names: Sequence[str], source: Path, keypoints: bool) -> Box:
    try:
        class_id, *values = map(float, line.split())
        name = names[int(class_id)] if class_id >= 0 else names[len(names)]
    except (ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{source}: {line[:60]!r}: expected a class below {len(names)} and numbers") from error
    values = values[:4] if keypoints else values
    if len(values) in (4, 5):  # with a confidence
        cx, cy, w, h = values[:4]
        sides: tuple[float, ...] = cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2
    elif len(values) >= 6 and len(values) % 2 == 0:
        sides = bounds(list(zip(values[::2], values[1::2])))
    else:
        raise DataError(f"{source}: {line[:60]!r}: expected class cx cy w h, or a polygon of at least three points")
    if not all(-0.01 <= side <= 1.01 for side in sides):
        raise DataError(f"{source}: {line[:60]!r}: not within 0 and 1; coordinates are fractions of the image")
    return Box(name, tuple(min(max(side, 0.0), 1.0) for side in sides), relative=True)
