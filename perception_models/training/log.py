"""Log of a run: log.jsonl, TensorBoard and, optionally, Weights & Biases; reading and plotting log.jsonl."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.config import SettingsError

Curves = dict[str, list[tuple[int, float]]]


class RunLogger:
    """Logs metrics and images by step. Only the first device has an active one; on others every call does nothing."""

    def __init__(self, folder: Path, active: bool, wandb: bool, config: dict[str, Any]):
        self.active = active
        self._wandb: Any = None
        if not active:
            return
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._board: Any = SummaryWriter(str(folder / "tensorboard"))
        self._lines = (folder / "log.jsonl").open("a")
        if wandb:
            self._wandb = _wandb_run(folder, config)

    def metrics(self, step: int, values: dict[str, float]) -> None:
        if not self.active:
            return
        values = {name: value for name, value in values.items() if math.isfinite(value)}  # JSON has no nan
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._lines.write(json.dumps({"step": step, **{k: round(v, 6) for k, v in values.items()}}) + "\n")
        self._lines.flush()
        if self._wandb:
            self._wandb.log(values, step=step)

    def image(self, step: int, name: str, bgr: np.ndarray) -> None:
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


def read_log(path: Path) -> list[dict[str, Any]]:
    """Rows by step. A resumed run repeats the steps after its last checkpoint: the later rows replace the earlier."""
    rows: dict[int, dict[str, Any]] = {}
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        rows = {step: old for step, old in rows.items() if step <= row["step"]}
        rows[row["step"]] = rows.get(row["step"], {}) | row
    return [rows[step] for step in sorted(rows)]


def draw_curves(log: Path, out: Path) -> None:
    """Plot log.jsonl: a panel each for training losses, validation losses (log scale) and validation metrics."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = curves(read_log(log))
    groups = {
        "training loss, smoothed": [name for name in found if name.startswith("train/")],
        "validation loss": [name for name in found if name.startswith("val/loss/")],
        "validation": [name for name in found if name.startswith("val/iou/")],
    }
    groups = {title: names for title, names in groups.items() if names}
    figure = Figure(figsize=(6.2 * max(len(groups), 1), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    for number, (title, names) in enumerate(groups.items(), 1):
        axes = figure.add_subplot(1, len(groups), number, title=title, xlabel="step")
        for name in sorted(names):
            steps, values = zip(*found[name])
            shown = smoothed(list(values)) if title.startswith("training") else values
            label = name.removeprefix("val/").split("/", 1)[-1]
            axes.plot(steps, shown, label=label, marker="." if len(steps) < 30 else None)
        if "loss" in title:
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    figure.savefig(out, dpi=110)


def curves(rows: list[dict[str, Any]]) -> Curves:
    """(step, value) pairs by name of everything in the log."""
    found: Curves = {}
    for row in rows:
        for name, value in row.items():
            if name != "step":
                found.setdefault(name, []).append((row["step"], value))
    return found


def smoothed(values: list[float], rate: float = 0.08) -> list[float]:
    """Exponential moving average, to show the trend through the noise of single batches."""
    out: list[float] = []
    for value in values:
        out.append(value if not out else out[-1] + rate * (value - out[-1]))
    return out
