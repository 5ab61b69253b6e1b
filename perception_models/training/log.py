"""Where a run writes what happens: log.jsonl always, TensorBoard, and Weights & Biases when asked for and installed.

log.jsonl as pictures: how losses fell and measures rose.

What the network sees, drawn over the image, for the log.
"""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from perception_models.config import SettingsError
from perception_models.network import PerceptionNet
from perception_models.network.export_graph import ExportGraph


class Logbook:
    """Figures and pictures of a run by step. Only the first device keeps one; on others every call does nothing."""

    def __init__(self, folder: Path, active: bool, wandb: bool, config: dict[str, Any]):
        self.active, self._wandb = active, None
        if not active:
            return
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._board = SummaryWriter(str(folder / "tensorboard"))
        self._lines = (folder / "log.jsonl").open("a")
        if wandb:
            self._wandb = _wandb_run(folder, config)

    def figures(self, step: int, values: dict[str, float]) -> None:
        if not self.active:
            return
        values = {name: value for name, value in values.items() if math.isfinite(value)}  # JSON knows no nan
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._lines.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        self._lines.flush()
        if self._wandb:
            self._wandb.log(values, step=step)

    def picture(self, step: int, name: str, bgr: np.ndarray) -> None:
        """bgr (H, W, 3) uint8"""
        if self.active:
            self._board.add_image(name, bgr[..., ::-1], step, dataformats="HWC")
            self._board.flush()

    def close(self) -> None:
        if self.active:
            self._board.close()
            self._lines.close()
            if self._wandb:
                self._wandb.finish()


def _wandb_run(folder: Path, config: dict[str, Any]) -> Any:
    if find_spec("wandb") is None:
        raise SettingsError("wandb=true but the package is missing: pip install wandb, or set wandb=false")
    import wandb

    return wandb.init(dir=folder, config=config, name=folder.name)


Curves = dict[str, list[tuple[int, float]]]


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows by step. A resumed run repeats the steps after its last checkpoint: what it says then counts."""
    rows: dict[int, dict[str, Any]] = {}
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        rows = {step: old for step, old in rows.items() if step <= row["step"]}
        rows[row["step"]] = rows.get(row["step"], {}) | row
    return [rows[step] for step in sorted(rows)]


def curves(rows: list[dict[str, Any]]) -> Curves:
    """Name: (step, value) of everything that was logged."""
    found: Curves = {}
    for row in rows:
        for name, value in row.items():
            if name != "step":
                found.setdefault(name, []).append((row["step"], value))
    return found


def smoothed(values: list[float], share: float = 0.08) -> list[float]:
    """Exponential moving average, so that a trend can be seen through the noise of single batches."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else out[-1] + share * (value - out[-1]))
    return out


def draw_curves(log: Path, picture: Path) -> None:
    """One panel of training losses (log scale), one of validation losses, one of measures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = curves(read_log(log))
    groups = {
        "training loss, smoothed": [name for name in found if name.startswith("train/")],
        "validation loss": [name for name in found if name.startswith("val/loss/")],
        "validation": [name for name in found if name.startswith("val/iou/")],
    }
    groups = {title: names for title, names in groups.items() if names}
    figure = Figure(figsize=(5.2 * max(len(groups), 1), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (title, names) in enumerate(groups.items(), 1):
        axes = figure.add_subplot(1, len(groups), place, title=title, xlabel="step")
        for name in sorted(names):
            steps, values = zip(*found[name])
            line = smoothed(list(values)) if title.startswith("training") else values
            axes.plot(
                steps, line, label=name.removeprefix("val/").split("/", 1)[-1], marker="." if len(steps) < 30 else None
            )
        if "loss" in title:
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(picture, dpi=110)


DRIVABLE = np.array([(0, 0, 0), (90, 160, 0), (160, 110, 0)], np.uint8)  # BGR
LINE = [(203, 121, 167), (180, 105, 255), (0, 94, 213), (0, 159, 230), (66, 228, 240), (233, 180, 86)]


@torch.no_grad()
def contact_sheet(net: PerceptionNet, images: Tensor, threshold: float = 0.4) -> np.ndarray:
    """Predictions for images (B, H, W, 3) uint8 as one picture, two per row."""
    final = ExportGraph(net, tuple(images.shape[1:3])).to(images.device)
    names, sheets = final.output_names(), []
    for image in images:
        seen = {name: value[0].float().cpu().numpy() for name, value in zip(names, final(image[None]))}
        sheets.append(_draw(image.cpu().numpy().copy(), seen, threshold))
    sheets += [np.zeros_like(sheets[0])] * (len(sheets) % 2)
    return np.vstack([np.hstack(sheets[i : i + 2]) for i in range(0, len(sheets), 2)])


def _draw(image: np.ndarray, seen: dict[str, np.ndarray], threshold: float) -> np.ndarray:
    if "drivable" in seen:
        size = image.shape[1::-1]
        tint = cv2.resize(DRIVABLE[seen["drivable"].astype(int)], size, interpolation=cv2.INTER_NEAREST)
        image = cv2.addWeighted(image, 1, tint, 0.4, 0)
    if "lane_x" in seen:
        _draw_lanes(image, seen, threshold)
    if "boxes" in seen:
        for box, score, kind in zip(seen["boxes"], seen["scores"], seen["classes"]):
            if score > threshold:
                corners = box.clip(-1, 4096).round().astype(int).tolist()
                cv2.rectangle(image, corners[:2], corners[2:], LINE[int(kind) % len(LINE)], 1)
    return image


def _draw_lanes(image: np.ndarray, seen: dict[str, np.ndarray], threshold: float) -> None:
    for slot in np.flatnonzero(seen["lane_score"] > threshold):
        for row in np.flatnonzero(seen["lane_row_score"][slot] > threshold):
            v = (row + 0.5) * image.shape[0] / seen["lane_x"].shape[1]
            cv2.circle(image, (round(float(seen["lane_x"][slot, row])), round(v)), 2, LINE[slot], -1)
