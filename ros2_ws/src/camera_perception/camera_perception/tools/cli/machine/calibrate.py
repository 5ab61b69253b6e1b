"""`camera-perception calibrate`: a calibration file from images of a board, a mounting from a drive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import typer
from tqdm import tqdm

from camera_perception.core.errors import BadImage, CalibrationError
from camera_perception.core.text_table import text_table
from camera_perception.tools.calibration.boards import Board, board_from_yaml
from camera_perception.tools.calibration.calibrate import (
    Lens,
    calibrate_lens,
    camera_from_yaml,
    camera_info_yaml,
    mounting,
)
from camera_perception.tools.replay.source import image_files, open_source

MAX_IMAGES = 300  # of a recording


def board_of(kind: str, corners: str, marker: float, spacing: float, dictionary: str) -> Board:
    """The board that the options describe; a kind that ends in .yaml is a file of Kalibr."""
    if kind.lower().endswith((".yaml", ".yml")):
        return board_from_yaml(Path(kind))
    numbers = corners.lower().split("x")
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
        raise CalibrationError(f"--corners {corners}: give COLUMNSxROWS, such as 9x6")
    return Board(kind.lower(), int(numbers[0]), int(numbers[1]), marker, spacing, dictionary.removeprefix("DICT_"))


def intrinsics_command(source: Path, out: Path | None, board: Board, model: str, camera: str | None, name: str) -> None:
    """Calibrate a lens, print its errors, and write or print a camera_info file."""
    lens = calibrate_lens(_images(source, camera), board, model)
    typer.echo(_report(lens))
    text = camera_info_yaml(lens, name)
    if out is None:
        typer.echo(text)
    else:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"written to {out}")


def _images(source: Path, topic: str | None) -> Iterator[tuple[str, np.ndarray]]:
    """Named images of a folder, or about MAX_IMAGES evenly spaced images of a recording."""
    opened = open_source(source, topic)
    names = [file.name for file in image_files(source)] if source.is_dir() else []
    step = max(1, opened.length // MAX_IMAGES)
    for number, arrival in enumerate(opened.arrivals):
        if number % step:
            continue
        try:
            yield names[number] if number < len(names) else f"image {number}", arrival.frame().image
        except BadImage:
            continue


def _report(lens: Lens) -> str:
    fx, fy, cx, cy = lens.matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
    rows = [(name, f"{error:.2f}") for name, error in sorted(lens.errors.items(), key=lambda pair: -pair[1])[:5]]
    lines = [
        f"rms {lens.rms:.3f} px over {len(lens.errors)} images of {lens.size[0]}x{lens.size[1]}",
        f"fx {fx:.1f}  fy {fy:.1f}  cx {cx:.1f}  cy {cy:.1f}  {lens.model} {np.round(lens.distortion, 4).tolist()}",
        text_table(("worst images", "rms (px)"), rows),
    ]
    return "\n".join(lines + [f"not used: {name} ({why})" for name, why in lens.unused.items()])


def extrinsics_command(
    source: Path, model: Path, lens: Path, xyz: tuple[float, float, float], camera: str | None, engine: str
) -> None:
    """Estimate the mounting from the lane lines of a drive, and print it."""
    calibrated = camera_from_yaml(lens)  # before the long part
    pose, spread = mounting(list(_line_pairs(source, model, camera, engine)), calibrated, xyz)
    typer.echo("mount (x,y,z,roll,pitch,yaw): " + ",".join(f"{value:.5g}" for value in pose))
    pitch, yaw = np.degrees(pose[4:])
    typer.echo(
        f"pitch {pitch:.2f} deg down, yaw {yaw:.2f} deg left; standard deviation {np.degrees(spread).round(2)} deg"
    )


def _line_pairs(source: Path, model: Path, topic: str | None, engine: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    from camera_perception.core.model_spec import load_spec
    from camera_perception.engines.serving.fitting import load_fitting
    from camera_perception.pipeline import Pipeline

    opened, spec = open_source(source, topic), load_spec(model)
    pipeline = Pipeline(spec, load_fitting(spec, engine))
    for arrival in tqdm(opened.arrivals, total=opened.length or None, unit="img", disable=None):
        lines = {line.position: line.points for line in pipeline.run(arrival.frame()).lanes}
        if {-1, 1} <= lines.keys():
            yield lines[-1], lines[1]
