"""The live drive in Foxglove: images, annotations, a 3D scene, transforms, our messages, thresholds and the model.

The only file that imports foxglove. Every channel exists before the server starts: a client that subscribes at once to
a later one gets nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from camera_perception.core.errors import PerceptionError
from camera_perception.draw.colors import LINE_COLORS, Color, class_color
from camera_perception.geometry.camera import Camera
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import PERCEPTION_FRAME, definition
from camera_perception.objects.footprint import CAR, SIZES, center_from_contact, heading_of
from camera_perception.tools.live.protocol import Command, LiveFrame

LIFETIME = 1.0  # seconds that an object stays in the 3D scene without a new message
SERVICE = "load_model"
Fields = Mapping[str, Any]
Load = Callable[[str], None]  # a model folder; raises PerceptionError


class FoxgloveServer:
    """A WebSocket server for the Foxglove app.

    cameras     by name; their poses become transforms
    thresholds  by head, as parameters HEAD_threshold; viewers may set them if tuning is true
    control     gets commands to change thresholds, load the folder of a model; both in the server's threads
    raises PerceptionError when foxglove-sdk is missing or the port is taken
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera | None],
        thresholds: Mapping[str, float],
        control: Callable[[Command], None],
        load: Load | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 8765,
        tuning: bool = True,
    ) -> None:
        self._sdk = sdk = _foxglove()
        self._cameras, self._thresholds = dict(cameras), dict(thresholds)
        self._control, self._load, self._tuning = control, load, tuning
        self._context = sdk.Context()
        self._channels = {name: self._channels_of(name) for name in cameras}
        self._tf = sdk.channels.FrameTransformsChannel("/tf", context=self._context)
        self._log = sdk.channels.LogChannel("/log", context=self._context)
        capability = sdk.websocket.Capability
        try:
            self._server = sdk.start_server(
                name="camera_perception",
                host=host,
                port=port,
                context=self._context,
                capabilities=[capability.Parameters, capability.Services],
                supported_encodings=["json"],
                server_listener=_Listener(self),
                services=[self._service()] if tuning and load is not None else None,
                message_backlog_size=64,
            )
        except Exception as error:  # the SDK raises its own
            raise PerceptionError(f"port {port} cannot be served to Foxglove ({error}): give another one") from error

    @property
    def port(self) -> int:
        return int(self._server.port)

    def show(self, frame: LiveFrame) -> None:
        """Send one frame; topics that nobody looks at cost nothing."""
        fields, channels = frame.fields, self._channels[frame.camera]
        stamp = fields["header"]["stamp"]
        time_ns = stamp["sec"] * 10**9 + stamp["nanosec"]
        at = self._sdk.messages.Timestamp(stamp["sec"], stamp["nanosec"])
        for name, message in self._messages(frame, at):
            if channels[name].has_sinks():
                channels[name].log(message(), log_time=time_ns)
        if self._tf.has_sinks():
            self._tf.log(self._transforms(frame.camera, fields, at), log_time=time_ns)
        if fields["status"] == 2:
            self.log(f"{frame.camera}: image invalid, status_flags {fields['status_flags']}")

    def log(self, text: str) -> None:
        """A warning in the log panel."""
        messages = self._sdk.messages
        self._log.log(messages.Log(level=messages.LogLevel.Warning, message=text, name="camera_perception"))

    def close(self) -> None:
        self._server.stop()

    def _channels_of(self, camera: str) -> dict[str, Any]:
        sdk, kinds = self._sdk, self._sdk.channels
        ours = sdk.Schema(name=PERCEPTION_FRAME, encoding="ros2msg", data=definition(PERCEPTION_FRAME).encode())
        return {
            "image": kinds.CompressedImageChannel(f"/{camera}/image", context=self._context),
            "annotations": kinds.ImageAnnotationsChannel(f"/{camera}/annotations", context=self._context),
            "calibration": kinds.CameraCalibrationChannel(f"/{camera}/calibration", context=self._context),
            "scene": kinds.SceneUpdateChannel(f"/{camera}/scene", context=self._context),
            "perception": sdk.Channel(
                f"/{camera}/perception", schema=ours, message_encoding="cdr", context=self._context
            ),
        }

    def _messages(self, frame: LiveFrame, at: Any) -> list[tuple[str, Callable[[], Any]]]:
        """(channel, how to make its message)."""
        sdk, fields = self._sdk.messages, frame.fields
        camera, frame_id = self._cameras[frame.camera], fields["header"]["frame_id"]
        image_format = frame.mime.removeprefix("image/")
        made: list[tuple[str, Callable[[], Any]]] = [
            (
                "image",
                lambda: sdk.CompressedImage(timestamp=at, frame_id=frame_id, data=frame.image, format=image_format),
            ),
            ("annotations", lambda: _annotations(sdk, fields, at)),
            ("scene", lambda: _scene(sdk, frame.camera, fields, at)),
            ("perception", lambda: serialize(PERCEPTION_FRAME, fields)),
        ]
        return made if camera is None else [*made, ("calibration", lambda: _calibration(sdk, camera, frame_id, at))]

    def _transforms(self, name: str, fields: Fields, at: Any) -> Any:
        sdk, camera = self._sdk.messages, self._cameras[name]
        if camera is None or not camera.metric:
            return sdk.FrameTransforms(transforms=[])
        x, y, z = camera.pose[:3, 3].tolist()
        transform = sdk.FrameTransform(
            timestamp=at,
            parent_frame_id="base_link",
            child_frame_id=fields["header"]["frame_id"],
            translation=sdk.Vector3(x=x, y=y, z=z),
            rotation=_quaternion(sdk, camera.pose[:3, :3]),
        )
        return sdk.FrameTransforms(transforms=[transform])

    def _service(self) -> Any:
        sdk = self._sdk
        text = {"type": "object", "properties": {"model": {"type": "string", "description": "model folder"}}}
        answer = {"type": "object", "properties": {"success": {"type": "boolean"}, "message": {"type": "string"}}}
        schemas = [
            sdk.MessageSchema(
                encoding="json",
                schema=sdk.Schema(name=f"{SERVICE}_{side}", encoding="jsonschema", data=json.dumps(shape).encode()),
            )
            for side, shape in (("request", text), ("response", answer))
        ]
        schema = sdk.ServiceSchema(SERVICE, request=schemas[0], response=schemas[1])
        return sdk.Service(SERVICE, schema=schema, handler=self._on_service)

    def _on_service(self, request: Any) -> bytes:
        try:
            folder = json.loads(request.payload)["model"]
            if self._load is None or not isinstance(folder, str):
                raise PerceptionError('give {"model": "FOLDER"}')
            self._load(folder)
        except (PerceptionError, ValueError, KeyError, TypeError) as error:
            return json.dumps({"success": False, "message": f"keeping the current model: {error}"}).encode()
        return json.dumps({"success": True, "message": f"{folder} is in use"}).encode()

    def parameters(self, names: list[str]) -> list[Any]:
        """The parameters with these names, all when there are none."""
        known = {f"{head}_threshold": value for head, value in self._thresholds.items()}
        kind = self._sdk.ParameterType.Float64
        return [self._sdk.Parameter(n, value=v, type=kind) for n, v in known.items() if not names or n in names]

    def set_parameters(self, wanted: list[Any]) -> list[Any]:
        """Change thresholds where that is allowed; returns the values that hold."""
        for parameter in wanted if self._tuning else []:
            head, value = parameter.name.removesuffix("_threshold"), parameter.get_value()
            if head in self._thresholds and isinstance(value, int | float) and 0.0 <= value <= 1.0:
                self._thresholds[head] = float(value)
                self._control(Command("tune", float(value), head))
        return self.parameters([parameter.name for parameter in wanted])


