"""Real people, riders and vehicles pasted into images whose ground is labelled, with matching labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from perception_models.data.augment.blend import cast_shadow, in_fog, like_sensor, noise_of, relit, surroundings
from perception_models.data.augment.cutouts import FURNITURE, Cutout, CutoutStore
from perception_models.data.augment.furniture import draw_furniture
from perception_models.data.augment.ground import HEIGHTS, Ground, Surfaces, ground_of, surfaces_of
from perception_models.data.augment.hiding import extent, hide
from perception_models.data.files import DataError
from perception_models.data.labels import DRIVABLE, OBJECTS, SEMANTIC, UNKNOWN
from perception_models.data.sample import Boxes, BoxRow, Sample, boxes_from_rows

# Else vehicle, vehicles
SEMANTIC_OF = {
    "pedestrian": "pedestrian", "rider": "rider", "bicycle": "rider", "motorcycle": "rider", FURNITURE: "pole",
}  # fmt: skip
KINDS = {
    "pedestrian": "people", "rider": "riders", "bicycle": "riders", "motorcycle": "riders", FURNITURE: FURNITURE,
}  # fmt: skip
MAX_ENLARGED = 1.4  # times the stored size
MIN_PIXELS = 10.0  # height
MIN_SHOWN = 0.3  # fraction of an object that nearer things leave visible
MAX_SHARE = 0.01  # of all pastes for one cut-out, so that a few riders are not learnt by heart
ATTEMPTS = 6  # to find a place for an object


@dataclass(frozen=True)
class PasteConfig:
    """Pasting of cut-outs.

    path      folder written by perception-models cutouts
    fraction  of the images that get cut-outs, 0..1
    count     fewest and most per image
    distance  nearest and farthest, metres; near ones fill the image
    people    share of people among the cut-outs, 0..1
    riders    share of riders and two-wheelers, less with few of them; vehicles have the rest
    furniture share of drawn street furniture, which is no object: bollards, bins, boards (see furniture.py)
    """

    path: str
    fraction: float = 0.5
    count: tuple[int, int] = (1, 6)
    distance: tuple[float, float] = (2.5, 45.0)
    people: float = 0.6
    riders: float = 0.12
    furniture: float = 0.0

    def __post_init__(self) -> None:
        shares = self.people, self.riders, self.furniture
        if not all(0 <= share <= 1 for share in (self.fraction, *shares, sum(shares))):
            raise DataError("augment.paste: fraction, people, riders, furniture must be 0..1, the last three at most 1")
        if not 1 <= self.count[0] <= self.count[1] or not 0.5 <= self.distance[0] < self.distance[1]:
            raise DataError("augment.paste: count and distance must ascend, from at least 1 object and 0.5 m")


@dataclass(frozen=True)
class Spot:
    """Where a cut-out stands.

    foot     u, v on the ground; v may be below the image
    box      x0 y0 x1 y1 pixels of the whole cut-out, as integers; may reach out of the image
    distance metres
    """

    cutout: Cutout
    foot: tuple[float, float]
    box: tuple[int, int, int, int]
    distance: float


class Paster:
    """Pastes the cut-outs of a folder into samples."""

    def __init__(self, config: PasteConfig):
        self.config, self.store = config, CutoutStore.open(config.path)
        groups: dict[str, list[Cutout]] = {"people": [], "riders": [], "vehicles": [], FURNITURE: []}
        if config.furniture:
            drawn = draw_furniture()
            self.store.drawn = {name: image for name, (_, image) in drawn.items()}
            groups[FURNITURE] = [cutout for cutout, _ in drawn.values()]
        for cutout in self.store.cutouts:
            groups[KINDS.get(cutout.category, "vehicles")].append(cutout)
        shares = {"people": config.people, "riders": config.riders, FURNITURE: config.furniture}
        shares["vehicles"] = 1 - sum(shares.values())
        self._groups = [(groups[k], min(share, MAX_SHARE * len(groups[k]))) for k, share in shares.items() if groups[k]]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """The sample, or a copy with objects added, far ones first."""
        if rng.random() >= self.config.fraction or sample.boxes is None:
            return sample
        ground = ground_of(sample)
        surfaces = surfaces_of(sample, ground) if ground else None
        if ground is None or surfaces is None:
            return sample
        spots: list[Spot] = []
        for _ in range(int(rng.integers(self.config.count[0], self.config.count[1] + 1))):
            spot = self._find_spot(sample, ground, surfaces, spots, rng)
            spots += [spot] if spot else []
        if not spots:
            return sample
        scene = _Scene(sample, surfaces)
        for spot in sorted(spots, key=lambda spot: -spot.distance):
            scene.add(spot, self.store, rng)
        return scene.sample

    def _find_spot(
        self, sample: Sample, ground: Ground, surfaces: Surfaces, taken: list[Spot], rng: np.random.Generator
    ) -> Spot | None:
        nearest, farthest = self.config.distance
        cutout = self._choose(rng)
        if any(OBJECTS.index(part.category) not in sample.known_classes for part in cutout.parts):
            return None
        for _ in range(ATTEMPTS):
            distance = math.exp(rng.uniform(math.log(nearest), math.log(farthest)))
            spot = place(cutout, distance, sample.size, ground, surfaces, rng)
            if spot and not any(_collide(spot, other) for other in taken):
                return spot
        return None

    def _choose(self, rng: np.random.Generator) -> Cutout:
        weights = np.array([share for _, share in self._groups]) + 1e-9
        group = self._groups[int(rng.choice(len(weights), p=weights / weights.sum()))][0]
        return group[int(rng.integers(len(group)))]


def place(
    cutout: Cutout,
    distance: float,
    size: tuple[int, int],
    ground: Ground,
    surfaces: Surfaces,
    rng: np.random.Generator,
) -> Spot | None:
    """A place for a cut-out at about this distance in metres, or None."""
    metres = (cutout.metres or HEIGHTS[cutout.category]) * float(np.exp(np.clip(rng.normal(0, 0.06), -0.15, 0.15)))
    width, height = cutout.size
    row = ground.row(size[1] / 2, distance)
    surface = _surface(cutout, surfaces, rng)
    rows = np.minimum(np.full(size[1], int(min(row, size[0] - 1))), surfaces.lowest)
    free = np.flatnonzero(surface[rows, np.arange(size[1])])
    if not len(free):
        return None
    u = float(rng.choice(free)) + rng.random()
    v = row + ground.horizon[1] * (u - size[1] / 2)
    tall = ground.scale(u, v) * metres
    if "bottom" in cutout.truncated:
        tall = _tall_if_cut(v, tall, size[0])
        v = size[0]
    if not MIN_PIXELS <= tall <= MAX_ENLARGED * height:
        return None
    across = tall * width / height
    u = _column(u, across, cutout.truncated, size[1])
    if not _has_ground(surface, rows, u, across, cutout.category):
        return None
    box = round(u - across / 2), round(v - tall), round(u - across / 2) + round(across), round(v - tall) + round(tall)
    return Spot(cutout, (u, v), box, distance)


def _tall_if_cut(row: float, tall: float, height: int) -> float:
    """Pixels from the head to the lower edge of the image; 0 where the feet would be visible or the knees hidden."""
    shown = height - (row - tall)
    return shown if 0.45 * tall < shown < 0.95 * tall else 0.0


def _column(u: float, across: float, truncated: tuple[str, ...], width: int) -> float:
    """An object cut at a side stays at that side of the image."""
    if "left" in truncated:
        return across / 2
    return width - across / 2 if "right" in truncated else u


def _surface(cutout: Cutout, surfaces: Surfaces, rng: np.random.Generator) -> np.ndarray:
    """(H, W) bool: mostly the pavement for people, sometimes behind a vehicle; the road for all others."""
    kind = KINDS.get(cutout.category, "vehicles")
    pavement, behind = {"people": (0.55, 0.15), "riders": (0.15, 0.0), "vehicles": (0.0, 0.0), FURNITURE: (0.8, 0.1)}[
        kind
    ]
    drawn = rng.random()
    return surfaces.pavement if drawn < pavement else surfaces.behind if drawn < pavement + behind else surfaces.road


def _has_ground(surface: np.ndarray, rows: np.ndarray, u: float, across: float, category: str) -> bool:
    """Whether most of the width of an object stands on a surface."""
    width = surface.shape[1]
    half = across * (0.15 if category in ("pedestrian", FURNITURE) else 0.35)
    columns = np.arange(max(int(u - half), 0), min(int(u + half) + 1, width))
    return len(columns) > 0 and bool(surface[rows[columns], columns].mean() >= 0.7)


def _collide(a: Spot, b: Spot) -> bool:
    """At the same distance and in the same columns."""
    shared = min(a.box[2], b.box[2]) - max(a.box[0], b.box[0])
    return abs(math.log(a.distance / b.distance)) < 0.12 and shared > 0.1 * min(
        a.box[2] - a.box[0], b.box[2] - b.box[0]
    )


class _Scene:
    """A sample that objects are added to."""

    def __init__(self, sample: Sample, surfaces: Surfaces):
        drivable, semantic = (None if mask is None else mask.copy() for mask in (sample.drivable, sample.semantic))
        self.sample = replace(sample, image=sample.image.copy(), drivable=drivable, semantic=semantic)
        self.surfaces, self.open = surfaces, surfaces.base < 0
        self.noise = noise_of(sample.image)

    def add(self, spot: Spot, store: CutoutStore, rng: np.random.Generator) -> None:
        """Paste one object over all that is farther away, unless nearer things hide it."""
        area, cut, mirrored = self._pixels(spot, store, rng)
        if cut is None:
            return
        hidden = self.surfaces.base[area] > spot.foot[1] + 1 + 0.03 * (spot.box[3] - spot.box[1])
        alpha = np.where(hidden, 0, cut[..., 3]).astype(np.uint8)
        solid = alpha > 127
        if solid.sum() < MIN_SHOWN * (cut[..., 3] > 127).sum() or not solid.any():
            return
        self._draw(spot, area, cut[..., :3], alpha, rng)
        self._label(spot, area, solid, mirrored)

    def _pixels(
        self, spot: Spot, store: CutoutStore, rng: np.random.Generator
    ) -> tuple[tuple[slice, slice], np.ndarray | None, bool]:
        """The area of the image, the part of the cut-out that falls into it, and whether it is mirrored."""
        x0, y0, x1, y1 = spot.box
        height, width = self.sample.size
        area = np.s_[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
        if min(y1, height) <= max(y0, 0) or min(x1, width) <= max(x0, 0):
            return area, None, False  # outside the image
        full = store.pixels(spot.cutout, (y1 - y0) / spot.cutout.size[1])
        full = cv2.resize(full, (x1 - x0, y1 - y0)) if full.shape[:2] != (y1 - y0, x1 - x0) else full
        mirrored = bool(rng.random() < 0.5) and not {"left", "right"} & set(spot.cutout.truncated)
        full = full[:, ::-1] if mirrored else full
        cut = full[area[0].start - y0 : area[0].stop - y0, area[1].start - x0 : area[1].stop - x0]
        return area, cut if min(cut.shape[:2]) > 1 else None, mirrored

    def _draw(
        self, spot: Spot, area: tuple[slice, slice], colours: np.ndarray, alpha: np.ndarray, rng: np.random.Generator
    ) -> None:
        image = self.sample.image
        around = surroundings(image, self.sample.semantic, spot.box)
        lit = relit(colours, alpha, np.array(spot.cutout.surround, np.float32), around, rng)
        lit = in_fog(lit, around, spot.distance, self.sample.scene.get("weather", UNKNOWN))
        if "bottom" not in spot.cutout.truncated:
            cast_shadow(image, spot.foot, spot.box[2] - spot.box[0], rng.uniform(0.2, 0.55), self.open)
        seen = like_sensor(lit, self.noise, rng)
        weight = (alpha.astype(np.float32) / 255)[..., None]
        image[area] = (seen * weight + image[area] * (1 - weight)).astype(np.uint8)

    def _label(self, spot: Spot, area: tuple[slice, slice], solid: np.ndarray, mirrored: bool) -> None:
        sample = self.sample
        assert sample.boxes is not None
        cover = np.zeros(sample.size, bool)
        cover[area] = solid
        old = hide(sample.boxes, cover, sample.semantic)
        rows = _rows(spot, cover, mirrored)
        if sample.semantic is not None:
            name = SEMANTIC_OF.get(spot.cutout.category, "vehicle")
            sample.semantic[cover] = SEMANTIC.index(name)
        if sample.drivable is not None:
            sample.drivable[cover] = DRIVABLE.index("background")
        self.sample = replace(sample, boxes=Boxes.concatenate([old, boxes_from_rows(rows)]))


def _rows(spot: Spot, cover: np.ndarray, mirrored: bool) -> list[BoxRow]:
    """Boxes of the visible extent of each part."""
    width, height = spot.cutout.size
    scale = (spot.box[2] - spot.box[0]) / width, (spot.box[3] - spot.box[1]) / height
    rows: list[BoxRow] = []
    for part in spot.cutout.parts:
        x0, y0, x1, y1 = part.box
        x0, x1 = (width - x1, width - x0) if mirrored else (x0, x1)
        box = (
            spot.box[0] + x0 * scale[0], spot.box[1] + y0 * scale[1],
            spot.box[0] + x1 * scale[0], spot.box[1] + y1 * scale[1],
        )  # fmt: skip
        if (seen := extent(box, cover)) is not None:
            small = seen[3] - seen[1] < 6 or seen[2] - seen[0] < 3
            rows.append((seen, OBJECTS.index(part.category), small, UNKNOWN))
    return rows
