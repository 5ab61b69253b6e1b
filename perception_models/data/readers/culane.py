"""CULane: list/*.txt names the images; NAME.lines.txt next to each has one "u v u v ..." per lane line."""

from __future__ import annotations

from pathlib import Path

from perception_models.data.files import DataError, finite, is_file, read_image, read_lines
from perception_models.data.readers.lane_positions import assign_positions
from perception_models.data.sample import Lane, Lanes, Sample

KNOWN = frozenset({-2, -1, 1, 2})


class CuLane:
    """Samples with up to four lane lines, without type or colour.

    split  list/SPLIT.txt; further columns (mask, existence flags) are ignored
    """

    def __init__(self, folder: Path | str, split: str = "train"):
        self.folder = Path(folder)
        self.list_file = self.folder / "list" / f"{split}.txt"
        self.names = [line.split()[0].lstrip("/") for line in read_lines(self.list_file)]
        if not self.names:
            raise DataError(f"{self.list_file}: names no image")

    @property
    def files(self) -> list[Path]:
        """The list and the labels; CULane images do not change."""
        labels = (self._labels(name) for name in self.names)
        return [self.list_file, *(path for path in labels if is_file(path))]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        image = read_image(self.folder / self.names[index])
        lines = lines_from_file(self._labels(self.names[index]))
        return Sample(self.names[index], image, lanes=Lanes(assign_positions(lines, image.shape[:2]), KNOWN))

    def _labels(self, name: str) -> Path:
        return (self.folder / name).with_suffix(".lines.txt")


def lines_from_file(path: Path) -> list[Lane]:
    lines = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            points = finite([float(number) for number in line.split()])
        except ValueError as error:
            raise DataError(f"{path}: line {number}: expected pairs of u and v: {error}") from error
        if len(points) > 1:
            lines.append(Lane(points))
    return lines
