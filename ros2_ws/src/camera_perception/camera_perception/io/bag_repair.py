"""Repair of damaged recordings: copy every complete message to a new one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from camera_perception.core.errors import BagError
from camera_perception.io.bag_reader import Bag
from camera_perception.io.bag_writer import BagWriter


@dataclass(frozen=True)
class Repaired:
    """The new recording.

    counts  messages per topic in it
    lost    one phrase about what damage has cost; "" when nothing is known to be lost
    unread  topic: why it was left out
    """

    folder: Path
    counts: Counter[str]
    lost: str
    unread: dict[str, str]

    def lines(self) -> list[str]:
        """For people: what was saved and what was not."""
        return [
            f"{self.folder}: {sum(self.counts.values())} messages",
            *(f"  {count:8d}  {topic}" for topic, count in sorted(self.counts.items())),
            *(f"left out: {topic} {why}" for topic, why in self.unread.items()),
            self.lost or "nothing is known to be lost",
        ]


def repair_bag(path: Path | str, out: Path | str | None = None, *, version: int = 9) -> Repaired:
    """Copy every complete message to PATH_repaired (or `out`).

    The damaged recording stays as it is. BagError when nothing can be read or the new folder exists.
    """
    path = Path(path)
    folder = Path(out) if out else path.with_name(f"{path.name.partition('.')[0] or path.name}_repaired")
    with Bag(path, by_index=False) as bag:
        if not sum(bag.contents.counts.values()):
            raise BagError(f"{path} holds no complete message: it cannot be repaired, record again")
        return Repaired(folder, _copy(bag, folder, version), bag.contents.lost, bag.contents.unread)


def _copy(bag: Bag, folder: Path, version: int) -> Counter[str]:
    with BagWriter(folder, version=version) as writer:
        for topic, kind in bag.topics.items():
            writer.add_topic(topic, kind, bag.contents.definitions.get(kind), bag.contents.qos.get(topic) or None)
        for message in bag.messages():
            writer.write(message.topic, message.stamp_ns, message.data)
    return writer.counts
