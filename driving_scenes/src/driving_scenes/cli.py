"""Command line of the renderer. Heavy imports wait until a command runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from driving_scenes.base.errors import NoOpenGL, no_opengl
from driving_scenes.base.frequencies import DAYTIMES, ROAD_TYPES, WEATHERS

# Worker processes inherit these. One process per core is faster than threads, also of the software rasteriser.
for _name, _threads in (("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1"), ("LP_NUM_THREADS", "0")):
    os.environ.setdefault(_name, _threads)

SPLIT_SEEDS = {"train": 0, "val": 30_000, "test": 60_000}  # added to the seed


class _Commands(TyperGroup):
    """Reports missing OpenGL libraries in one sentence instead of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except NoOpenGL as error:
            raise _failure(error) from error
        except ImportError as error:
            if ".so" not in str(error):  # OpenCV needs libGL.so.1 to be imported
                raise
            raise _failure(no_opengl(error)) from error


app = typer.Typer(cls=_Commands, no_args_is_help=True, pretty_exceptions_enable=False)


def _failure(error: Exception | str) -> typer.Exit:
    """Print an error; the result ends the program when raised."""
    typer.echo(f"Error: {error}", err=True)
    return typer.Exit(1)


def _one_of(names: Iterable[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in names:
            raise typer.BadParameter(f"{text!r} is not one of {', '.join(names)}")
        return text

    return parse


def _choice(names: Iterable[str], help: str) -> Any:
    """An option that takes one of some names."""
    return typer.Option(parser=_one_of(names), metavar=f"[{'|'.join(names)}]", help=help)


def _image_size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(x) for x in text.lower().split("x"))
    except ValueError:
        raise typer.BadParameter(f"{text!r}: write it as 640x384") from None
    return width, height


Seed = Annotated[int, typer.Option(help="Random seed; the same seed gives the same images")]
Size = Annotated[str, typer.Option(metavar="WxH", help="Width and height of the images, pixels")]
Kind = Annotated[str | None, _choice(ROAD_TYPES, "Road type; default: a mix")]
Around = Annotated[bool, typer.Option("--around", help="Use side and rear cameras instead of a front camera")]


@app.callback()
def _commands(
    assets: Annotated[
        Path | None,
        typer.Option(
            help="Folder with roadsigns_public_domain/png128, pictures for sign boards; without it they are painted "
            "[default: $DRIVING_SCENES_ASSETS or ../shared/data/assets]"
        ),
    ] = None,
) -> None:
    """Render driving scenes with exact labels."""
    if assets is None:
        return
    if not any(assets.glob("roadsigns_public_domain/png128/*.png")):
        raise _failure(f"{assets}: holds no roadsigns_public_domain/png128/*.png; leave --assets out for painted signs")
    os.environ["DRIVING_SCENES_ASSETS"] = str(assets.absolute())  # worker processes read it, too


@app.command()
def dataset(
    out: Annotated[Path, typer.Option(help="Folder to write")],
    count: Annotated[int, typer.Option(help="Number of images")] = 1000,
    seed: Seed = 0,
    size: Size = "640x384",
    workers: Annotated[int, typer.Option(help="Number of processes, each with its own renderer")] = 2,
    split: Annotated[str, _choice(SPLIT_SEEDS, "Split; no two share an image")] = "train",
    kind: Kind = None,
    around: Around = False,
) -> None:
    """Write a labelled folder of random images; run it again to resume an interrupted run."""
    from driving_scenes.output.dataset import make_dataset

    total = make_dataset(out, count, seed + SPLIT_SEEDS[split], _image_size(size), workers, kind, around)
    typer.echo(f"{out}: {total} images")


@app.command()
def sequence(
    out: Annotated[Path, typer.Option(help="Folder to write; gets one labelled folder per camera")],
    rig: Annotated[Path | None, typer.Option(help="YAML file of cameras; default: one front camera")] = None,
    seconds: Annotated[float, typer.Option(help="Length of the drive, seconds")] = 12.0,
    rate: Annotated[float, typer.Option(help="Frames per second")] = 10.0,
    seed: Seed = 0,
    kind: Kind = None,
    weather: Annotated[str | None, _choice(WEATHERS, "Default: random")] = None,
    timeofday: Annotated[str | None, _choice(DAYTIMES, "Default: random")] = None,
) -> None:
    """Render a drive with constant track ids through every camera of a rig."""
    from driving_scenes.base.camera import read_rig
    from driving_scenes.output.sequence import drive, make_sequence

    try:
        cameras = read_rig(rig or Path(__file__).parent / "rig_front.yaml")
        found = drive(seed, seconds, kind, weather, timeofday)
    except (OSError, ValueError) as error:
        raise _failure(error) from error
    make_sequence(out, found, cameras, seconds, rate, seed, f"drive_{seed:05d}")
    typer.echo(f"{out}: {', '.join(c.name for c in cameras)}")


@app.command()
def sheet(
    out: Annotated[Path, typer.Option(help="Image file to write")],
    count: Annotated[int, typer.Option(help="Number of images")] = 24,
    seed: Seed = 0,
    size: Size = "640x384",
    labels: Annotated[bool, typer.Option(help="Draw the labels")] = False,
    kind: Kind = None,
    first: Annotated[int, typer.Option(help="Index of the first image")] = 0,
    step: Annotated[int, typer.Option(help="Take every n-th image; 4 takes one per world")] = 4,
    around: Around = False,
) -> None:
    """Preview a dataset: draw its images side by side."""
    import cv2

    from driving_scenes.labels.overlay import contact_sheet, overlay
    from driving_scenes.output.shot import random_shot

    shots = [random_shot(seed, first + i * step, _image_size(size), kind, around) for i in range(count)]
    images = [overlay(s.image, s.labels) if labels else s.image for s in shots]
    if not cv2.imwrite(str(out), contact_sheet(images)[..., ::-1]):
        raise _failure(f"cannot write {out}: does its folder exist?")


@app.command()
def people(
    workers: Annotated[int, typer.Option(help="Number of processes")] = 1,
) -> None:
    """Make all people of the scenes and keep them on disk; otherwise each is made when it first appears.

    Needs people.npz (see README.md). Run it again to resume. Example: driving-scenes people --workers 2
    """
    from driving_scenes.output.people_on_disk import make_people

    try:
        typer.echo(make_people(workers))
    except FileNotFoundError as error:
        raise _failure(error) from error


@app.command()
def bench(
    count: Annotated[int, typer.Option(help="Number of images")] = 20,
    seed: Seed = 0,
    size: Size = "640x384",
) -> None:
    """Measure CPU seconds per image of each stage, in one process, with warm caches."""
    from driving_scenes.output.stage_times import stage_times

    for name, seconds in stage_times(count, seed, _image_size(size)).items():
        typer.echo(f"{name:12s} {seconds:.3f} s")


if __name__ == "__main__":
    app()
