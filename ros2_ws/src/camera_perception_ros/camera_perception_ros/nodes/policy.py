"""The SROS2 policy of our nodes: what each may publish, subscribe to, offer and call, from the same parameters.

An enclave is a process: its name is that of its node, as the launch files give it; a rig in one process has one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from camera_perception.core.documents.parsing import read_yaml
from camera_perception.geometry.rig import read_rig
from camera_perception_ros.fusion.outputs import fused_outputs
from camera_perception_ros.launching import FUSION, NODE, RIG_ENCLAVE, rig_overrides
from camera_perception_ros.outputs.publishers import optional_outputs, standard_outputs
from camera_perception_ros.params.camera import CameraParams
from camera_perception_ros.params.params import ParameterError

VERSION = "0.2.0"  # of the policy schema of sros2
LIVE, RECORDER, OPERATOR = "/live", "/bag_recorder", "/operator"
EVERY_NODE = ("/rosout", "/parameter_events")
PARAMETERS = (
    "~/describe_parameters",
    "~/get_parameter_types",
    "~/get_parameters",
    "~/list_parameters",
    "~/set_parameters",
    "~/set_parameters_atomically",
    "~/get_type_description",
)
LIFECYCLE = (
    "~/change_state",
    "~/get_state",
    "~/get_available_states",
    "~/get_available_transitions",
    "~/get_transition_graph",
)


@dataclass(frozen=True)
class Profile:
    """What one node may use; names as in its code: absolute, relative to its namespace, or ~ for the node."""

    node: str
    publish: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    request: tuple[str, ...] = field(default=())

    @property
    def names(self) -> dict[tuple[str, str, str], list[str]]:
        """(element, attribute, element of a name) of the policy -> absolute names, sorted."""
        kinds = {
            ("topics", "publish", "topic"): (*EVERY_NODE, *self.publish),
            ("topics", "subscribe", "topic"): ("/clock", *self.subscribe),
            ("services", "reply", "service"): (*PARAMETERS, *self.reply),
            ("services", "request", "service"): self.request,
        }
        return {kind: sorted({absolute(name, self.node) for name in names if name}) for kind, names in kinds.items()}


def absolute(name: str, node: str) -> str:
    """The full name of a topic or service of a node, as rcl expands it."""
    if name.startswith("/"):
        return name
    return f"{node}{name[1:]}" if name.startswith("~") else f"{node.rpartition('/')[0]}/{name}"


def camera_profile(params: CameraParams, node: str) -> Profile:
    """A camera node with these parameters. With transport `auto` it may use either image topic."""
    outputs = [*standard_outputs(lambda: 0), *optional_outputs()[0]]
    images = {
        "raw": (params.image_topic,),
        "compressed": (f"{params.image_topic}/compressed",),
        "auto": (params.image_topic, f"{params.image_topic}/compressed"),
    }
    ranges = params.odometry_topic, params.depth_topic, params.lidar_topic
    return Profile(
        node,
        ("/diagnostics", "~/perception", "~/model_info", "~/transition_event", *(each.topic for each in outputs)),
        ("/tf", "/tf_static", "/diagnostics", params.info_topic, *images[params.transport], *ranges),
        (*LIFECYCLE, *(["~/load_model"] if params.load_service else [])),
    )


def fusion_profile(cameras: Sequence[str], odometry_topic: str = "", node: str = FUSION) -> Profile:
    """The fusion of these camera nodes."""
    outputs = [each.topic for each in fused_outputs()]
    return Profile(
        node,
        ("/diagnostics", "~/fused", "~/transition_event", *outputs),
        (*(f"{camera}/perception" for camera in cameras), odometry_topic),
        LIFECYCLE,
    )


def observers(profiles: Sequence[Profile]) -> list[Profile]:
    """The live page and the recorder, which see what the nodes use, and an operator, who may also call all services."""
    topics = {name for each in profiles for name in (*_of(each, "publish"), *_of(each, "subscribe"))}
    services = {name for each in profiles for name in _of(each, "reply")}
    seen = tuple(sorted(topics))
    setting = tuple(name for name in services if name.endswith("/set_parameters"))
    return [
        Profile(LIVE, subscribe=seen, request=setting),
        Profile(RECORDER, subscribe=seen),
        Profile(OPERATOR, subscribe=seen, request=tuple(services)),
    ]


def _of(profile: Profile, use: str) -> list[str]:
    return next(names for kind, names in profile.names.items() if kind[1] == use)


def policy_xml(rig: Path | None, namespace: str, files: Sequence[Path], one_process: bool) -> str:
    """The policy of a rig and its fusion, or of the one camera in a namespace, with the parameters of these files."""
    given = _given(files)
    if rig is None:
        cameras = [camera_profile(_params(given), f"/{namespace.strip('/')}/{NODE}")]
        return xml(_enclaves([*cameras, *observers(cameras)]))
    cameras = [
        camera_profile(_params(given | rig_overrides(camera)), f"{camera.namespace}/{NODE}") for camera in read_rig(rig)
    ]
    fusion = fusion_profile([camera.node for camera in cameras], str(given.get("odometry_topic", "")))
    enclaves = {RIG_ENCLAVE: cameras} if one_process else _enclaves(cameras)
    return xml({**enclaves, **_enclaves([fusion, *observers([*cameras, fusion])])})


def _enclaves(profiles: Iterable[Profile]) -> dict[str, list[Profile]]:
    return {profile.node: [profile] for profile in profiles}


def _params(given: Mapping[str, Any]) -> CameraParams:
    known = {entry.name for entry in fields(CameraParams)}
    return CameraParams(**{name: value for name, value in given.items() if name in known})


def _given(files: Sequence[Path]) -> dict[str, Any]:
    """The parameters for all nodes (`/**`) of parameter files; ParameterError for a file without them."""
    values: dict[str, Any] = {}
    for path in files:
        try:
            values |= read_yaml(path)["/**"]["ros__parameters"]
        except (ValueError, KeyError, TypeError) as error:
            raise ParameterError(f"{path} has nothing under /**: ros__parameters: give a file that has") from error
    return values


def xml(enclaves: Mapping[str, Sequence[Profile]]) -> str:
    """A policy file of sros2 with one enclave per key."""
    policy = ElementTree.Element("policy", version=VERSION)
    parent = ElementTree.SubElement(policy, "enclaves")
    for path, profiles in enclaves.items():
        inner = ElementTree.SubElement(ElementTree.SubElement(parent, "enclave", path=path), "profiles")
        for profile in profiles:
            _add(inner, profile)
    ElementTree.indent(policy)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(policy, "unicode")}\n'


def _add(profiles: ElementTree.Element, profile: Profile) -> None:
    namespace, _, name = profile.node.rpartition("/")
    element = ElementTree.SubElement(profiles, "profile", ns=namespace or "/", node=name)
    for (group, use, item), names in profile.names.items():
        parent = ElementTree.SubElement(element, group, {use: "ALLOW"}) if names else element
        for each in names:
            ElementTree.SubElement(parent, item).text = each
