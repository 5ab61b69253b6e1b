"""make accuracy: geometry alone, tracking, lanes, KITTI, and the network in the loop; a table and a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from camera_perception.core.text_table import text_table
from perception_models.evaluation.drive.camera_handover import crossing_figures
from perception_models.evaluation.drive.geometry import geometry_figures
from perception_models.evaluation.drive.ground_truth import Snapshot, plain_drive, read_drive
from perception_models.evaluation.drive.kitti import kitti_figures
from perception_models.evaluation.drive.lanes import lane_figures, lane_log, see_truth
from perception_models.evaluation.drive.tracking import follow_truth, parts_of, track_logs

BAGS = Path(__file__).resolve().parents[3] / "bags"
SHARED = Path(__file__).resolve().parents[3].parent / "shared/data"

# What we want: figure -> (limit, whether less is better)
GOALS = {
    "geometry/position_error_median_percent": (1.0, True),
    "geometry/position_error_pitch_0.3_deg_percent": (5.0, True),
    "tracking/id_switches_per_100_object_seconds": (1.0, True),
    "network/range_error_median_percent": (6.0, True),
    "network/hota": (0.6, False),
    "network/id_switches_per_100_object_seconds": (1.0, True),
    "network/velocity_rmse_m_s": (1.5, True),
    "network lanes/lateral_error_20_m_median_m": (0.15, True),
    "network lanes/heading_error_median_deg": (0.5, True),
    "network lanes/ego_roles_right_percent": (98.0, False),
    "lanes/lateral_error_20_m_median_m": (0.15, True),
    "lanes/heading_error_median_deg": (0.5, True),
    "lanes/ego_roles_right_percent": (98.0, False),
    "cameras/id_kept_percent": (100.0, False),
    "kitti/range_error_median_percent": (8.0, True),
}


def main(
    drives: Annotated[list[Path] | None, typer.Argument(help="Folders with rendered truth, one camera each.")] = None,
    model: Annotated[Path | None, typer.Option("--model", "-m", help="Model folder: the network in the loop.")] = None,
    engine: Annotated[str, typer.Option("--engine", "-e", help="As in camera-perception replay.")] = "auto",
    kitti: Annotated[Path, typer.Option(help="Folder with calib, image_2, label_2.")] = SHARED
    / "labelled/kitti_sample",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the figures as JSON.")] = None,
) -> None:
    """How right the metres are. Without folders: plain drives on a flat road, which need no pictures."""
    plain = [snapshot for seed in range(4) for snapshot in plain_drive(seed, 6.0)]
    different = [snapshot for seed in range(100) for snapshot in plain_drive(seed, 2.0, rate=1.0)]
    figures = {"geometry": geometry_figures(different, plain)}
    rendered = [read_drive(folder) for folder in drives or []]
    figures |= parts_of("tracking", _tracked(rendered or [plain]))
    if rendered:
        snapshots = [snapshot for drive in rendered for snapshot in drive]
        figures["geometry rendered"] = geometry_figures(snapshots, snapshots)
        figures["lanes"] = lane_figures(lane_log(snapshots, see_truth()))
    if (BAGS / "demo_drive").is_dir():
        figures["cameras"] = crossing_figures(BAGS / "demo_drive", BAGS / "rig_demo.yaml")
    if kitti.is_dir():
        figures["kitti"] = kitti_figures(kitti)
    if model is not None and rendered:
        from perception_models.evaluation.drive.end_to_end import network_figures

        figures |= network_figures(rendered, model, engine)
    typer.echo(report(figures))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(figures, indent=2))


def _tracked(drives: list[list[Snapshot]]):
    return track_logs([snapshot for drive in drives for snapshot in drive], follow_truth())


def report(figures: dict[str, dict[str, float]]) -> str:
    """One line per figure, with what was wanted and whether it is reached."""
    rows = []
    for part, values in figures.items():
        for name, value in values.items():
            goal = GOALS.get(f"{part.split(' from ')[0]}/{name}")
            rows.append((part, name, f"{value:.3g}", *_wanted(value, goal)))
    return text_table(("part", "figure", "value", "wanted", ""), rows)


def _wanted(value: float, goal: tuple[float, bool] | None) -> tuple[str, str]:
    if goal is None:
        return "", ""
    limit, less = goal
    return f"{'<=' if less else '>='} {limit:g}", "yes" if (value <= limit if less else value >= limit) else "NO"


if __name__ == "__main__":
    typer.run(main)
