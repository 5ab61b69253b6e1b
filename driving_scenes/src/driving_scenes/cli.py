"""Command line of the renderer.

Where the time goes.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from driving_scenes.base.camera import random_camera
from driving_scenes.labels.objects import label
from driving_scenes.output import shot as shots
from driving_scenes.output.dataset import write_shot
from driving_scenes.renderer.camera_effects import photograph, random_lens
from driving_scenes.renderer.visibility import whole_areas
from driving_scenes.scene.drive import random_drive
from driving_scenes.scene.world import build_world


def stages(count: int, seed: int, size: tuple[int, int]) -> dict[str, float]:
    """Mean CPU seconds per picture of each stage; the first round is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        _round(count, seed, size, Path(folder))
        spent = _round(count, seed, size, Path(folder))
    return {name: seconds / count for name, seconds in spent.items()} | {"all": sum(spent.values()) / count}


def _round(count: int, seed: int, size: tuple[int, int], folder: Path) -> dict[str, float]:
    spent: dict[str, float] = {}
    engine = shots.engine()

    def timed(name: str, call, *args):
        start = time.process_time()
        result = call(*args)
        engine.gpu.ctx.finish()
        spent[name] = spent.get(name, 0.0) + time.process_time() - start
        return result

    for i in range(count):
        if i % shots.PICTURES_PER_WORLD == 0:
            world = timed("world", build_world, (seed, i))
        rng = np.random.default_rng([seed, i])
        found = timed("traffic", random_drive, rng, world)
        camera, lens = random_camera(rng, *size), random_lens(rng, found.conditions)
        snapshot = found.snapshot()
        picture = timed("draw", engine.draw, snapshot, camera, shots.fineness(camera, lens))
        areas = timed("occlusion", whole_areas, engine, snapshot, camera, picture)
        labels = timed("labels", label, snapshot, camera, picture, areas)
        image = timed("lens", photograph, rng, picture.light, camera, lens, found.conditions)
        timed("write", write_shot, folder, str(i), shots.Shot(image, labels, lens))
    return spent


for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("LP_NUM_THREADS", "0")  # the software rasteriser: one process per core beats threads


app = typer.Typer(help="Driving scenes with exact labels, made from a seed.", no_args_is_help=True)

Size = Annotated[str, typer.Option(help="width x height in pixels")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same pictures")]


@app.callback()
def _commands() -> None:
    """Driving scenes with exact labels, made from a seed."""


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(x) for x in text.lower().split("x"))
    except ValueError:
        raise typer.BadParameter(f"size {text!r}: write it as 640x384") from None
    return width, height


@app.command()
def dataset(
    out: Annotated[Path, typer.Option(help="folder to write")],
    count: Annotated[int, typer.Option(help="number of pictures")] = 1000,
    seed: Seed = 0,
    size: Size = "640x384",
    workers: Annotated[int, typer.Option(help="processes, each with its own engine")] = 2,
    split: Annotated[str, typer.Option(help="train, val or test: pictures that no other split has")] = "train",
    kind: Annotated[str | None, typer.Option(help="only highway, rural, city, residential or tunnel")] = None,
    around: Annotated[bool, typer.Option("--around", help="cameras that look aside and back, not ahead")] = False,
) -> None:
    """A labelled folder of random pictures; run again to go on where it stopped."""
    from driving_scenes.output.dataset import make_dataset

    offset = {"train": 0, "val": 30_000, "test": 60_000}[split]
    total = make_dataset(out, count, seed + offset, _size(size), workers, kind, around)
    typer.echo(f"{out}: {total} pictures")


@app.command()
def sequence(
    out: Annotated[Path, typer.Option(help="folder to write, one labelled folder per camera in it")],
    rig: Annotated[Path | None, typer.Option(help="YAML file of cameras; without it one front camera")] = None,
    seconds: Annotated[float, typer.Option(help="length of the drive")] = 12.0,
    rate: Annotated[float, typer.Option(help="frames per second")] = 10.0,
    seed: Seed = 0,
    kind: Annotated[str | None, typer.Option(help="highway, rural, city, residential or tunnel")] = None,
    weather: Annotated[str | None, typer.Option(help="clear, partly cloudy, overcast, rainy, foggy or snowy")] = None,
    timeofday: Annotated[str | None, typer.Option(help="daytime, dawn/dusk or night")] = None,
) -> None:
    """A drive with constant track ids, seen by every camera of a rig."""
    from driving_scenes.base.camera import read_rig
    from driving_scenes.output.sequence import drive, make_sequence

    cameras = read_rig(rig or Path(__file__).parent / "rig_front.yaml")
    make_sequence(
        out, drive(seed, seconds, kind, weather, timeofday), cameras, seconds, rate, seed, f"drive_{seed:05d}"
    )
    typer.echo(f"{out}: {', '.join(c.name for c in cameras)}")


@app.command()
def sheet(
    out: Annotated[Path, typer.Option(help="picture to write")],
    count: Annotated[int, typer.Option(help="number of pictures")] = 24,
    seed: Seed = 0,
    size: Size = "640x384",
    labels: Annotated[bool, typer.Option(help="draw the labels in")] = False,
    kind: Annotated[str | None, typer.Option(help="only highway, rural, city, residential or tunnel")] = None,
    first: Annotated[int, typer.Option(help="index of the first picture")] = 0,
    step: Annotated[int, typer.Option(help="take every n-th picture; 4 is one per world")] = 4,
    around: Annotated[bool, typer.Option("--around", help="cameras that look aside and back, not ahead")] = False,
) -> None:
    """Pictures of a dataset side by side, to look at."""
    import cv2

    from driving_scenes.labels.overlay import contact_sheet, overlay
    from driving_scenes.output.shot import random_shot

    shots = [random_shot(seed, first + i * step, _size(size), kind, around) for i in range(count)]
    pictures = [overlay(s.image, s.labels) if labels else s.image for s in shots]
    cv2.imwrite(str(out), contact_sheet(pictures)[..., ::-1])


@app.command()
def bench(
    count: Annotated[int, typer.Option(help="number of pictures")] = 20,
    seed: Seed = 0,
    size: Size = "640x384",
) -> None:
    """CPU seconds of each stage, in this one process, after a first round that fills the caches."""

    for name, seconds in stages(count, seed, _size(size)).items():
        typer.echo(f"{name:12s} {seconds:.3f} s")


if __name__ == "__main__":
    app()
