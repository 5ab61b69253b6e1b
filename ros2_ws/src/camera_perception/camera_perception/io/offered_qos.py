"""QoS profiles in recordings: players offer them again, so that latched topics reach those who subscribe late."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from camera_perception.core.documents.parsing import from_yaml

LATCHED = ("tf_static", "robot_description", "model_info")  # last part of a topic's name
MOST_CHARACTERS = 64 << 10
UNLIMITED = (9_223_372_036, 854_775_807)  # seconds and nanoseconds of rmw's infinite duration


def profile(*, latched: bool = False, reliable: bool = True, depth: int = 10) -> Any:
    """One profile of `offered_qos_profiles`; latched means transient local."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    unlimited = QosTime(*UNLIMITED)
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        unlimited,
        unlimited,
        QosLiveliness.AUTOMATIC,
        unlimited,
        False,
    )


def profiles_of(text: str) -> list[Any]:
    """The profiles in `offered_qos_profiles` of a file; none where the text cannot be read."""
    return list(_parsed(text))


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[Any, ...]:
    from rosbags.rosbag2.metadata import parse_qos

    if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
        return ()
    try:
        return tuple(parse_qos(from_yaml(text) or []))
    except Exception:  # of a YAML reader, or of values of other kinds than expected
        return ()


def by_name(topic: str) -> list[Any]:
    """The profile of a topic that is latched by convention; empty for any other: players then use their default."""
    return [profile(latched=True, depth=1)] if topic.rpartition("/")[2] in LATCHED else []


def is_latched(profiles: Sequence[Any]) -> bool:
    """Whether every publisher of a topic was latched."""
    return bool(profiles) and all(each.durability.name == "TRANSIENT_LOCAL" for each in profiles)
