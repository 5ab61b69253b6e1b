"""MODEL_CARD.md: what a model is, from what, how good, and where it ends."""

from __future__ import annotations

import json
from typing import Any

LIMITS = """- Trained for forward-facing cameras between 1 and 2.5 m above a road with lane markings; other views were not seen.
- Objects under about 8 pixels high at the network's resolution are often missed, small traffic lights above all.
- Line type and colour of lines further out than the own lane are less reliable than those of the own lane.
- The network reports what it was trained to see; anything else on the road may be reported as nothing.
- Not a safety component: nothing here has been assessed for use without a human driver."""


def model_card(spec: dict[str, Any]) -> str:
    """Markdown for the contents of a model.json."""
    data = spec["training"]["config"]["data"]
    sets = "\n".join(f"- {entry.get('kind', '?')}: `{entry.get('path', '?')}`" for entry in data["train"]) or "- none recorded"
    size = spec["input"]["width"], spec["input"]["height"]
    heads = "\n".join(f"| {o['head']} | {o['kind']} | {_names(o)} |" for o in spec["outputs"])
    metrics = f"```json\n{json.dumps(spec['metrics'], indent=1)}\n```" if spec["metrics"] else "Not measured yet."
    return f"""# {spec["name"]} {spec["version"]}

{spec["description"]}. Input: {size[0]}x{size[1]} BGR uint8, letterboxed. Licence of the weights: {spec["license"]}.

## What it says
| head | kind | names |
|---|---|---|
{heads}

## Training data
{sets}

{spec["training"]["step"]} optimiser steps; the full configuration is in model.json under `training`.

## Measured
{metrics}

## Limits
{LIMITS}
"""


def _names(output: dict[str, Any]) -> str:
    names = output.get("classes") or output["options"].get("line_types") or list(output["options"].get("labels", {}))
    return ", ".join(names)
