"""Report of an anonymised recording: a JSON file, and a sheet of covered images to check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """Counts over the images of one camera. area: sum of the covered fractions of the images."""

    images: int = 0
    covered: int = 0
    left_out: int = 0
    heads: int = 0
    plates: int = 0
    predicted: int = 0
    area: float = 0.0

    def add(self, regions: Sequence[Region] | None, size: tuple[int, int]) -> None:
        """Count one image of (height, width); regions None when it could not be decoded and was left out."""
        self.images += 1
        if regions is None:
            self.left_out += 1
            return
        self.covered += bool(regions)
        self.heads += sum(region.content == "head" for region in regions)
        self.plates += sum(region.content == "plate" for region in regions)
        self.predicted += sum(region.predicted for region in regions)
        self.area += covered_fraction(regions, size)

    @property
    def row(self) -> dict[str, int | float]:
        """Counts, and the covered fractions of images and of their pixels, by their keys in the JSON file."""
        decoded = max(self.images - self.left_out, 1)
        return {
            "images": self.images,
            "covered": self.covered,
            "left_out": self.left_out,
            "heads": self.heads,
            "plates": self.plates,
            "held": self.predicted,
            "share_covered": round(self.covered / decoded, 4),
            "area_covered": round(self.area / decoded, 4),
        }


def covered_fraction(regions: Sequence[Region], size: tuple[int, int]) -> float:
    """Fraction of an image's pixels inside any of the regions."""
    mask = np.zeros(size, bool)
    for region in regions:
        mask[region.y0 : region.y1, region.x0 : region.x1] = True
    return float(mask.mean())


@dataclass
class Report:
    """Contents of the report.

    facts                  source, model and settings
    cameras                a tally per camera
    passed_on, dropped     messages per topic
    tiles                  covered images for the sheet
    """

    out: Path
    facts: dict[str, Any] = field(default_factory=dict)
    cameras: dict[str, Tally] = field(default_factory=dict)
    passed_on: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    tiles: list[np.ndarray] = field(default_factory=list)

    @property
    def paths(self) -> tuple[Path, Path]:
        """The JSON file and the sheet, beside the output."""
        return self.out.with_name(f"{self.out.name}.report.json"), self.out.with_name(f"{self.out.name}.report.jpg")

    def refuse_to_overwrite(self) -> None:
        """BagError when any output exists."""
        for path in (self.out, *self.paths):
            if path.exists():
                raise BagError(f"{path} exists already: choose another --out or remove it")

    def add_tile(self, image: np.ndarray, regions: Sequence[Region]) -> None:
        """Keep a covered image for the sheet, with its regions outlined."""
        scale = TILE_WIDTH / image.shape[1]
        tile = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else 1)
        for region in regions:
            corners = [round(scale * bound) for bound in (region.x0, region.y0, region.x1, region.y1)]
            cv2.rectangle(tile, corners[:2], corners[2:], COLORS[region.content], 1)
        self.tiles.append(tile)

    def write(self) -> None:
        table = {name: tally.row for name, tally in self.cameras.items()}
        data = {**self.facts, "cameras": table, "passed_on": self.passed_on, "dropped": self.dropped}
        self.paths[0].write_text(json.dumps(data, indent=2) + "\n", "utf-8")
        if self.tiles:
            cv2.imwrite(str(self.paths[1]), sheet(self.tiles))


def sheet(tiles: Sequence[np.ndarray], columns: int = 3) -> np.ndarray:
    """Images in a grid on a dark background; every cell is as high as the highest image."""
    height, gap = max(len(tile) for tile in tiles), 6
    rows, columns = -(-len(tiles) // columns), min(columns, len(tiles))
    page = np.full((rows * (height + gap) + gap, columns * (TILE_WIDTH + gap) + gap, 3), 30, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = gap + index // columns * (height + gap), gap + index % columns * (TILE_WIDTH + gap)
        page[top : top + len(tile), left : left + TILE_WIDTH] = tile
    return page


def tile_indices(plan: Sequence[list[Region] | None], count: int) -> set[int]:
    """Indices of up to `count` images with something covered, evenly spaced among them."""
    covered = [index for index, regions in enumerate(plan) if regions]
    chosen = np.linspace(0, len(covered) - 1, min(count, len(covered))).round().astype(int)
    return {covered[index] for index in chosen}
