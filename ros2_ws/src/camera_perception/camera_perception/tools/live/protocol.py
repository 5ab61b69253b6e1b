"""What the page and the server say to each other.

To the page: `hello` and `state` as JSON text, images as one binary message each: the length of its JSON as 4 bytes,
little endian; the JSON; the image file. To the server: one small JSON text per command or acknowledgement.
NaN and infinity are not JSON: both become null.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from camera_perception.core.types import LineColor, LineType, flag_names
from camera_perception.draw.colors import LIGHT_COLORS, LINE_COLORS, Color, class_color, line_color
from camera_perception.objects.footprint import footprint

VERSION = 1
DIGITS = 4  # decimals of numbers sent to the page: a tenth of a millimetre
COMMANDS = {"play": "", "pause": "", "seek": "to", "step": "by", "speed": "to", "tune": "to"}  # name of their number
SPEEDS = (0.1, 16.0)  # slowest and fastest playback


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """One image and what was perceived in it.

    fields   of its PerceptionFrame
    image    an image file that browsers show; mime is its type. b"" when the image could not be decoded
    seconds  on the timeline of a recording, or since the start of a camera
    turned   the file's EXIF orientation is applied, as to image files; images in recordings are used as stored
    """

    camera: str
    fields: Mapping[str, Any]
    image: bytes
    mime: str
    seconds: float
    turned: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A request of a viewer: action is a key of COMMANDS; head is the one to tune."""

    action: str
    value: float = 0.0
    head: str = ""


def packed(frame: LiveFrame, number: int) -> bytes:
    """The binary message of a frame; number counts the images of its camera."""
    head = {
        "type": "frame",
        "camera": frame.camera,
        "number": number,
        "seconds": frame.seconds,
        "mime": frame.mime,
        "turned": frame.turned,
        "perception": _with_views(frame.fields),
    }
    text = to_json(head).encode()
    return b"".join((struct.pack("<I", len(text)), text, frame.image))


def unpacked(message: bytes) -> tuple[dict[str, Any], bytes]:
    """(JSON, image file) of a binary message."""
    (length,) = struct.unpack_from("<I", message)
    return json.loads(message[4 : 4 + length]), message[4 + length :]


def to_json(value: Any) -> str:
    return json.dumps(plain(value), separators=(",", ":"), allow_nan=False)


def plain(value: Any) -> Any:
    """The value as JSON knows it: arrays as lists, numbers rounded, those that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def _with_views(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields, with flags by name and the road that each object covers."""
    objects = [{**item, "footprint": _footprint(item)} for item in fields.get("objects", ())]
    return {**fields, "objects": objects, "flags": flag_names(int(fields.get("status_flags", 0)))}


def _footprint(item: Mapping[str, Any]) -> np.ndarray | None:
    """(4, 2) corners in metres; None without a position."""
    if not item["has_position"]:
        return None
    position, velocity = item["position"], item["velocity"]
    ends = np.array([position["x"], position["y"]]), np.array([velocity["x"], velocity["y"]], float)
    return footprint(ends[0], str(item["class_name"]), np.nan_to_num(ends[1]))


def command_of(text: str) -> Command | None:
    """The command in a text of a viewer; None when it is none, or its value is not a finite number."""
    message = _object(text)
    action = message.get("do")
    if not isinstance(action, str) or action not in COMMANDS:
        return None
    name, head = COMMANDS[action], message.get("head", "")
    value = message.get(name) if name else 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return Command(action, float(value), head if isinstance(head, str) else "")


def acknowledged(text: str) -> str | None:
    """The camera whose image a viewer has drawn; None for other texts."""
    camera = _object(text).get("ack")
    return camera if isinstance(camera, str) else None


def token_of(text: str) -> str:
    """The token in the first text of a viewer; "" without one."""
    token = _object(text).get("token")
    return token if isinstance(token, str) else ""


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def palette(classes: tuple[str, ...]) -> dict[str, Any]:
    """The colours of the drawn pictures, as #rrggbb: of classes, lamps, road edges, paints of lines by their number."""
    return {
        "classes": {name: _css(class_color(name)) for name in classes},
        "lamps": {name: _css(color) for name, color in LIGHT_COLORS.items()},
        "paints": {str(int(paint)): _css(color) for paint, color in LINE_COLORS.items()},
        "edge": _css(line_color(LineType.ROAD_EDGE, LineColor.UNKNOWN)),
    }


def vocabulary() -> dict[str, dict[str, str]]:
    """Words for the numbers in messages."""
    return {
        "line_types": {str(int(kind)): kind.name.lower().replace("_", " ") for kind in LineType},
        "paints": {str(int(paint)): paint.name.lower() for paint in LineColor},
    }


def _css(color: Color) -> str:
    blue, green, red = color
    return f"#{red:02x}{green:02x}{blue:02x}"
