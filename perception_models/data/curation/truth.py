"""Labels that an image already has: boxes by people, and the classes for which they are complete."""

from __future__ import annotations

from dataclasses import dataclass, field

from perception_models.data.curation.boxes import Box


@dataclass(frozen=True)
class TrueBox:
    """A box drawn by a person.

    name   as in Finding, or one of labels.OBJECTS
    crowd  covers several objects: ignored
    state  colour of a traffic light, or ""
    """

    box: Box
    name: str
    crowd: bool = False
    state: str = ""


@dataclass(frozen=True)
class Truth:
    """Boxes by people.

    classes  names for which these boxes win over detectors
    """

    boxes: tuple[TrueBox, ...] = ()
    classes: frozenset[str] = field(default_factory=frozenset)
