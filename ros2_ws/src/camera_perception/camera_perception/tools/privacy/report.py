"""What was covered, for the one who has to answer for it: a JSON file, and a sheet of covered pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from camera_perception.core.errors import BagError
from camera_perception.tools.privacy.regions import Region

TILES, TILE_WIDTH = 12, 480
COLORS = {"head": (255, 200, 0), "plate": (0, 160, 255)}  # BGR


@dataclass
class Tally:
    """Of the images of one camera: how many, how many with something covered, and what."""

    images: int = 0
    covered: int = 0
    left_out: int = 0
    heads: int = 0
    plates: int = 0
    held: int = 0
    area: float = 0.0

    def add(self, regions: Sequence[Region] | None, size: tuple[int, int]) -> None:
        """One image of (height, width); regions None when it could not be decoded and was left out."""
        self.images += 1
        if regions is None:
            self.left_out += 1
            return
        self.covered += bool(regions)
        self.heads += sum(region.kind == "head" for region in regions)
        self.plates += sum(region.kind == "plate" for region in regions)
        self.held += sum(region.held for region in regions)
        self.area += covered_share(regions, size)

    @property
    def row(self) -> dict[str, int | float]:
        """For the report: counts, and shares of images and of their pixels."""
        seen = max(self.images - self.left_out, 1)
        shares = {"share_covered": round(self.covered / seen, 4), "area_covered": round(self.area / seen, 4)}
        return {name: value for name, value in asdict(self).items() if name != "area"} | shares


def covered_share(regions: Sequence[Region], size: tuple[int, int]) -> float:
    """Share of an image's pixels that the regions cover together."""
    mask = np.zeros(size, bool)
    for region in regions:
        mask[region.y0 : region.y1, region.x0 : region.x1] = True
    return float(mask.mean())


@dataclass
class Report:
    """facts: how it was done; cameras: a tally each; passed_on and dropped: messages per topic."""

    out: Path
    facts: dict[str, Any] = field(default_factory=dict)
    cameras: dict[str, Tally] = field(default_factory=dict)
    passed_on: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    tiles: list[np.ndarray] = field(default_factory=list)

    @property
    def paths(self) -> tuple[Path, Path]:
        """The JSON file and the sheet, beside what was written."""
        return tuple(self.out.with_name(f"{self.out.name}.report.{kind}") for kind in ("json", "jpg"))  # type: ignore[return-value]

    def refuse_to_overwrite(self) -> None:
        """BagError when anything that would be written exists."""
        for path in (self.out, *self.paths):
            if path.exists():
                raise BagError(f"{path} exists already: choose another --out or remove it")

    def show(self, picture: np.ndarray, regions: Sequence[Region]) -> None:
        """Keep a covered picture for the sheet, outlined where it was covered."""
        scale = TILE_WIDTH / picture.shape[1]
        tile = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else 1)
        for region in regions:
            corners = [round(scale * bound) for bound in (region.x0, region.y0, region.x1, region.y1)]
            cv2.rectangle(tile, corners[:2], corners[2:], COLORS[region.kind], 1)
        self.tiles.append(tile)

    def write(self) -> None:
        table = {name: tally.row for name, tally in self.cameras.items()}
        data = {**self.facts, "cameras": table, "passed_on": self.passed_on, "dropped": self.dropped}
        self.paths[0].write_text(json.dumps(data, indent=2) + "\n", "utf-8")
        if self.tiles:
            cv2.imwrite(str(self.paths[1]), sheet(self.tiles))


def sheet(tiles: Sequence[np.ndarray], columns: int = 3) -> np.ndarray:
    """Pictures side by side on dark ground, each in a cell as high as the highest."""
    height, gap = max(len(tile) for tile in tiles), 6
    rows = -(-len(tiles) // columns)
    across = min(columns, len(tiles))
    page = np.full((rows * (height + gap) + gap, across * (TILE_WIDTH + gap) + gap, 3), 30, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = gap + number // columns * (height + gap), gap + number % columns * (TILE_WIDTH + gap)
        page[top : top + len(tile), left : left + TILE_WIDTH] = tile
    return page


def worth_showing(plan: Sequence[list[Region] | None], count: int) -> set[int]:
    """Numbers of up to `count` images with something covered, spread over all of them."""
    covered = [number for number, regions in enumerate(plan) if regions]
    chosen = np.linspace(0, len(covered) - 1, min(count, len(covered))).round().astype(int)
    return {covered[index] for index in chosen}
