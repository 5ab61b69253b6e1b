"""Overrides that turn a training configuration into pretraining."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from perception_models.training.pretrain.frames import training_entries

HIDDEN = 0.6  # fraction of each image, as in SparK
# Noise, blur and weather cannot be predicted from the visible parts: reconstructing them would only teach blur.
UNPREDICTABLE = ("blur", "noise", "jpeg", "coarse", "fog", "rain", "shadow", "glare", "mosaic", "paste_lights")


def pretrain_overrides(sources: Sequence[Path], out: Path, period: float) -> list[str]:
    """key=value overrides for `train`; frames of videos and recordings are written to out/pictures."""
    return [
        f"data.train={json.dumps(training_entries(sources, out / 'pictures', period))}",
        "data.val=[]",
        "data.lights=null",
        *(f"data.augment.{name}=0.0" for name in UNPREDICTABLE),
        "balance.method=fixed",
        "network.tasks=[]",
        f"pretrain.hidden={HIDDEN}",
    ]
