"""What TensorRT's engine inspector says, in short. Knows texts only, no TensorRT."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


def layer_precisions(inspection: str) -> dict[str, int]:
    """Layers by the number type of their first output: {"Half": 52, "Int8": 40, "Float": 9}."""
    try:
        layers = json.loads(inspection).get("Layers", [])
    except (ValueError, AttributeError):
        return {}
    return dict(Counter(_precision(layer) for layer in layers if isinstance(layer, dict)).most_common())


def _precision(layer: dict[str, Any]) -> str:
    """Formats read "Half NHWC8 ..." or "Int8 ..."; older ones "Channel major FP16 format ..."."""
    text = str((layer.get("Outputs") or [{}])[0].get("Format/Datatype", "unknown"))
    words = ("Int8", "Half", "FP16", "BFloat16", "FP8", "FP32", "Float", "Int32", "Int64", "UInt8", "Bool")
    names = {"FP16": "Half", "FP32": "Float"}
    found = next((word for word in words if word.lower() in text.lower()), "unknown")
    return names.get(found, found)
