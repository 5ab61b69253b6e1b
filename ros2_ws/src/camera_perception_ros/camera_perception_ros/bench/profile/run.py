"""`make profile`: the command, its measurements and its tables."""

from __future__ import annotations

import gc
import os
import tracemalloc
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import rclpy
import typer
from tqdm import tqdm

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.bench.metadata import machine
from camera_perception.tools.bench.report import Table, put_into, write
from camera_perception_ros.bench.profile.camera import POST, STEPS, ProfiledCamera
from camera_perception_ros.bench.profile.steps import measured, merged

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
WARM_UP, COUNTED = 10, 20  # frames
ORDER = [*dict.fromkeys(step for step, _, _ in STEPS), "the rest"]


@app.command()
def profile(
    engine: Annotated[
        list[float] | None, typer.Option(help="Milliseconds of the engine (repeatable); default: 1, 5 and 20.")
    ] = None,
    objects: Annotated[int, typer.Option(help="Objects in the image.", min=1, max=80)] = 20,
    threshold: Annotated[float, typer.Option(help="Minimum score of objects.", min=0, max=1)] = 0.4,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the images.")] = "1280x720",
    frames: Annotated[int, typer.Option(help="Frames to measure for each engine.", min=20)] = 200,
    cores: Annotated[int, typer.Option(help="CPU cores to use; 0: all that there are.", min=0)] = 1,
    out: Annotated[Path, typer.Option(help="Folder for bench.json and bench.md.")] = Path("out/profile"),
    page: Annotated[
        Path | None, typer.Option(help="Markdown page whose text between the marks 'profile' the tables replace.")
    ] = None,
) -> None:
    """Measure each step of a frame from the bytes of an image to those of the answer, with a network that only waits.

    Example: make profile ARGS="--engine 5 --objects 50 --threshold 0.1"
    """
    try:
        width, _, height = size.partition("x")
        pixels = int(height), int(width)
    except ValueError:
        raise typer.BadParameter(f"'{size}': give WIDTHxHEIGHT, such as 1920x1080", param_hint="--size") from None
    use_cores(cores)
    engines = engine or [1.0, 5.0, 20.0]
    config = {"objects": objects, "threshold": threshold, "size": size, "frames": frames, "cores": cores}
    results: dict[str, Any] = {"metadata": {**machine(), "config": config}}
    rclpy.init()
    node = rclpy.create_node("profile", start_parameter_services=False, enable_rosout=False)
    try:
        cameras = {
            milliseconds: ProfiledCamera(node, objects, milliseconds, threshold, pixels) for milliseconds in engines
        }
        results["engines"] = {f"{each:g}": timed(camera, frames, each) for each, camera in cameras.items()}
        results["once"] = once(cameras[engines[0]])
    except PerceptionError as error:
        typer.echo(f"profile: {error}", err=True)
        raise typer.Exit(1) from None
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    table = profile_table(results)
    typer.echo(table.text())
    write(out, results, [table], "make profile")
    if page is not None:
        put_into(page, (out / "bench.md").read_text("utf-8"), "profile")


def use_cores(count: int) -> None:
    """Bind this process to the last cores of the machine; OpenCV gets as many threads."""
    own = sorted(os.sched_getaffinity(0))
    if count:
        os.sched_setaffinity(0, own[-count:])
    cv2.setNumThreads(count or len(own))


def timed(camera: ProfiledCamera, frames: int, milliseconds: float) -> dict[str, Any]:
    """CPU milliseconds of each step, medians over frames; and received to published, with the machine's noise."""
    gc.collect()
    gc.freeze()  # as an active camera does
    with measured(STEPS) as costs:
        camera.run(costs, WARM_UP)
        costs.milliseconds.clear()
        camera.around_ms.clear()
        for _ in tqdm(range(frames), desc=f"engine of {milliseconds:g} ms", unit="", disable=None):
            camera.run(costs, 1)
    around = np.percentile(camera.around_ms, (50, 99)).tolist()
    return {"cpu_ms": merged(costs.milliseconds, np.median), "around_p50": around[0], "around_p99": around[1]}


def once(camera: ProfiledCamera) -> dict[str, dict[str, float]]:
    """What does not depend on the time of day: function calls of each step and kilobytes that it allocates."""
    with measured(STEPS) as costs, costs.counted():
        camera.run(costs, COUNTED)
    tracemalloc.start()
    try:
        with measured(STEPS) as traced:
            camera.run(traced, COUNTED)
    finally:
        tracemalloc.stop()
    calls = {step: count / COUNTED for step, count in costs.calls.items()}
    return {"calls": calls, "kilobytes": merged(traced.kilobytes, np.median)}


def profile_table(results: dict[str, Any]) -> Table:
    engines, steady = results["engines"], results["once"]
    rows = [_row(step, [step], engines, steady) for step in ORDER]
    rows.append(_row("post-processing: decode to serialise, without the rest", POST, engines, steady))
    rows.append(_row("all but the engine", [step for step in ORDER if step != "engine"], engines, steady))
    for name, key in (("received to published minus engine, p50", "around_p50"), ("p99", "around_p99")):
        rows.append((name, *(each[key] for each in engines.values()), "", ""))
    config = results["metadata"]["config"]
    return Table(
        "One frame, step by step",
        ("step", *(f"CPU ms, engine {name} ms" for name in engines), "function calls", "kB at most"),
        rows,
        f"{config['objects']} objects at a threshold of {config['threshold']:g}, {config['size']} bgr8, cores: "
        f"{config['cores'] or 'all'}. CPU time of the thread, medians of {config['frames']} frames; the last two rows "
        "are time by the clock. Calls are those of Python functions and of the C functions that Python sees.",
    )


def _row(name: str, steps: Any, engines: dict[str, Any], steady: dict[str, dict[str, float]]) -> tuple[Any, ...]:
    times = (sum(each["cpu_ms"].get(step, 0.0) for step in steps) for each in engines.values())
    calls = sum(steady["calls"].get(step, 0.0) for step in steps)
    return (name, *times, calls, max(steady["kilobytes"].get(step, 0.0) for step in steps))
