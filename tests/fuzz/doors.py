"""All doors by name."""

from __future__ import annotations

import door_documents
import door_images
import door_labels
import door_messages
import door_recordings

MODULES = (door_images, door_messages, door_recordings, door_documents, door_labels)
DOORS = {door.name: door for module in MODULES for door in module.DOORS}
