"""RViz views and Foxglove layouts for the cameras there are, made from the bringup's files for the demo's cameras."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml

FIRST, OTHERS = "front", ("left",)  # the cameras in the files: FIRST is the pattern for all, OTHERS make room

Cameras = Mapping[str, str]  # name: namespace


def rviz_view(view: dict[str, Any], cameras: Cameras) -> dict[str, Any]:
    """The content of a .rviz file with its camera displays once per camera."""
    manager = view["Visualization Manager"]
    return {**view, "Visualization Manager": {**manager, "Displays": repeated(manager["Displays"], cameras)}}


def foxglove_layout(layout: dict[str, Any], cameras: Cameras) -> dict[str, Any]:
    """A layout with its camera panels and curves once per camera; pictures over each other on the left."""
    panels: dict[str, Any] = {}
    for name, panel in layout["configById"].items():
        if "paths" in panel:
            panels[name] = {**panel, "paths": repeated(panel["paths"], cameras)}
        else:
            panels |= dict(repeated([(name, panel)], cameras))
    pictures = [name for name in panels if name.startswith("Image!")]
    return {**layout, "configById": panels, "layout": {**layout["layout"], "first": column(pictures)}}


def repeated(items: Sequence[Any], cameras: Cameras) -> list[Any]:
    """Items that name the first camera once per camera, none that name the others, and the rest as they are."""
    found = []
    for item in items:
        text = json.dumps(item)
        if f"/camera/{FIRST}/" in text:
            found += [_renamed(text, name, namespace) for name, namespace in cameras.items()]
        elif not any(f"/camera/{other}/" in text for other in OTHERS):
            found.append(item)
    return found


def column(panels: Sequence[str]) -> Any:
    """Panels over each other, all of one height."""
    if len(panels) == 1:
        return panels[0]
    share = 100 / len(panels)
    return {"direction": "column", "splitPercentage": share, "first": panels[0], "second": column(panels[1:])}


def written(source: Path, cameras: Cameras) -> str:
    """A view or layout file of the bringup for these cameras, in a new folder; its name."""
    target = Path(mkdtemp(prefix="camera_perception_")) / source.name
    text = source.read_text("utf-8")
    if source.suffix == ".json":
        target.write_text(json.dumps(foxglove_layout(json.loads(text), cameras), indent=2), "utf-8")
    else:
        target.write_text(yaml.safe_dump(rviz_view(yaml.safe_load(text), cameras), sort_keys=False), "utf-8")
    return str(target)


def _renamed(text: str, name: str, namespace: str) -> Any:
    """Topics in their namespace, words by the camera's name."""
    text = re.sub(rf"(?<![/\w]){FIRST}(?![/\w])", name, text)
    return json.loads(text.replace(f"/camera/{FIRST}/", f"{namespace}/"))
