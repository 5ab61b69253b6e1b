"""Where the cameras of a recording sit, as its /tf_static says."""

from __future__ import annotations

from typing import Any

import numpy as np

from camera_perception.bag import Bag
from camera_perception.bag_types import deserialize
from camera_perception.tf_tree import TfTree

TRANSFORMS = "tf2_msgs/msg/TFMessage"


def mounting(bag: Bag, frame: str, base: str = "base_link") -> np.ndarray | None:
    """base_from_camera (4, 4) of an optical frame; None when the recording does not say."""
    topics = [topic for topic, kind in bag.topics.items() if kind == TRANSFORMS and topic.endswith("tf_static")]
    tree = TfTree()
    for message in bag.messages(topics) if topics else ():
        for entry in deserialize(message.kind, message.data).transforms:
            _add(tree, entry)
    return tree.base_from(base, frame)


def _add(tree: TfTree, entry: Any) -> None:
    shift, turn = entry.transform.translation, entry.transform.rotation
    tree.add(entry.header.frame_id, entry.child_frame_id, (shift.x, shift.y, shift.z), (turn.x, turn.y, turn.z, turn.w))
