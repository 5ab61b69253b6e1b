"""`camera-perception replay`: output and exit code of the command."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from camera_perception.core.errors import BagError, CalibrationError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.text_table import text_table
from camera_perception.engines.serving.fitting import load_fitting
from camera_perception.geometry.camera import Camera, optical_from_rpy
from camera_perception.image.reader import ImageReader
from camera_perception.image.sample_range import AUTO
from camera_perception.image.turn import Turn
from camera_perception.io.bag_reader import is_bag
from camera_perception.lanes.learned_region import region_of
from camera_perception.tools.calibration.calibrate import camera_from_yaml
from camera_perception.tools.replay.auto_mount import auto_mount
from camera_perception.tools.replay.compare import Difference, compare_frames, table
from camera_perception.tools.replay.export import check_formats
from camera_perception.tools.replay.independence import are_separate
from camera_perception.tools.replay.metrics import latency_table, object_table, read_frames, stamp_ns_of
from camera_perception.tools.replay.replay import ANNOTATED, MOUNTING_UNKNOWN, NOT_CALIBRATED, OUTPUTS, Result, replay
from camera_perception.tools.replay.source import Source, image_files, open_source


@dataclass(frozen=True)
class Choices:
    """Options of the command, as in its --help."""

    camera: str | None = None
    calibration: Path | None = None
    mount: str | None = None
    independent: bool | None = None
    backend: str = "auto"
    threads: int = 0
    force: bool = False
    limit: int = 0
    video: bool = True
    formats: Sequence[str] = ()
    reference: Path | None = None
    tolerance: float = 1.0
    turn: Turn = field(default_factory=Turn)
    range16: str = AUTO
    ignored: Sequence[str] = ()


def replay_command(path: Path, model: Path, out: Path, chosen: Choices) -> None:
    """Replay, print a summary, and compare with a reference if given.

    typer.Exit(1) when they differ, and when no image was decoded
    """
    formats = check_formats(chosen.formats)
    wanted = read_frames(recording_of(chosen.reference)) if chosen.reference else None  # before the long part
    refuse_to_overwrite(out, chosen.force)
    pose, height = parse_mount(chosen.mount)
    lens = camera_from_yaml(chosen.calibration) if chosen.calibration else None
    source = _open(path, chosen, pose, lens)
    ignored = region_of(chosen.ignored)
    spec = load_spec(model)
    engine = load_fitting(spec, chosen.backend, threads=chosen.threads)
    if chosen.force:
        clear(out)
    try:
        if height is not None:
            pose, text = auto_mount(source, spec, engine, height)
            typer.echo(text)
            source = _mounted(_open(path, chosen, None, lens), pose)
        source = replace(source, separate=_separate(path, chosen.independent))
        result = replay(
            source,
            spec,
            engine,
            out,
            limit=chosen.limit,
            video=chosen.video,
            formats=formats,
            ignored=ignored,
        )
    finally:
        engine.close()
    typer.echo(summary(result, source, engine.info.name))
    if not result.decoded:
        reasons = "; ".join(result.bad)
        typer.secho(f"no image was decoded: {reasons}", fg="red", err=True)
        raise typer.Exit(1)
    if wanted is not None:
        first_ns = min(map(stamp_ns_of, wanted), default=0)
        verdict(compare_frames(read_frames(result.recording), wanted, chosen.tolerance), len(wanted), first_ns)


def _open(path: Path, chosen: Choices, pose: tuple[float, ...] | None, lens: Camera | None) -> Source:
    """The source from its first image on."""
    return open_source(path, chosen.camera, pose, lens, ImageReader(chosen.turn, chosen.range16))


def _mounted(source: Source, pose: tuple[float, ...]) -> Source:
    """The source with a pose that was measured in its images, as they are turned."""
    if source.calibration is None:
        return source
    mounted = replace(source.calibration, base_from_camera=optical_from_rpy(pose[:3], pose[3:]))
    return replace(source, calibration=mounted)


def _separate(path: Path, asked: bool | None) -> bool:
    """Whether the images are independent: as asked, else as a folder of pictures looks."""
    if asked is not None:
        return asked
    files = [] if is_bag(path) else image_files(path)
    found = bool(files) and are_separate(files)
    if found and len(files) > 1:
        typer.echo("the pictures do not follow each other: no tracks, one picture each (--no-independent: as a film)")
    return found


def refuse_to_overwrite(out: Path, force: bool) -> None:
    """BagError when the folder holds a replay that is not to be replaced."""
    if not force and (out / OUTPUTS[0]).exists():
        raise BagError(f"{out} holds a replay that exists already: --force replaces it, or give another --out")


def clear(out: Path) -> None:
    """Remove the files of an earlier replay from the folder, and nothing else."""
    for name in OUTPUTS:
        (out / name).unlink(missing_ok=True)
    shutil.rmtree(out / ANNOTATED, ignore_errors=True)


def parse_mount(text: str | None) -> tuple[tuple[float, ...] | None, float | None]:
    """ "x,y,z,roll,pitch,yaw" as numbers, or "auto,HEIGHT" as the height; None for what is not given."""
    if text is None:
        return None, None
    try:
        numbers = tuple(map(float, text.removeprefix("auto,").split(",")))
    except ValueError:
        numbers = ()
    if text.startswith("auto") and len(numbers) == 1 and numbers[0] > 0:
        return None, numbers[0]
    if text.startswith("auto") or len(numbers) != 6 or numbers[2] <= 0:
        raise CalibrationError(
            f"--mount {text}: give x,y,z,roll,pitch,yaw in metres and radians with z > 0, or auto,HEIGHT in metres"
        )
    return numbers, None


def recording_of(path: Path) -> Path:
    """The perception.mcap in the output folder of a replay; any other path as it is."""
    inside = path / "perception.mcap"
    if inside.is_file():
        return inside
    if not path.exists():
        raise BagError(f"{path} does not exist: give the perception.mcap of an earlier replay")
    return path


def summary(result: Result, source: Source, engine_name: str) -> str:
    """Latency, detections and files, for the terminal."""
    latency = text_table(
        ("ms", "p50", "p95", "p99", "max"), [(name, *values) for name, values in latency_table(result.frames)]
    )
    objects = text_table(("class", "detections", "tracks"), object_table(result.frames))
    rate = len(result.frames) / max(result.seconds, 1e-9)
    count = f"{len(result.frames)} image{'s' if len(result.frames) != 1 else ''}"
    head = f"{count} in {result.seconds:.1f} s ({rate:.1f}/s) on {engine_name}"
    status = Counter(int(frame["status"]) for frame in result.frames)
    images = text_table(
        ("images", "number"),
        [
            ("ok", status[0]),
            ("degraded", status[1]),
            ("invalid", status[2] - sum(result.bad.values())),
            ("not decoded", sum(result.bad.values())),
        ],
    )
    why = "".join(f"no metres: {reason}\n\n" for reason in without_metres(result, source))
    why += f"{result.ignored}\n\n" if result.ignored else ""
    files = f"{result.folder}: {', '.join(result.written)}"
    return f"{head}\n\n{images}\n\n{latency}\n\n{objects}\n\n{why}{files}"


def without_metres(result: Result, source: Source) -> list[str]:
    """Why the camera of a drive gives no metres, and what to do."""
    camera = source.calibration
    if camera is None:
        return [] if source.separate or not result.decoded else [NOT_CALIBRATED]
    if not camera.metric:
        return [MOUNTING_UNKNOWN]
    sizes = {(frame["image_width"], frame["image_height"]) for frame in result.frames if frame.get("image_width")}
    wrong = [f"{width}x{height}" for width, height in sizes - {(camera.width, camera.height)}]
    size = f"the calibration is for {camera.width}x{camera.height}"
    return [f"{size}, images are {wrong[0]}: calibrate at their size"] if wrong else []


def seconds_text(difference: Difference, first_ns: int) -> str:
    """When in the drive, in seconds since its first image."""
    return f"{(difference.stamp_ns - first_ns) / 1e9:.2f} s"


def _size(difference: Difference) -> str:
    """How many tolerances; a dash where there are no two numbers to compare."""
    return f"{difference.size:.3g}" if math.isfinite(difference.size) else "-"


def verdict(differences: Sequence[Difference], count: int, first_ns: int) -> None:
    """Print the differences; typer.Exit(1) if there are any.

    first_ns  stamp of the first image of the reference
    """
    if not differences:
        typer.secho(f"all {count} frames equal the reference", fg="green")
        return
    rows = [
        (row.field, row.frames, row.worst.actual, row.worst.wanted, seconds_text(row.worst, first_ns), _size(row.worst))
        for row in table(differences)
    ]
    typer.echo(text_table(("field", "frames", "now", "reference", "worst at", "in tolerances"), rows))
    frames = len({difference.stamp_ns for difference in differences})
    typer.secho(f"{frames} of {count} frames differ from the reference", fg="red")
    raise typer.Exit(1)
