"""Commands on recordings, films and cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camera_perception.tools.cli.drives.fleet import fleet
from camera_perception.tools.cli.options import (
    Backend,
    Ignore,
    ImageTopic,
    Mirror,
    ModelFolder,
    Range16,
    Rotate,
    Threads,
    examples,
    ignored,
    model_or_shipped,
)

PANEL = "Drives"  # of --help

drives = typer.Typer()
drives.add_typer(fleet, name="fleet", rich_help_panel=PANEL)

Lens = Annotated[Path | None, typer.Option(help="camera_info YAML of the lens. Default: the recording's CameraInfo.")]


@drives.command(
    rich_help_panel=PANEL,
    epilog=examples(
        "replay bags/demo_drive --camera front --out out/replay",
        "replay film.mp4 --calibration lens.yaml --mount auto,1.3 --out out/film",
        "replay rear.mp4 --rotate 180 --ignore '0,0.9 1,0.9 1,1 0,1' --out out/rear",
        "replay pictures/ --independent --write csv --write coco --out out/pictures",
    ),
)
def replay(
    source: Annotated[Path, typer.Argument(help="A rosbag2 recording, a video, an image, or a folder of images.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder: messages, film, report and what --write names.")
    ],
    model: ModelFolder = None,
    camera: ImageTopic = None,
    calibration: Lens = None,
    mount: Annotated[
        str | None,
        typer.Option(
            help="Camera pose in base_link: x,y,z,roll,pitch,yaw (m, rad), or auto,HEIGHT: pitch and yaw from straight "
            "lane lines. Default: the recording's /tf_static."
        ),
    ] = None,
    independent: Annotated[
        bool | None,
        typer.Option(
            help="The pictures are no drive: no tracks, one annotated picture each. Default: as a folder looks.",
            show_default=False,
        ),
    ] = None,
    engine: Backend = "auto",
    threads: Threads = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier replay in --out.")] = False,
    limit: Annotated[int, typer.Option(help="Maximum number of images; 0: all.", min=0, metavar="N")] = 0,
    video: Annotated[bool, typer.Option(help="Write the film, or the pictures of --independent.")] = True,
    write: Annotated[
        list[str] | None,
        typer.Option(help="Further result: jsonl, csv, coco, parquet or pictures; repeatable."),
    ] = None,
    compare: Annotated[
        Path | None, typer.Option(help="perception.mcap of an earlier replay; exit code 1 on a difference.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Factor on the tolerances of --compare.", min=0.0, metavar="X")
    ] = 1.0,
    rotate: Rotate = 0,
    mirror: Mirror = False,
    range16: Range16 = "auto",
    ignore: Ignore = None,
) -> None:
    """Run every image of a drive through the pipeline, with the same result each time.

    Exit code 1 when no image could be decoded.
    """
    from camera_perception.image.turn import Turn
    from camera_perception.tools.cli.drives.replay import Choices, replay_command

    chosen = Choices(
        camera, calibration, mount, independent, engine, threads, force, limit, video, write or [], compare, tolerance,
        Turn(rotate, mirror), range16, ignored(ignore),
    )  # fmt: skip
    replay_command(source, model_or_shipped(model), out, chosen)


@drives.command(
    rich_help_panel=PANEL,
    epilog=examples(
        "live bags/demo_drive",
        "live film.mp4 --calibration lens.yaml --mount 1.5,0,1.3,0,0.02,0 --ignore auto",
        "live 0 --rotate 180",
        "live topics",
    ),
)
def live(
    source: Annotated[
        str,
        typer.Argument(
            help="A recording, a video, a folder of images, a webcam (0, /dev/video0), an address such as rtsp://..., "
            "a GStreamer pipeline, or `topics` of running nodes."
        ),
    ],
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Model folder; default: the shipped one. `topics` needs none.")
    ] = None,
    camera: Annotated[str | None, typer.Option("--camera", help="Image topic or name; default: all cameras.")] = None,
    calibration: Lens = None,
    mount: Annotated[
        str | None,
        typer.Option(
            help="Camera pose in base_link: x,y,z,roll,pitch,yaw (m, rad). Default: the recording's /tf_static."
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to serve; any but loopback needs a token.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port of the page; 0: any free one.", min=0, max=65535, metavar="PORT")
    ] = 8080,
    token: Annotated[str, typer.Option(help="Token of viewers. Default: that of the environment, or a new one.")] = "",
    tuning: Annotated[
        bool | None,
        typer.Option("--tuning/--no-tuning", help="Viewers may change thresholds. Default: yes, but not for `topics`."),
    ] = None,
    anonymize: Annotated[
        bool, typer.Option("--anonymize", help="Cover heads and number plates before images are sent.")
    ] = False,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end of a recording.")] = False,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in this machine's browser.")] = False,
    foxglove: Annotated[
        int, typer.Option(help="Also serve Foxglove on this port, e.g. 8765.", min=0, max=65535, metavar="PORT")
    ] = 0,
    engine: Backend = "auto",
    threads: Threads = 0,
    rotate: Rotate = 0,
    mirror: Mirror = False,
    range16: Range16 = "auto",
    ignore: Ignore = None,
) -> None:
    """Watch a drive, a camera or running nodes in the browser, on http://127.0.0.1:8080.

    The environment variable CAMERA_PERCEPTION_TOKEN sets the token of viewers.
    """
    from camera_perception.image.turn import Turn
    from camera_perception.tools.cli.drives.live import LiveOptions, live_command

    shown = model if source == "topics" else model_or_shipped(model)
    live_command(
        LiveOptions(
            source,
            shown,
            camera,
            calibration,
            mount,
            host,
            port,
            token,
            engine,
            threads,
            tuning,
            anonymize,
            loop,
            browser,
            foxglove,
            Turn(rotate, mirror),
            range16,
            ignored(ignore),
        )  # fmt: skip
    )


@drives.command(
    rich_help_panel=PANEL,
    epilog=examples("profile good_drive --out profile.json", "profile new_drive --against profile.json"),
)
def profile(
    sources: Annotated[list[Path], typer.Argument(help="Drives on which the model works well: recordings, videos.")],
    model: ModelFolder = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Output file. Default: MODEL/profile.json.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="Existing profile: compare the drives with it, write none.")
    ] = None,
    camera: ImageTopic = None,
    threshold: Annotated[
        list[str] | None, typer.Option(help="Score threshold of the node as HEAD=SCORE; repeatable.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace an earlier profile.")] = False,
    engine: Backend = "auto",
    threads: Threads = 0,
) -> None:
    """Record a model's typical output distributions (drift profile), or compare drives with a profile.

    Exit code 1 when a compared drive has drifted.
    """
    from camera_perception.tools.cli.drives.profile import profile_command

    profile_command(sources, model_or_shipped(model), out, against, camera, threshold or [], force, engine, threads)


@drives.command(
    rich_help_panel=PANEL,
    epilog=examples("anonymize drive --out drive_covered", "anonymize film.mp4 --how fill --out covered.mp4"),
)
def anonymize(
    source: Annotated[Path, typer.Argument(help="A rosbag2 recording, a video, an image, or a folder of images.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New recording, new folder of images, or new .mp4.")],
    model: ModelFolder = None,
    how: Annotated[
        str, typer.Option(help="Method: mosaic, blur or fill; only fill removes all information.")
    ] = "mosaic",
    whole: Annotated[bool, typer.Option("--whole", help="Cover whole people and vehicles.")] = False,
    least: Annotated[float, typer.Option(help="Minimum detection score.", min=0.0, max=1.0)] = 0.2,
    margin: Annotated[
        float, typer.Option(help="Margin on every side, as a fraction of the region's size.", min=0.0)
    ] = 0.15,
    hold: Annotated[
        float | None,
        typer.Option(
            help="Seconds before and after a detection that are covered too. Default: 0.5, for image files 0.", min=0.0
        ),
    ] = None,
    faces: Annotated[bool, typer.Option("--faces", help="Also detect faces with OpenCV's cascades.")] = False,
    extra_model: Annotated[
        list[Path] | None, typer.Option(help="Second model folder whose detections are covered too; repeatable.")
    ] = None,
    tiles: Annotated[
        bool, typer.Option("--tiles", help="Also look at enlarged parts of each image: more small people, slower.")
    ] = False,
    quality: Annotated[int, typer.Option(help="JPEG quality of rewritten images.", min=1, max=100)] = 95,
    keep: Annotated[list[str] | None, typer.Option(help="Image topic to copy unchanged; repeatable.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Topic to leave out; repeatable.")] = None,
    engine: Backend = "auto",
    threads: Threads = 0,
) -> None:
    """Cover heads and number plates, copy everything else unchanged, and write a report of what was covered."""
    from camera_perception.tools.cli.drives.anonymize import anonymize_command, default_hold
    from camera_perception.tools.privacy.regions import Settings

    settings = Settings(how, margin, default_hold(source) if hold is None else hold, whole, quality)
    models = [model_or_shipped(model), *map(model_or_shipped, extra_model or [])]
    anonymize_command(source, out, models, settings, least, faces, tiles, keep or [], drop or [], engine, threads)


@drives.command("repair-bag", rich_help_panel=PANEL, epilog=examples("repair-bag broken_drive --out repaired_drive"))
def repair_bag(
    bag: Annotated[Path, typer.Argument(help="A truncated or damaged recording, or one of several files.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder. Default: BAG_repaired.")] = None,
    humble: Annotated[bool, typer.Option(help="Write metadata for ROS 2 Humble.")] = False,
) -> None:
    """Copy every readable message into a new recording; the old one stays as it is."""
    from camera_perception.io.bag_repair import repair_bag as repair

    repaired = repair(bag, out, version=8 if humble else 9)
    typer.echo("\n".join(repaired.lines()))
