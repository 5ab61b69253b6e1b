"""RViz views and Foxglove layouts for the cameras of a rig, from the bringup's files for the demo's cameras."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

FIRST, OTHERS = "front", ("left",)  # cameras in the files: FIRST is the template, OTHERS are removed

Cameras = Mapping[str, str]  # name: namespace


def rviz_view(view: dict[str, Any], cameras: Cameras) -> dict[str, Any]:
    """The content of a .rviz file with its camera displays once per camera."""
    manager = view["Visualization Manager"]
    return {**view, "Visualization Manager": {**manager, "Displays": repeated(manager["Displays"], cameras)}}


def foxglove_layout(layout: dict[str, Any], cameras: Cameras) -> dict[str, Any]:
    """A layout with its camera panels and curves once per camera; the images in a column on the left."""
    panels: dict[str, Any] = {}
    for name, panel in layout["configById"].items():
        if "paths" in panel:
            panels[name] = {**panel, "paths": repeated(panel["paths"], cameras)}
        else:
            panels |= dict(repeated([(name, panel)], cameras))
    images = [name for name in panels if name.startswith("Image!")]
    return {**layout, "configById": panels, "layout": {**layout["layout"], "first": column(images)}}


def repeated(items: Sequence[Any], cameras: Cameras) -> list[Any]:
    """The items of the first camera once per camera, none of the others, and the rest unchanged."""
    found = []
    for item in items:
        text = json.dumps(item)
        if f"/camera/{FIRST}/" in text:
            found += [_renamed(text, name, namespace) for name, namespace in cameras.items()]
        elif not any(f"/camera/{other}/" in text for other in OTHERS):
            found.append(item)
    return found


def column(panels: Sequence[str]) -> Any:
    """Panels in a column, all of the same height."""
    if len(panels) == 1:
        return panels[0]
    percentage = 100 / len(panels)
    return {"direction": "column", "splitPercentage": percentage, "first": panels[0], "second": column(panels[1:])}


def write_view(source: Path, cameras: Cameras) -> str:
    """Write a view or layout file of the bringup for these cameras into a new folder; returns its path."""
    target = Path(mkdtemp(prefix="camera_perception_")) / source.name
    text = source.read_text("utf-8")
    if source.suffix == ".json":
        target.write_text(json.dumps(foxglove_layout(json.loads(text), cameras), indent=2), "utf-8")
    else:
        target.write_text(yaml.safe_dump(rviz_view(yaml.safe_load(text), cameras), sort_keys=False), "utf-8")
    return str(target)


def _renamed(text: str, name: str, namespace: str) -> Any:
    """The item with the topics and labels of another camera."""
    text = re.sub(rf"(?<![/\w]){FIRST}(?![/\w])", name, text)
    return json.loads(text.replace(f"/camera/{FIRST}/", f"{namespace}/"))
