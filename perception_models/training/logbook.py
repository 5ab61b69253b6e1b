"""Where a run writes what happens: log.jsonl always, TensorBoard, and Weights & Biases when asked for and installed."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from perception_models.settings import SettingsError


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
