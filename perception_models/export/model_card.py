"""MODEL_CARD.md: what a model is, from what, how good, and where it ends."""

from __future__ import annotations

from typing import Any

LIMITS = """- Trained for cameras between 1 and 2.5 m above a road, most of them looking ahead; only those tell lines.
- Objects under about 8 pixels high at the network's resolution are often missed, small traffic lights above all.
- Line type and colour of lines further out than the own lane are less reliable than those of the own lane.
- The network reports what it was trained to see; anything else on the road may be reported as nothing.
- Not a safety component: nothing here has been assessed for use without a human driver."""

RENDERED_LIMIT = "- Most of what it saw is rendered: cities, people and weather of real cameras differ from that."

# Folder name: what the data are and their licence
SOURCES = {
    "render": "rendered by this project, labels exact; Apache-2.0",
    "highway": "29 real highway frames (Udacity, MIT), boxes and areas drawn for this project",
    "traffic_light_crops": "real traffic-light crops (MIT); only those of the training fold",
}
# Kind of data: the same
KINDS = {
    "bdd100k": "BDD100K; its licence does not allow commercial use, of weights either",
    "kitti": "KITTI; CC BY-NC-SA 3.0, no commercial use",
    **dict.fromkeys(("coco", "tusimple", "culane"), "a public format; read the licence of the data"),
}


def model_card(spec: dict[str, Any]) -> str:
    """Markdown for the contents of a model.json."""
    size = spec["input"]["width"], spec["input"]["height"]
    heads = "\n".join(f"| {o['head']} | {o['kind']} | {_names(o)} |" for o in spec["outputs"])
    return f"""# {spec["name"]} {spec["version"]}

{spec["description"]}. Input: {size[0]}x{size[1]} BGR uint8, letterboxed. Licence of the weights: {spec["license"]}.

## What it says
| head | kind | names |
|---|---|---|
{heads}

## Training data
{_data(spec["training"]["config"]["data"])}

{_course(spec["training"])}; the full configuration is in model.json under `training`.

## Measured
{_metrics(spec["metrics"])}

## Limits
{_limits(spec["training"]["config"]["data"])}
"""


def figures_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """{data set: {figure: value}} of what `evaluate` wrote; anything else as it is."""
    sets = metrics.get("datasets")
    return {name: figures["headlines"] for name, figures in sets.items()} if isinstance(sets, dict) else metrics


def _data(data: dict[str, Any]) -> str:
    rows = [f"- {entry.get('kind', '?')}: `{entry.get('path', '?')}`{_source(entry)}" for entry in data["train"]]
    if data.get("lights"):
        rows.append(f"- pasted into pictures: `{data['lights']}`{_source({'path': data['lights']})}")
    return "\n".join(rows) or "- none recorded"


def _limits(data: dict[str, Any]) -> str:
    rendered = any("render" in str(entry.get("path")).split("/") for entry in data["train"])
    return "\n".join([LIMITS, *([RENDERED_LIMIT] if rendered else [])])


def _course(training: dict[str, Any]) -> str:
    weights = (training["config"].get("transfer") or {}).get("weights")
    course = f"{training['step']} optimiser steps" + (f", from the weights `{weights}` on" if weights else "")
    parts = [f"{100 * part['share']:.0f} % `{part['checkpoint']}`" for part in training.get("soup", [])]
    return f"{course}; the mean of {', '.join(parts)}" if parts else course


def _source(entry: dict[str, Any]) -> str:
    parts = str(entry.get("path")).split("/")
    words = KINDS.get(entry.get("kind", ""), next((text for name, text in SOURCES.items() if name in parts), None))
    return f" ({words})" if words else ""


def _metrics(metrics: dict[str, Any]) -> str:
    """A table of {data set: {figure: value}}."""
    rows = [
        f"| {name} | {figure} | {value:.3f} |"
        for name, figures in metrics.items()
        if isinstance(figures, dict)
        for figure, value in figures.items()
        if isinstance(value, (int, float))
    ]
    return "\n".join(["| data | figure | value |", "|---|---|---|", *rows]) if rows else "Not measured yet."


def _names(output: dict[str, Any]) -> str:
    names = output.get("classes") or output["options"].get("line_types") or list(output["options"].get("labels", {}))
    return ", ".join(names)
