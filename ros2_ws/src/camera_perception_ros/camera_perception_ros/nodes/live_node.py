"""Shows running camera nodes on the live page. Images are received only while somebody watches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from camera_perception.image.turn import Turn
from camera_perception.io.bag_reader import RawMessage
from camera_perception.io.ros_types import FUSED_PERCEPTION, PERCEPTION_FRAME, deserialize, fields_from_message
from camera_perception.tools.live.access import open_access
from camera_perception.tools.live.fused import FUSED, fused_text
from camera_perception.tools.live.hello import HELLO, Hello
from camera_perception.tools.live.hub import Hub
from camera_perception.tools.live.protocol import Command, LiveFrame, packed, to_json
from camera_perception.tools.live.server import LiveServer
from camera_perception.tools.live.topics import FrameMatcher, image_topic_of
from camera_perception.tools.privacy.live import open_live_cover
from camera_perception_msgs.msg import FusedPerception, ModelInfo, PerceptionFrame
from camera_perception_ros.conversions.serialized import header_stamp_ns, message_class
from camera_perception_ros.params.params import ParameterError, Parameters, StrictParametersMixin, param
from camera_perception_ros.runtime.process import Stop, leave_with, run

PERIOD = 0.2  # seconds between looks for commands, cameras and viewers
TUNABLE = ("objects", "lanes", "drivable", "scene")
NEWEST = QoSProfile(depth=3, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
fixed = partial(param, read_only=True)


@dataclass(frozen=True)
class LiveParams:
    host: str = fixed("127.0.0.1", "Address of the page; any but loopback needs a token.")
    port: int = fixed(8080, "Port of the page; 0: any free one.", low=0, high=65535)
    token: str = fixed(
        "",
        "Token of viewers, readable by other nodes; empty: that of the variable CAMERA_PERCEPTION_TOKEN, else none on "
        "the loopback address and a new one on any other, printed at start.",
    )
    tuning: bool = fixed(False, "Viewers may change the thresholds of the camera nodes.")
    anonymize: bool = fixed(False, "Cover heads and number plates before images are sent; needs model.")
    model: str = fixed("", "Model folder with classes for people and vehicles, for anonymize.")
    cameras: list[str] = fixed([""], "Names or namespaces of the cameras to show; an empty name: all.")

    def check(self) -> None:
        if self.anonymize and not self.model:
            raise ParameterError(
                "parameter 'model' is empty: 'anonymize' needs a model that detects people and vehicles"
            )


class Watched:
    """One camera node that is shown, with its subscriptions."""

    def __init__(self, topic: str, camera: str) -> None:
        self.node, self.matcher = topic.rpartition("/")[0], FrameMatcher(camera)
        self.info: ModelInfo | None = None
        self.count = 0
        self.latched: Any = None
        self.subscriptions: list[Any] = []
        self.settings: Any = None  # client that asks for the node's parameters, until it is answered


class LiveNode(StrictParametersMixin, Node):
    def __init__(self, stop: Stop | None = None, **options: Any) -> None:
        super().__init__("live", **options)
        self.params = Parameters(self, LiveParams).read()
        self.hub = Hub()
        self._cover = open_live_cover(self.params.model) if self.params.anonymize else None
        self._cameras: dict[str, Watched] = {}
        self._fusion: Any = None  # the subscription of the first fusion node, while somebody watches
        self._commands: SimpleQueue[Command] = SimpleQueue()  # from the server's thread
        access = open_access(self.params.host, self.params.token)
        self.server = LiveServer(self.hub, self._commands.put, access, self.params.port).start()
        print(f"live page: {self.server.address}", flush=True)  # not logged: /rosout would spread the token
        self._timer = self.create_timer(PERIOD, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._look()

    def _look(self) -> None:
        """Obey viewers; find new cameras; subscribe while somebody watches, and no longer."""
        while not self._commands.empty():
            self._obey(self._commands.get())
        topics = {name: kinds[0] for name, kinds in self.get_topic_names_and_types()}
        for topic, kind in topics.items():
            if kind == PERCEPTION_FRAME and topic not in self._cameras and self._wanted(topic):
                self._add(topic)
        self._watch_fusion(sorted(topic for topic, kind in topics.items() if kind == FUSED_PERCEPTION))
        for topic, camera in self._cameras.items():
            images = image_topic_of(topic, topics)
            if len(self.hub) and not camera.subscriptions and images:
                self._subscribe(camera, topic, images, topics[images])
            elif not len(self.hub) and camera.subscriptions:
                self._unsubscribe(camera)
            if camera.settings is not None and camera.settings.service_is_ready():
                self._ask_turn(camera)

    def _watch_fusion(self, topics: list[str]) -> None:
        if len(self.hub) and self._fusion is None and topics:
            self._fusion = self.create_subscription(FusedPerception, topics[0], self._on_fused, NEWEST, raw=True)
        elif not len(self.hub) and self._fusion is not None:
            self.destroy_subscription(self._fusion)
            self._fusion = None

    def _on_fused(self, data: bytes) -> None:
        fields = fields_from_message(deserialize(FUSED_PERCEPTION, data))
        self.hub.publish(FUSED, fused_text(fields, [camera["camera_name"] for camera in fields["cameras"]]))

    def _wanted(self, topic: str) -> bool:
        namespace, wanted = topic.rsplit("/", 2)[0], set(filter(None, self.params.cameras))
        return not wanted or bool(wanted & {namespace, namespace.strip("/"), namespace.rpartition("/")[2]})

    def _add(self, topic: str) -> None:
        namespace = topic.rsplit("/", 2)[0]
        name = namespace.rpartition("/")[2] or "camera"
        taken = {camera.matcher.camera for camera in self._cameras.values()}
        camera = self._cameras[topic] = Watched(topic, namespace.strip("/") if name in taken else name)
        camera.latched = self.create_subscription(
            ModelInfo, f"{camera.node}/model_info", partial(self._on_model, camera), LATCHED
        )
        self._greet()

    def _subscribe(self, camera: Watched, topic: str, images: str, kind: str) -> None:
        frame = partial(self._on_message, camera, camera.matcher.frame, PERCEPTION_FRAME, topic)
        image = partial(self._on_message, camera, camera.matcher.image, kind, images)
        camera.subscriptions = [
            self.create_subscription(PerceptionFrame, topic, frame, NEWEST, raw=True),
            self.create_subscription(message_class(kind), images, image, NEWEST, raw=True),
        ]

        camera.settings = self.create_client(GetParameters, f"{camera.node}/get_parameters")

    def _ask_turn(self, camera: Watched) -> None:
        """Images are turned as the node turns them: its results are pixels of turned images."""
        client, camera.settings = camera.settings, None
        client.call_async(GetParameters.Request(names=["rotate", "mirror"])).add_done_callback(
            partial(self._on_turn, camera, client)
        )

    def _on_turn(self, camera: Watched, client: Any, future: Any) -> None:
        self.destroy_client(client)
        rotate, mirror = future.result().values or (ParameterValue(), ParameterValue())
        camera.matcher.turn = Turn(int(rotate.integer_value), bool(mirror.bool_value))

    def _unsubscribe(self, camera: Watched) -> None:
        for subscription in camera.subscriptions:
            self.destroy_subscription(subscription)
        camera.subscriptions = []

    def _on_message(self, camera: Watched, take: Any, kind: str, topic: str, data: bytes) -> None:
        stamp_ns = header_stamp_ns(data)
        covered = data if self._cover is None else self._cover(topic, kind, data)
        if covered is not None:
            self._show(camera, take(stamp_ns, RawMessage(topic, kind, stamp_ns, covered)))

    def _show(self, camera: Watched, frame: LiveFrame | None) -> None:
        if frame is not None:
            camera.count += 1
            self.hub.publish(frame.camera, packed(frame, camera.count))

    def _on_model(self, camera: Watched, info: ModelInfo) -> None:
        camera.info = info
        self._greet()

    def _greet(self) -> None:
        infos = [camera.info for camera in self._cameras.values() if camera.info]
        heads = {head.name: head for info in infos for head in info.heads}
        hello = Hello(
            source="running nodes",
            model=", ".join(sorted({f"{info.model_name} {info.model_version}" for info in infos})),
            engine=", ".join(sorted({f"{info.backend} {info.device}" for info in infos})),
            cameras=[{"name": camera.matcher.camera, "no_metres": ""} for camera in self._cameras.values()],
            classes=tuple(heads["objects"].class_names) if "objects" in heads else (),
            heads=[_slider(heads[name]) for name in TUNABLE if name in heads] if self.params.tuning else [],
            anonymized=self._cover is not None,
        )
        self.hub.publish(HELLO, hello.text())

    def _obey(self, command: Command) -> None:
        """Set the threshold of a head on all camera nodes."""
        if command.action != "tune" or not self.params.tuning or command.head not in TUNABLE:
            return
        value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=min(max(command.value, 0.0), 1.0))
        wanted = ParameterMessage(name=f"{command.head}_threshold", value=value)
        for camera in self._cameras.values():
            client = self.create_client(SetParameters, f"{camera.node}/set_parameters")
            client.call_async(SetParameters.Request(parameters=[wanted])).add_done_callback(
                lambda future, client=client: self.destroy_client(client)
            )
        self.hub.publish(" state", to_json({"type": "state", "thresholds": {command.head: command.value}, "error": ""}))

    def close(self) -> None:
        """Called when the process ends."""
        self.server.close()
        if self._cover is not None:
            self._cover.close()


def _slider(head: Any) -> dict[str, object]:
    return {"name": head.name, "threshold": float(head.thresholds[0]) if head.thresholds else 0.5}


def create(stop: Stop) -> Sequence[Node]:
    return [LiveNode(stop)]


def command(**values: Any) -> None:
    """`camera-perception live topics`: the node with these parameters, until Ctrl-C."""
    given = [Parameter(name, value=value) for name, value in values.items()]
    leave_with(run(lambda stop: [LiveNode(stop, parameter_overrides=given)]))
