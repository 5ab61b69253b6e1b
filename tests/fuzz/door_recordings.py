"""Doors for recordings: both storages and their metadata."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from cases import documents, files
from door import Door

from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter
from camera_perception.io.cdr import serialize
from camera_perception.io.ros_types import IMAGE

SECOND = 10**9


def read(path: Path) -> None:
    with Bag(path) as bag:
        for message in bag.messages():
            assert isinstance(message.data, bytes)


@cache
def folder_of(storage: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fuzz")) / storage
    image = serialize(IMAGE, {"encoding": "mono8", "height": 4, "width": 4, "step": 4, "data": np.zeros(16, np.uint8)})
    if storage == "mcap":
        with BagWriter(folder) as writer:
            writer.add_topic("/a", IMAGE)
            for number in range(5):
                writer.write("/a", number * SECOND, image)
    else:
        from rosbags.rosbag2 import StoragePlugin, Writer

        from camera_perception.io.ros_types import typestore

        with Writer(folder, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
            connection = writer.add_connection("/a", IMAGE, typestore=typestore())
            for number in range(5):
                writer.write(connection, number * SECOND, image)
    return folder


def storage(suffix: str) -> bytes:
    return next(folder_of(suffix).glob(f"*.{suffix}")).read_bytes()


def mcap(case: bytes, folder: Path) -> None:
    path = folder / "a.mcap"
    path.write_bytes(case)
    read(path)


def db3(case: bytes, folder: Path) -> None:
    path = folder / "a.db3"
    path.write_bytes(case)
    read(path)


def metadata(case: bytes, folder: Path) -> None:
    source = next(folder_of("mcap").glob("*.mcap"))
    (folder / source.name).write_bytes(source.read_bytes())
    (folder / "metadata.yaml").write_bytes(case)
    read(folder)


def metadata_seeds() -> list[bytes]:
    return [json.dumps(yaml.safe_load((folder_of("mcap") / "metadata.yaml").read_text())).encode()]


DOORS = [
    Door("bag_mcap", mcap, lambda: [storage("mcap")], files),
    Door("bag_db3", db3, lambda: [storage("db3")], files),
    Door("bag_metadata", metadata, metadata_seeds, documents),
]
