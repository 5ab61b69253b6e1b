"""Repair of damaged recordings: copy every complete message to a new one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from camera_perception.core.errors import BagError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter


def repair_bag(path: Path | str, out: Path | str | None = None, *, version: int = 9) -> tuple[Path, Counter[str]]:
    """Copy every complete message to PATH_repaired (or `out`); returns the new folder and the messages per topic.

    The damaged recording stays as it is. BagError when nothing can be read or the new folder exists.
    """
    path = Path(path)
    folder = Path(out) if out else path.with_name(f"{path.stem}_repaired")
    with Bag(path, by_index=False) as bag:
        if not sum(bag.contents.counts.values()):
            raise BagError(f"{path} holds no complete message: it cannot be repaired, record again")
        return folder, _copy(bag, folder, version)


def _copy(bag: Bag, folder: Path, version: int) -> Counter[str]:
    with BagWriter(folder, version=version) as writer:
        for topic, kind in bag.topics.items():
            writer.add_topic(topic, kind, bag.contents.definitions.get(kind), bag.contents.qos.get(topic) or None)
        copy_readable(bag, writer)
    return writer.counts


def copy_readable(bag: Bag, writer: BagWriter) -> None:
    """Copy every complete message; of a sqlite recording, those before the first damage."""
    messages = bag.messages()
    while True:
        try:
            message = next(messages, None)
        except BagError:
            if not sum(writer.counts.values()):
                raise
            return
        if message is None:
            return
        writer.write(message.topic, message.stamp_ns, message.data)
