"""Commands for labelled data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perception_models.commands.options import Split, plain_errors


def check_data(
    folder: Annotated[Path, typer.Argument(help="Labelled data set, or a folder of several")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Output folder for counts.json and contact sheets")
    ] = None,
    split: Split = "val",
) -> None:
    """Count labels, list broken files and draw contact sheets. Exit status 1 if a file is broken."""
    with plain_errors():
        from perception_models.data.curation.inspect import check, table

        results = check(folder, out, split)
    for name, counts in results.items():
        typer.echo(f"{name}\n{table(counts)}")
    if any(counts.broken for counts in results.values()):
        raise typer.Exit(1)


def cache_data(
    data: Annotated[list[Path], typer.Argument(help="Labelled data sets, or folders of several")],
    cache: Annotated[Path, typer.Option(help="Cache folder; name it as data.cache in the training configuration")],
    height: Annotated[int, typer.Option(help="Maximum image height, pixels")] = 384,
    width: Annotated[int, typer.Option(help="Maximum image width, pixels")] = 640,
    split: Split = "train",
) -> None:
    """Decode and shrink the images of data sets in advance; otherwise training does this at start-up."""
    with plain_errors():
        from perception_models.data.mix import open_mix
        from perception_models.data.registry import find_entries

        entries = [entry for folder in data for entry in find_entries(folder, split)]
        mix = open_mix(entries, cache, (height, width))
        typer.echo(f"{len(mix)} images in {cache}")


def label(
    source: Annotated[Path, typer.Option(help="Folder of real images with their licence; existing labels are used")],
    teachers: Annotated[Path, typer.Option(help="Folder of the detectors")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Labelled folder to write; run again to resume")],
    widen: Annotated[
        float, typer.Option(help="Horizontal stretch, for images that were squeezed to squares (Open Images: 1.333)")
    ] = 1.0,
    road: Annotated[
        bool, typer.Option(help="Add drivable masks of daylight images, from a segmentation network of --teachers")
    ] = False,
    road_model: Annotated[
        Path | None,
        typer.Option(help="With --road: model folder that must agree; labels whole roads, not only the corridor ahead"),
    ] = None,
    score: Annotated[float, typer.Option(help="Minimum score of a label; other objects are ignored")] = 0.5,
    limit: Annotated[int | None, typer.Option(help="Maximum number of images; default: all", min=1)] = None,
) -> None:
    """Label real images with public detectors: what two views agree on; uncertain objects are marked as ignored.

    The folder of detectors holds yolox_nano.onnx, person-vehicle-bike-detection-2002.xml and, for --road,
    road-segmentation-adas-0001.xml.
    """
    with plain_errors():
        from perception_models.data.curation.agreement import Rules
        from perception_models.data.curation.label import LabelConfig
        from perception_models.data.curation.label import label as run
        from perception_models.data.curation.road import DrivableNetwork, RoadTeacher
        from perception_models.data.curation.teachers import load_teachers

        config = LabelConfig(Rules(score=score), widen, limit)
        second = DrivableNetwork(road_model) if road_model else None
        lanes = RoadTeacher(teachers / "road-segmentation-adas-0001.xml", second) if road else None
        counts = run(source, out, load_teachers(teachers), config, lanes)
    for name, number in counts.most_common():
        typer.echo(f"{number:6} {name}")
    typer.echo(f"{out / 'labels/det_20/det.json'}, {out / 'CREDITS.csv'}, {out / 'sheet' / out.name}.png")


def cutouts(
    source: Annotated[list[Path], typer.Option(help="Labelled folder of real images (perception-models label)")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; run again to resume")] = Path(
        "data/cutouts"
    ),
    polygons: Annotated[
        Path | None, typer.Option(help="Folder whose annotations.json has polygons of some of the objects (COCO)")
    ] = None,
    matting: Annotated[
        Path | None,
        typer.Option(help="pose_landmark_full.tflite of the mediapipe wheel, for masks of people; default: GrabCut"),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="File name pattern of images to leave alone; default: *7.jpg and *f.jpg, held out by real.yaml"
        ),
    ] = None,
) -> None:
    """Cut people, riders and vehicles out of labelled real images, to be pasted into others (data.augment.paste)."""
    with plain_errors():
        from perception_models.data.curation.cutouts.cut import HELD_OUT, CutConfig, counts, cut_all
        from perception_models.data.curation.cutouts.matting import PersonMatting

        network = PersonMatting(matting) if matting else None
        config = CutConfig(tuple(exclude or HELD_OUT), polygons, network)
        found, refused = cut_all(source, out, config)
    for name, number in counts(found).most_common():
        typer.echo(f"{number:6} {name}")
    for name, number in refused.most_common():
        typer.echo(f"{number:6} refused: {name}")
    typer.echo(f"{out / 'index.json'}, {out / 'sheet'}")


def autolabel(
    source: Annotated[Path, typer.Argument(help="Folder of mined frames (camera-perception fleet mine), or of images")],
    teacher: Annotated[
        list[Path], typer.Option("--teacher", help="Model folder, or the folder of `label`'s teachers; repeatable")
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output folder. Default: SOURCE_labels")] = None,
    form: Annotated[
        str, typer.Option("--format", help="For people: cvat, label-studio, coco or yolo; folder: ours only")
    ] = "folder",
    score: Annotated[float, typer.Option(help="Minimum score of a label; less certain objects are doubtful")] = 0.5,
    engine: Annotated[
        str, typer.Option(help="Engine of model folders: auto, onnxruntime, openvino, tensorrt or tensorrt_rtx")
    ] = "auto",
    licence: Annotated[
        str, typer.Option(help="Licence of the images, where the folder has no LICENCE.txt")
    ] = "own recordings",
) -> None:
    """Pre-label images with teachers: whole, in tiles and mirrored. Keeps what is sure, marks what is doubtful.

    perception-models autolabel hard --teacher models/large --format cvat
    """
    with plain_errors():
        from perception_models.data.curation.agreement import Rules
        from perception_models.data.curation.label import LabelConfig
        from perception_models.data.curation.label import label as run
        from perception_models.data.curation.sources import LICENCE_FILES
        from perception_models.data.curation.teachers import ModelFolder, load_teachers
        from perception_models.data.readers.annotations.writers import WRITERS, export_labels

        if form not in (*WRITERS, "folder"):
            raise ValueError(f"--format {form}: expected one of {', '.join(WRITERS)}, folder")
        if source.is_dir() and not any((source / name).is_file() for name in LICENCE_FILES):
            (source / LICENCE_FILES[0]).write_text(f"{licence}\n", "utf-8")
        out = out or source.with_name(f"{source.name}_labels")
        teachers = [
            each
            for folder in teacher
            for each in ([ModelFolder(folder, engine)] if (folder / "model.json").is_file() else load_teachers(folder))
        ]
        counts = run(source, out, teachers, LabelConfig(Rules(score=score)))
        written = out if form == "folder" else export_labels(out, out / form, form)
    for name, number in counts.most_common():
        typer.echo(f"{number:6} {name}")
    typer.echo(f"{written}, {out / 'sheet' / out.name}.png")


def import_labels(
    source: Annotated[
        Path, typer.Argument(help="Export of CVAT (for images 1.1), Label Studio, COCO or YOLO, or a zip")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Labelled folder to write")],
    images: Annotated[Path | None, typer.Option(help="Folder of the images, if the export does not hold them")] = None,
) -> None:
    """Bring labels that people corrected back as a labelled folder, ready for `train --data`.

    perception-models import-labels cvat.zip --images hard/images --out data/hard
    """
    with plain_errors():
        from perception_models.data.registry import import_labels as run

        counts = run(source, out, images)
    for name, number in sorted(counts.items(), key=lambda each: -each[1]):
        typer.echo(f"{number:6} {name}")
    typer.echo(f"{out}: train with `perception-models train --data {out}`")


COMMANDS = (check_data, cache_data, label, cutouts, autolabel, import_labels)
