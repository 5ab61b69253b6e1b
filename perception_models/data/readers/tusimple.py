"""TuSimple lanes: label_data_*.json or test_label.json, one {"raw_file", "lanes", "h_samples"} per line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from camera_perception.core.natural_order import natural_order
from perception_models.data.files import DataError, finite, malformed_as_data_error, read_image, read_json_lines
from perception_models.data.readers.lane_positions import assign_positions
from perception_models.data.sample import Lane, Lanes, Sample

KNOWN = frozenset({-2, -1, 1, 2})  # the lines of the ego lane and the next ones are labelled in every frame


class TuSimple:
    """Samples with up to five lane lines, without type or colour."""

    def __init__(self, folder: Path | str, labels: str = ""):
        """labels: pattern of the label files; default: label_data*.json, or test_label.json if there is none."""
        self.folder = Path(folder)
        patterns = [labels] if labels else ["label_data*.json", "test_label.json"]
        found = (natural_order(self.folder.glob(pattern)) for pattern in patterns)
        self.label_files = next(filter(None, found), [])
        if not self.label_files:
            raise DataError(f"{self.folder}: no {' or '.join(patterns)} here")
        self._rows = [(path, row) for path in self.label_files for row in read_json_lines(path)]
        for path, row in self._rows:
            if not isinstance(row, dict) or not {"raw_file", "lanes", "h_samples"} <= row.keys():
                raise DataError(f"{path}: every line needs raw_file, lanes and h_samples")

    @property
    def names(self) -> list[str]:
        return [row["raw_file"] for _, row in self._rows]

    @property
    def files(self) -> list[Path]:
        return self.label_files

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        path, row = self._rows[index]
        with malformed_as_data_error(f"{path}: {row['raw_file']}"):
            image = read_image(self.folder / row["raw_file"])
            lines = assign_positions(lines_from_row(row, path), image.shape[:2])
        return Sample(row["raw_file"], image, lanes=Lanes(lines, KNOWN), attributes={"scene": "highway"})


def lines_from_row(row: dict[str, Any], path: Path) -> list[Lane]:
    """Lines with at least two points; -2 marks a row that a line does not cross."""
    v = np.asarray(row["h_samples"], np.float32)
    columns = [np.asarray(us, np.float32) for us in row["lanes"]]
    if any(us.shape != v.shape for us in columns):
        raise DataError(f"{path}: {row['raw_file']}: a lane and h_samples differ in length")
    return [Lane(finite(np.stack([us, v], 1)[~(us < 0)])) for us in columns if (~(us < 0)).sum() > 1]
