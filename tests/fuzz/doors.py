"""All doors by name; that of the fusion where there is ROS."""

from __future__ import annotations

from importlib.util import find_spec

import door_documents
import door_images
import door_labels
import door_messages
import door_recordings

MODULES = [door_images, door_messages, door_recordings, door_documents, door_labels]
if find_spec("rclpy") and find_spec("camera_perception_msgs"):
    import door_fusion

    MODULES.insert(2, door_fusion)
DOORS = {door.name: door for module in MODULES for door in module.DOORS}
