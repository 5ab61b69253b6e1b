"""Recordings of mcap files that have no usable index, or hold no ROS 2 messages: read from front to back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from camera_perception.core.errors import BagError
from camera_perception.io.offered_qos import profiles_of
from camera_perception.io.recording.foxglove import foxglove_translation
from camera_perception.io.recording.mcap_records import Channel, Schema
from camera_perception.io.recording.mcap_salvage import Salvage
from camera_perception.io.recording.message import Contents, RawMessage, Select
from camera_perception.io.recording.ros1 import ros1_translation
from camera_perception.io.recording.translation import Translation

MOST_NAMED = 3  # topics in a text


def read_front_to_back(paths: Sequence[Path]) -> tuple[Contents, Select]:
    """Contents and messages of mcap files, in the order of their first stamps; BagError when nothing is complete."""
    files = _opened(paths)
    files.sort(key=lambda file: (1 << 63) if file.start_ns is None else file.start_ns)  # stable: else by name
    translations = _translations(files)
    contents = _contents(files, translations)
    return contents, lambda topics, from_ns: _messages(files, translations, topics, from_ns)


def _opened(paths: Sequence[Path]) -> list[Salvage]:
    try:
        return [Salvage(path) for path in paths]
    except OSError as error:
        raise BagError(f"{error.filename} cannot be read ({error.strerror}): check the disk and its rights") from error


def _translations(files: Sequence[Salvage]) -> dict[str, Translation]:
    """By topic. Of several channels of a topic, the first that can be read."""
    found: dict[str, Translation] = {}
    for file in files:
        for channel in file.channels.values():
            known = found.get(channel.topic)
            if known is None or known.problem:
                found[channel.topic] = translation_of(file.schemas.get(channel.schema_id), channel)
    return found


def translation_of(schema: Schema | None, channel: Channel) -> Translation:
    """By the encodings that the file names."""
    if schema is None:
        return Translation("", problem="has no schema, so its type is unknown")
    if channel.encoding == "cdr":
        offered = profiles_of(channel.metadata.get("offered_qos_profiles", ""))
        return Translation(schema.name, schema.data.decode(errors="replace"), offered)
    if channel.encoding == "ros1":
        return ros1_translation(schema.name, schema.data.decode(errors="replace"))
    if channel.encoding in ("protobuf", "json"):
        return foxglove_translation(schema.name, channel.encoding, schema.data)
    return Translation(schema.name, problem=f"is {schema.name[:80]} in {channel.encoding[:40]}, which is not supported")


def _contents(files: Sequence[Salvage], translations: dict[str, Translation]) -> Contents:
    starts = [file.start_ns for file in files if file.start_ns is not None]
    ends = [file.end_ns for file in files if file.end_ns is not None]
    names, lost = _names([file.path for file in files]), lost_text(files)
    if not starts or not ends:
        ending = f"damaged, {lost}" if any(file.damage for file in files) else "it ended before the first was written"
        raise BagError(f"{names} holds no complete message ({ending}): record again")
    counts = sum((file.counts for file in files), Counter[str]())
    readable = {topic: each for topic, each in translations.items() if not each.problem}
    unread = {topic: each.problem for topic, each in translations.items() if each.problem and counts[topic]}
    if not readable and unread:
        topic, problem = next(iter(unread.items()))
        raise BagError(f"{names} holds nothing that can be read here: {topic[:80]} {problem}")
    return Contents(
        {topic: each.kind for topic, each in readable.items()},
        Counter({topic: counts[topic] for topic in readable}),
        min(starts),
        max(ends) + 1,
        {each.kind: each.definition for each in readable.values() if each.definition},
        {topic: each.qos for topic, each in readable.items()},
        complete=not any(file.damage or file.cut_off for file in files),
        lost=lost,
        unread=unread,
    )


def _messages(
    files: Sequence[Salvage], translations: dict[str, Translation], topics: Collection[str], from_ns: int
) -> Iterator[RawMessage]:
    for file in files:
        for found in file.messages(topics, from_ns):
            translation = translations[found.channel.topic]
            data = translation.convert(found.data)
            if data is not None:
                yield RawMessage(found.channel.topic, translation.kind, found.stamp_ns, data)


def lost_text(files: Sequence[Salvage]) -> str:
    """What damage has cost: lost messages per topic, as far as known, and where the damage is."""
    lost = sum((file.lost for file in files), Counter[str]())
    parts = [(file.path.name, start, size) for file in files for start, size in file.damage]
    cut = [file.path.name for file in files if file.cut_off]
    texts = []
    if lost:
        named = [f"{count} of {topic[:80]}" for topic, count in lost.most_common(MOST_NAMED)]
        more = f" and {len(lost) - MOST_NAMED} more topics" if len(lost) > MOST_NAMED else ""
        texts.append(f"lost messages: {', '.join(named)}{more}")
    if parts:
        name, start, size = parts[0]
        texts.append(
            f"{len(parts)} damaged part{'s' * (len(parts) > 1)}, {sum(size for *_, size in parts)} bytes in all, the "
            f"first at byte {start} of {name}"
        )
    if cut:
        texts.append(f"{_names(cut)} ends early, without its index")
    return "; ".join(texts)


def _names(paths: Sequence[Any]) -> str:
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return ", ".join(str(path)[-120:] for path in paths[:MOST_NAMED]) + more