class _Listener:
    """What clients ask the server; the SDK calls each method that exists."""

    def __init__(self, server: FoxgloveServer) -> None:
        self._server = server

    def on_get_parameters(self, client: Any, names: list[str], request_id: str | None = None) -> list[Any]:
        return self._server.parameters(names)

    def on_set_parameters(self, client: Any, parameters: list[Any], request_id: str | None = None) -> list[Any]:
        return self._server.set_parameters(parameters)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_"):
            return lambda *arguments, **options: None
        raise AttributeError(name)


def _foxglove() -> Any:
    try:
        import foxglove
        import foxglove.channels
        import foxglove.messages
        import foxglove.websocket
    except ImportError as error:
        raise PerceptionError(
            "--foxglove needs the 'foxglove-sdk' package: pip install foxglove-sdk==0.30.3"
        ) from error
    return foxglove


def _annotations(sdk: Any, fields: Fields, at: Any) -> Any:
    """Boxes, lane lines and the end of the free road on the image, with one label per object."""
    items = [(item, item["class_name"], class_color(item["class_name"])) for item in fields.get("objects", ())]
    items += [(light, "traffic light", (225, 225, 225)) for light in fields.get("traffic_lights", ())]
    lines = [(lane["u"], lane["v"], LINE_COLORS[lane["color"]]) for lane in fields.get("lanes", ())]
    lines.append((fields["road"]["u"], fields["road"]["v"], (115, 158, 0)))
    kind = sdk.PointsAnnotationType
    return sdk.ImageAnnotations(
        timestamp=at,
        points=[_line(sdk, kind.LineLoop, _corners(item), color, at) for item, _, color in items]
        + [_line(sdk, kind.LineStrip, np.column_stack((u, v)), color, at) for u, v, color in lines if len(u) > 1],
        texts=[_label(sdk, item, name, at) for item, name, _ in items],
    )


def _corners(item: Fields) -> np.ndarray:
    """(4, 2) pixels."""
    x, y, width, height = item["cx"], item["cy"], item["width"] / 2, item["height"] / 2
    return np.array(
        [(x - width, y - height), (x + width, y - height), (x + width, y + height), (x - width, y + height)]
    )


