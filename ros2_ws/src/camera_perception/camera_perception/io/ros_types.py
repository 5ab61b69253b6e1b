"""ROS message types without ROS: their definitions, and reading serialised messages with rosbags.

Our own types come from the .msg files of camera_perception_msgs; `msg` beside this file is a link to them, which
packaging turns into copies.
"""

from __future__ import annotations

import re
from dataclasses import is_dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from camera_perception.core.errors import BagError

OURS = "camera_perception_msgs"
PERCEPTION_FRAME = f"{OURS}/msg/PerceptionFrame"
FUSED_PERCEPTION = f"{OURS}/msg/FusedPerception"
IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
MARKER_ARRAY = "visualization_msgs/msg/MarkerArray"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
COMPRESSED_VIDEO = "foxglove_msgs/msg/CompressedVideo"
FFMPEG_PACKET = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
VIDEO = {
    COMPRESSED_VIDEO: "builtin_interfaces/Time timestamp\nstring frame_id\nuint8[] data\nstring format",
    FFMPEG_PACKET: "std_msgs/Header header\nint32 width\nint32 height\nstring encoding\nuint64 pts\nuint8 flags\n"
    "bool is_bigendian\nuint8[] data",
}

# The standard types that nodes serialise themselves, and those inside our messages: without rosbags.
STANDARD = {
    "builtin_interfaces/msg/Duration": "int32 sec\nuint32 nanosec",
    "builtin_interfaces/msg/Time": "int32 sec\nuint32 nanosec",
    "geometry_msgs/msg/Point": "float64 x\nfloat64 y\nfloat64 z",
    "geometry_msgs/msg/Point32": "float32 x\nfloat32 y\nfloat32 z",
    "geometry_msgs/msg/Pose": "Point position\nQuaternion orientation",
    "geometry_msgs/msg/Quaternion": "float64 x\nfloat64 y\nfloat64 z\nfloat64 w",
    "geometry_msgs/msg/Vector3": "float64 x\nfloat64 y\nfloat64 z",
    COMPRESSED_IMAGE: "std_msgs/Header header\nstring format\nuint8[] data",
    "std_msgs/msg/ColorRGBA": "float32 r\nfloat32 g\nfloat32 b\nfloat32 a",
    "std_msgs/msg/Header": "builtin_interfaces/Time stamp\nstring frame_id",
    "visualization_msgs/msg/Marker": "std_msgs/Header header\nstring ns\nint32 id\nint32 type\nint32 action\n"
    "geometry_msgs/Pose pose\ngeometry_msgs/Vector3 scale\nstd_msgs/ColorRGBA color\n"
    "builtin_interfaces/Duration lifetime\nbool frame_locked\ngeometry_msgs/Point[] points\n"
    "std_msgs/ColorRGBA[] colors\nstring texture_resource\nsensor_msgs/CompressedImage texture\n"
    "UVCoordinate[] uv_coordinates\nstring text\nstring mesh_resource\nMeshFile mesh_file\n"
    "bool mesh_use_embedded_materials",
    MARKER_ARRAY: "Marker[] markers",
    "visualization_msgs/msg/MeshFile": "string filename\nuint8[] data",
    "visualization_msgs/msg/UVCoordinate": "float32 u\nfloat32 v",
}


# A line of a .msg file that declares a field: type, array suffix, name. Constants have "=" after their name.
FIELD = re.compile(r"^([\w/]+)(?:<=\d+)?(\[(?:<=)?\d*\])?[ \t]+(\w+)(?!\w)(?![ \t]*=)", re.MULTILINE)


@cache
def field_types(kind: str) -> dict[str, str]:
    """Fields of a message type in order; BagError when the type is unknown here.

    returns  name: "float32", "string", "float32[4]" (array), "std_msgs/msg/Header[]" (sequence); without upper bounds
    """
    fields = FIELD.findall(_message_text(kind))
    types = {name: _whole_name(type_, kind) + ("[]" if "<" in suffix else suffix) for type_, suffix, name in fields}
    return types or {"structure_needs_at_least_one_member": "uint8"}  # as rosidl fills an empty message


def _whole_name(type_: str, kind: str) -> str:
    """ "std_msgs/Header" as "std_msgs/msg/Header"; a bare name is of the package of kind; primitives stay."""
    if type_ == "Header":
        return "std_msgs/msg/Header"
    package, slash, name = type_.rpartition("/")
    if not slash and type_.islower():
        return type_
    return f"{package.removesuffix('/msg') or kind.partition('/')[0]}/msg/{name}"


def _message_text(kind: str) -> str:
    """Text of the .msg file of a type."""
    package, _, name = kind.split("/")
    if package == OURS and name in message_files():
        return message_files()[name]
    return STANDARD.get(kind) or definition(kind).partition("=" * 80)[0]


@cache
def message_files() -> dict[str, str]:
    """Name of each of our messages: text of its .msg file."""
    folder = files("camera_perception.io").joinpath("msg")
    texts = {path.name[:-4]: path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".msg")}
    return dict(sorted(texts.items()))


@lru_cache(maxsize=1)
def typestore() -> Any:
    """The rosbags types of ROS 2's common interfaces and our own. BagError when rosbags is not installed."""
    try:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore
    except ImportError as error:
        raise BagError(f"recordings need the '{error.name}' package: pip install rosbags") from error
    store = get_typestore(Stores.ROS2_JAZZY)
    ours: dict[str, Any] = {}
    for name, text in message_files().items():
        ours.update(get_types_from_msg(text, f"{OURS}/msg/{name}"))
    for name, text in VIDEO.items():
        ours.update(get_types_from_msg(text, name))
    store.register(ours)
    return store


@lru_cache(maxsize=8)
def recorded_types(kind: str, text: str) -> Any:
    """The types as a recording describes them, so that recordings outlive changes of our messages."""
    from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore

    is_idl = text.startswith("=" * 80 + "\nIDL: ")
    store = get_typestore(Stores.ROS2_JAZZY)
    try:
        types = get_types_from_idl(text) if is_idl else get_types_from_msg(text, kind)
        store.register({name: fields for name, fields in types.items() if name not in store.types})
    except TypesysError as error:
        raise BagError(f"the recording describes {kind} in a way that cannot be read ({error})") from error
    return store


def definition(kind: str) -> str:
    """The text that describes a type and all it contains, as bags store it; BagError when the type is unknown."""
    if kind not in typestore().types:
        raise BagError(f"message type {kind} is unknown here: its definition is neither ours nor in rosbags")
    text: str = typestore().generate_msgdef(kind, ros_version=2)[0]
    return text


def deserialize(kind: str, data: bytes, store: Any = None) -> Any:
    """Bytes as a rosbags message; BagError when they are not of that type. `store` is a result of recorded_types."""
    store = store or typestore()
    if kind not in store.types:
        raise BagError(f"messages of type {kind} cannot be read: the type is not known here")
    try:
        return store.deserialize_cdr(data, kind)
    except Exception as error:  # rosbags generates its readers; broken bytes fail in many ways
        raise BagError(f"a message of type {kind} is broken ({error!r}): try `camera-perception repair-bag`") from error


def fields_from_message(message: Any, store: Any = None) -> dict[str, Any]:
    """A rosbags message as nested dicts, lists, numbers and arrays."""
    fields = (store or typestore()).fielddefs[message.__msgtype__][1]
    return {name: _plain(getattr(message, name), store) for name, _ in fields}


def _plain(value: Any, store: Any) -> Any:
    if is_dataclass(value):
        return fields_from_message(value, store)
    return [_plain(item, store) for item in value] if isinstance(value, list) else value
