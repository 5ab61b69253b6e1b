"""make accuracy: geometry alone, tracking, lanes, camera handover, KITTI, and optionally the whole pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from camera_perception.core.text_table import text_table
from perception_models.evaluation.drive.camera_handover import handover_metrics
from perception_models.evaluation.drive.geometry import geometry_metrics
from perception_models.evaluation.drive.ground_truth import read_drive, synthetic_drive
from perception_models.evaluation.drive.kitti import kitti_metrics
from perception_models.evaluation.drive.lanes import lane_log, lane_metrics, project_truth
from perception_models.evaluation.drive.tracking import metrics_by_part, track_logs, track_truth

ROOT = Path(__file__).resolve().parents[3]
BAGS, KITTI = ROOT / "bags", ROOT.parent / "shared/data/labelled/kitti_sample"

# Targets: metric -> (limit, whether lower is better)
TARGETS = {
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
    drives: Annotated[
        list[Path] | None, typer.Argument(help="Rendered drives with ground truth, one folder per camera")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", "-m", help="Model folder: also measure the whole pipeline on the drives")
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", "-e", help="Inference engine, as in camera-perception replay")
    ] = "auto",
    kitti: Annotated[Path, typer.Option(help="KITTI folder with calib, image_2 and label_2")] = KITTI,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON file for the metrics")] = None,
) -> None:
    """Measure positions, tracks and lanes against ground truth. Default: synthetic drives, which need no images."""
    drive = [snapshot for seed in range(4) for snapshot in synthetic_drive(seed, 6.0)]
    varied = [snapshot for seed in range(100) for snapshot in synthetic_drive(seed, 2.0, rate=1.0)]
    metrics = {"geometry": geometry_metrics(varied, drive)}
    rendered = [read_drive(folder) for folder in drives or []]
    snapshots = [snapshot for each in rendered for snapshot in each]
    metrics |= metrics_by_part("tracking", track_logs(snapshots or drive, track_truth()))
    if rendered:
        metrics["geometry rendered"] = geometry_metrics(snapshots, snapshots)
        metrics["lanes"] = lane_metrics(lane_log(snapshots, project_truth()))
    if (BAGS / "demo_drive").is_dir():
        metrics["cameras"] = handover_metrics(BAGS / "demo_drive", BAGS / "rig_demo.yaml")
    if kitti.is_dir():
        metrics["kitti"] = kitti_metrics(kitti)
    if model is not None and rendered:
        from perception_models.evaluation.drive.end_to_end import network_metrics

        metrics |= network_metrics(rendered, model, engine)
    typer.echo(report(metrics))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(metrics, indent=2))


def report(metrics: dict[str, dict[str, float]]) -> str:
    """One line per metric, with its target and whether it is met."""
    rows = []
    for part, values in metrics.items():
        for name, value in values.items():
            target = TARGETS.get(f"{part.split(' from ')[0]}/{name}")
            rows.append((part, name, f"{value:.3g}", *_compare(value, target)))
    return text_table(("part", "metric", "value", "target", ""), rows)


def _compare(value: float, target: tuple[float, bool] | None) -> tuple[str, str]:
    if target is None:
        return "", ""
    limit, lower = target
    return f"{'<=' if lower else '>='} {limit:g}", "yes" if (value <= limit if lower else value >= limit) else "NO"


if __name__ == "__main__":
    typer.run(main)
