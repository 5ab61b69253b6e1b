"""From proposals and existing boxes to the labels of one image: classes, riders, lights, crowds, what is ignored."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception_models.data.curation.agreement import TWO_WHEELERS, Proposal, group
from perception_models.data.curation.boxes import (
    Box,
    TrueBox,
    Truth,
    clipped,
    common,
    grown,
    height,
    hull,
    inside,
    iou,
    width,
)
from perception_models.data.curation.lights import lamp_state

CATEGORIES = {
    "person": "pedestrian", "bicycle": "bicycle", "motorcycle": "motorcycle", "car": "car", "bus": "bus",
    "train": "train", "truck": "truck", "traffic light": "traffic light", "stop sign": "traffic sign",
    "vehicle": "car", "two-wheeler": "bicycle",
}  # fmt: skip
UNCLEAR = ("ambulance", "vehicle")  # names of existing boxes that leave the class open
MATCH = 0.4  # IoU of a proposal with an existing box of the same object
MIN_HEIGHT, MIN_WIDTH = 6.0, 3.0  # pixels, as in DATA.md
PART_ASPECT = 1.2  # width / height of a person cut by the edge of the image
EDGE = 2.0  # pixels
PART = 0.35  # score; an uncertain object inside a certain one is a part of it below this (a headlight, a cabin)
UNSEEN = ("low score", "few views", "not in truth")  # reasons: it is uncertain whether and where there is an object
MIN_SIGN = 24.0  # pixels
CROWD = 3  # uncertain people next to each other are masked as a whole
MAX_RIDERS = 2  # of more people at one motorcycle, some stand behind it
MIN_BIKE_SCORE = 0.3  # less certain ones say nothing about the people near them
LIGHT_ASPECT = (1.2, 4.5)  # height / width


@dataclass(frozen=True)
class Label:
    """One label.

    box            pixels
    name           as in Finding, "rider", or one of labels.OBJECTS
    source         "truth" or "teachers"
    ignore_reason  why it is ignored; empty: it is a target
    score          of the best finding; 1 for truth
    views          confirming views; 0 for truth
    state          colour of a traffic light, or ""
    """

    box: Box
    name: str
    source: str
    ignore_reason: str = ""
    score: float = 1.0
    views: int = 0
    state: str = ""

    @property
    def category(self) -> str:
        return CATEGORIES.get(self.name, self.name)


def label_objects(proposals: list[Proposal], truth: Truth, image: np.ndarray) -> list[Label]:
    """Labels of an image (H, W, 3) uint8 BGR. Existing boxes win; proposals complete them or are ignored."""
    size = image.shape[0], image.shape[1]
    known = [_known(true, proposals) for true in truth.boxes]
    labels = without_parts(known + [_checked(label, image) for label in _additions(proposals, truth)])
    labels = [replace(label, box=clipped(label.box, size)) for label in labels]
    labels = [_part_ignored(_small_ignored(label), size) for label in labels]
    labels = _with_riders([label for label in labels if width(label.box) > 0 and height(label.box) > 0])
    return labels + crowds(labels)


def _known(true: TrueBox, proposals: list[Proposal]) -> Label:
    """An existing box; if it names no class of ours (an ambulance is a van or a truck), the detectors choose."""
    label = Label(true.box, true.name, "truth", "crowd" if true.crowd else "", state=true.state)
    if true.name not in UNCLEAR or true.crowd:
        return label
    sure = [
        p for p in proposals if not p.ignore_reason and group(p.name) == "vehicle" and iou(p.box, true.box) >= MATCH
    ]
    return replace(label, name=sure[0].name) if sure else replace(label, name="vehicle", ignore_reason="class")


def _additions(proposals: list[Proposal], truth: Truth) -> list[Label]:
    """Proposals that match no existing box; those of classes with existing boxes are ignored."""
    groups = {group(name) for name in truth.classes}
    labels = []
    for proposal in proposals:
        if any(_covers(true.box, true.name, true.crowd, proposal) for true in truth.boxes):
            continue
        ignore_reason = proposal.ignore_reason or ("not in truth" if group(proposal.name) in groups else "")
        labels.append(Label(proposal.box, proposal.name, "teachers", ignore_reason, proposal.score, proposal.views))
    return labels


def without_parts(labels: list[Label]) -> list[Label]:
    """Without weak vehicles and lights inside certain vehicles: they are their cabins, wheels and lamps."""
    whole = [label.box for label in labels if not label.ignore_reason and group(label.name) == "vehicle"]
    return [label for label in labels if not (_weak(label) and any(inside(label.box, box) > 0.85 for box in whole))]


def _weak(label: Label) -> bool:
    return bool(label.ignore_reason) and label.score < PART and group(label.name) in ("vehicle", "traffic light")


def _covers(box: Box, name: str, crowd: bool, proposal: Proposal) -> bool:
    names = "vehicle" if name in UNCLEAR else name
    if group(names) != group(proposal.name) and not (name in ("rider", "pedestrian") and proposal.name == "person"):
        return False
    return iou(box, proposal.box) >= MATCH or (crowd and inside(proposal.box, box) > 0.5)


def _checked(label: Label, image: np.ndarray) -> Label:
    """A light must have the shape of one; its colour is read where it is plain. Small stop signs are red lamps."""
    if label.name == "stop sign" and height(label.box) < MIN_SIGN and not label.ignore_reason:
        return replace(label, ignore_reason="small")
    if label.name != "traffic light" or label.ignore_reason:
        return label
    if not LIGHT_ASPECT[0] <= height(label.box) / max(width(label.box), 1e-6) <= LIGHT_ASPECT[1]:
        return replace(label, ignore_reason="shape")
    return replace(label, state=lamp_state(image, label.box))


def _small_ignored(label: Label) -> Label:
    small = height(label.box) < MIN_HEIGHT or width(label.box) < MIN_WIDTH
    return replace(label, ignore_reason="small") if small and not label.ignore_reason else label


def _part_ignored(label: Label, size: tuple[int, int]) -> Label:
    """Hands and arms that reach into the image are people to COCO, and no pedestrians."""
    x0, y0, x1, y1 = label.box
    cut = x0 < EDGE or y0 < EDGE or x1 > size[1] - EDGE or y1 > size[0] - EDGE
    part = label.name == "person" and cut and x1 - x0 > PART_ASPECT * (y1 - y0)
    return replace(label, ignore_reason="body part") if part and not label.ignore_reason else label


def _with_riders(labels: list[Label]) -> list[Label]:
    """People on bicycles and motorcycles become riders; where that is unclear they are ignored."""
    bikes = [b for b in labels if b.name in TWO_WHEELERS and b.ignore_reason != "crowd" and b.score >= MIN_BIKE_SCORE]
    people = [label for label in labels if label.name in ("person", "pedestrian")]
    riders: dict[Label, str] = {}
    for bike in bikes:
        on_it = {person: rides(person.box, bike.box) for person in people}
        certain = not bike.ignore_reason and sum(sits is not False for sits in on_it.values()) <= MAX_RIDERS
        for person, sits in on_it.items():
            if sits is not False:
                riders[person] = "rider" if sits and certain else riders.get(person, "unclear")
    return [_as_rider(label, riders.get(label, "")) for label in labels]


def _as_rider(person: Label, riding: str) -> Label:
    if riding == "rider":
        return replace(person, name="rider")
    return replace(person, ignore_reason=person.ignore_reason or "rider or pedestrian") if riding else person


def rides(person: Box, bike: Box) -> bool | None:
    """Whether a person sits on a bicycle or motorcycle; None if the boxes leave it open.

    A rider overlaps it, is above its middle, and has the feet off the ground: higher than its wheels. The feet of a
    person beside it are at the height of its wheels or lower.
    """
    if common(person, bike) < 0.15 * min(width(person) * height(person), width(bike) * height(bike)):
        return False
    apart = abs(person[0] + person[2] - bike[0] - bike[2]) / 2 / max(width(bike), width(person))
    above = person[1] < bike[1] and (person[1] + person[3]) / 2 < (bike[1] + bike[3]) / 2
    feet = (bike[3] - person[3]) / height(bike)  # height above the wheels, bike heights
    if not above or apart > 0.5 or feet < -0.15:
        return False
    return True if feet > 0.08 and apart < 0.25 else None


def crowds(labels: list[Label]) -> list[Label]:
    """One ignored box over each group of at least CROWD uncertain people next to each other."""
    rest = [label.box for label in labels if label.name == "person" and label.ignore_reason in UNSEEN]
    found = []
    while rest:
        members = [rest.pop()]
        for box in members:  # grows while it is read
            near = [other for other in rest if common(grown(box, 0.3), grown(other, 0.3)) > 0]
            rest = [other for other in rest if other not in near]
            members += near
        if len(members) >= CROWD:
            found.append(Label(hull(members), "person", "teachers", "crowd", 0.0))
    return found