def _line(sdk: Any, kind: Any, points: np.ndarray, color: Color, at: Any) -> Any:
    made = [sdk.Point2(x=float(x), y=float(y)) for x, y in points]
    return sdk.PointsAnnotation(timestamp=at, type=kind, points=made, outline_color=_color(sdk, color), thickness=2.0)


def _label(sdk: Any, item: Fields, name: str, at: Any) -> Any:
    distance = item.get("range", math.nan)
    text = f"{name} #{item['track_id']}" + (f" {distance:.0f} m" if math.isfinite(distance) else "")
    corner = sdk.Point2(x=float(item["cx"] - item["width"] / 2), y=float(item["cy"] - item["height"] / 2))
    return sdk.TextAnnotation(
        timestamp=at, position=corner, text=text, font_size=12.0, text_color=sdk.Color(r=1.0, g=1.0, b=1.0, a=1.0),
        background_color=sdk.Color(r=0.1, g=0.1, b=0.1, a=0.7),
    )  # fmt: skip


def _scene(sdk: Any, camera: str, fields: Fields, at: Any) -> Any:
    """Boxes of located objects, lane lines and free road in the base frame."""
    base = fields.get("base_frame", "")
    located = [item for item in fields.get("objects", ()) if item["has_position"]] if base else []
    entities = [_entity(sdk, f"{camera} {item['track_id']}", base, at, cubes=[_cube(sdk, item)]) for item in located]
    lanes = [
        (lane["x"], lane["y"], LINE_COLORS[lane["color"]]) for lane in fields.get("lanes", ()) if lane["has_ground"]
    ]
    road = fields["road"]["ground"]
    if road:
        lanes.append(([point["x"] for point in road], [point["y"] for point in road], (115, 158, 0)))
    if base and lanes:
        lines = [_strip(sdk, np.column_stack((x, y)), color) for x, y, color in lanes]
        entities.append(_entity(sdk, f"{camera} lines", base, at, lines=lines))
    return sdk.SceneUpdate(entities=entities)


def _entity(sdk: Any, name: str, frame_id: str, at: Any, **primitives: Any) -> Any:
    lifetime = sdk.Duration.from_secs(LIFETIME)
    return sdk.SceneEntity(timestamp=at, frame_id=frame_id, id=name, lifetime=lifetime, **primitives)


def _cube(sdk: Any, item: Fields) -> Any:
    length, width, height = SIZES.get(item["class_name"], CAR)
    velocity = np.nan_to_num([item["velocity"]["x"], item["velocity"]["y"]])
    heading = heading_of(velocity)
    contact = np.array([item["position"]["x"], item["position"]["y"]])
    x, y = center_from_contact(contact, (length, width), heading).tolist()
    turned = sdk.Quaternion(z=math.sin(heading / 2), w=math.cos(heading / 2))
    pose = sdk.Pose(position=sdk.Vector3(x=x, y=y, z=height / 2), orientation=turned)
    size = sdk.Vector3(x=length, y=width, z=height)
    return sdk.CubePrimitive(pose=pose, size=size, color=_color(sdk, class_color(item["class_name"]), 0.8))


def _strip(sdk: Any, points: np.ndarray, color: Color) -> Any:
    made = [sdk.Point3(x=float(x), y=float(y)) for x, y in points]
    return sdk.LinePrimitive(points=made, thickness=0.12, color=_color(sdk, color))


def _calibration(sdk: Any, camera: Camera, frame_id: str, at: Any) -> Any:
    """In the pixel convention of CameraInfo, half a pixel from ours."""
    k = camera.pixel_from_camera.copy()
    k[:2, 2] -= 0.5
    return sdk.CameraCalibration(
        timestamp=at, frame_id=frame_id, width=camera.width, height=camera.height, distortion_model=camera.model,
        D=camera.distortion.tolist(), K=k.ravel().tolist(), R=np.eye(3).ravel().tolist(),
        P=np.c_[k, np.zeros(3)].ravel().tolist(),
    )  # fmt: skip


def _quaternion(sdk: Any, rotation: np.ndarray) -> Any:
    """Of a rotation matrix (3, 3); Bar-Itzhack, J. Guidance 2000: the eigenvector of the greatest eigenvalue."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation.tolist()
    k = np.array([
        [xx - yy - zz, yx + xy, zx + xz, zy - yz],
        [yx + xy, yy - xx - zz, zy + yz, xz - zx],
        [zx + xz, zy + yz, zz - xx - yy, yx - xy],
        [zy - yz, xz - zx, yx - xy, xx + yy + zz],
    ])  # fmt: skip
    x, y, z, w = np.linalg.eigh(k)[1][:, -1].tolist()
    return sdk.Quaternion(x=x, y=y, z=z, w=w)


def _color(sdk: Any, color: Color, alpha: float = 1.0) -> Any:
    blue, green, red = color
    return sdk.Color(r=red / 255, g=green / 255, b=blue / 255, a=alpha)
