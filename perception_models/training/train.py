"""One training run from configuration to best.safetensors; also the way back into a run that was killed."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from perception_models.config import SettingsError
from perception_models.losses import TASKS
from perception_models.training import checkpoint
from perception_models.training.build import build_learner, build_network
from perception_models.training.config import TrainConfig
from perception_models.training.loader import Feed, loader
from perception_models.training.log import Logbook
from perception_models.training.step import (
    Average,
    Step,
    build_optimizer,
    compile_parts,
    freeze,
    learning_rate,
    phase_at,
    projected_gradients,
    set_learning_rate,
    steps,
    tasks_at,
    total_steps,
)
from perception_models.training.validation import Watch


def train(config: TrainConfig, folder: Path, resume: bool = False) -> Path:
    """Run the configuration in `folder`; with `resume`, continue from its last checkpoint. Returns the best checkpoint.

    With devices > 1 the command line starts itself again for the others; under torchrun it joins them.
    """
    if config.balance.method == "pcgrad" and config.precision.startswith("16"):
        raise SettingsError("balance.method=pcgrad does not scale losses as 16-mixed needs: use bf16-mixed or 32-true")
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
        precision=config.precision,  # type: ignore[arg-type]
    )
    torch.set_num_threads(config.threads)
    fabric.launch()
    run = Run(config, folder, fabric)
    if resume:
        run.load()
    elif run.last.exists():
        raise SettingsError(f"{folder} holds a run already: add --resume to continue it, or choose another folder")
    run.go()
    return run.best


class Run:
    """All that lives during a run. What must survive it goes through `save` and `load`."""

    def __init__(self, config: TrainConfig, folder: Path, fabric: Fabric):
        self.config, self.folder, self.fabric = config, folder, fabric
        self.last, self.best = folder / "last.safetensors", folder / "best.safetensors"
        torch.manual_seed(config.seed)
        self.net = build_network(config)
        if fabric.is_global_zero:
            self.average = Average(self.net, config.average).to(fabric.device)
        if config.compile:
            compile_parts(self.net)
        learner = build_learner(config, self.net)
        learner.to(memory_format=torch.channels_last)
        self.learner, self.optimizer = fabric.setup(learner, build_optimizer(learner, config.optimizer))
        self.plain = learner
        self.feed = Feed(config.data, config.seed, fabric.global_rank, fabric.world_size)
        self.start, self.watch = 0, Watch(config)
        self.log = Logbook(folder, fabric.is_global_zero, config.wandb, asdict(config))
        self._clock: tuple[float, int] = (time.monotonic(), 0)

    def go(self) -> None:
        """All steps that are left; none after an early stop."""
        world, number = self.fabric.world_size, self.start
        if self._stopped():
            return
        todo = list(steps(self.config.stages, world, self.start))
        if self.fabric.is_global_zero:
            self.watch.prepare(self.fabric.to_device)
        batches = loader(self.feed, todo, self.config.data.workers)
        bar = tqdm(
            zip(todo, batches), self.folder.name, total_steps(self.config.stages, world), initial=self.start,
            disable=not self.fabric.is_global_zero, unit="step", mininterval=2, dynamic_ncols=True,
        )  # fmt: skip
        for step, batch in bar:
            losses, number = self.step(step, self.fabric.to_device(batch)), step.number + 1
            self._after(step, losses, batch, bar)
            if self._stopped():
                break
        self.save(number)
        self.log.close()

    def step(self, step: Step, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One optimiser step; the loss of each task before it."""
        # Chance depends on the step alone, so there is no random state to save.
        torch.manual_seed(hash((self.config.seed, step.number, self.fabric.global_rank)) % 2**63)
        phase = phase_at(self.config.phases, step.progress)
        self.learner.train()
        freeze(self.net, phase.frozen)
        set_learning_rate(self.optimizer, learning_rate(self.config.optimizer, step))
        losses = self._backward(batch, tasks_at(phase, TASKS, step.number), step)
        freeze(self.net, phase.frozen)
        if clip := self.config.optimizer.clip:
            self.fabric.clip_gradients(self.learner, self.optimizer, max_norm=clip, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.fabric.is_global_zero:
            self.average.update(self.net, step.number)
        return losses

    def _backward(self, batch: dict[str, Tensor], tasks: tuple[str, ...], step: Step) -> dict[str, Tensor]:
        if self.config.balance.method == "pcgrad":
            return self._backward_projected(batch, tasks, step.number)
        compare = _due(step.number, self.config.balance.cosine_every) and self.fabric.is_global_zero
        total, losses, figures = self.learner(batch, tasks, compare)
        self.fabric.backward(total)
        if figures:
            self.log.figures(step.number, figures)
        return losses

    def _backward_projected(self, batch: dict[str, Tensor], tasks: tuple[str, ...], number: int) -> dict[str, Tensor]:
        """PCGrad needs one backward per task, which DDP does not offer: devices then average what each projected."""
        with self.fabric.autocast():
            losses = projected_gradients(self.plain, batch, tasks, number)
        for parameter in self.net.parameters():
            if parameter.grad is not None:
                parameter.grad = self.fabric.all_reduce(parameter.grad, reduce_op="mean")
        return losses

    def _after(self, step: Step, losses: dict[str, Tensor], batch: dict[str, Tensor], bar: Any) -> None:
        """Log, look, save where due."""
        config, number = self.config, step.number + 1
        if _due(number, config.log_every):
            self._log_losses(number, step, losses, bar)
        if _due(number, config.picture_every) and self.fabric.is_global_zero:
            images = (self.watch.batches[0] if self.watch.batches else batch)["images"][:4]
            self.log.picture(number, "predictions", self.plain.sheet(self.average.net, images))
        if _due(number, config.validate_every):
            self._validate(number)
        if _due(number, config.save_every):
            self.save(number)

    def _stopped(self) -> bool:
        """Has it been worse for longer than patience allows? The first device knows."""
        return bool(self.config.patience) and self.fabric.broadcast(self.watch.hopeless)

    def _log_losses(self, number: int, step: Step, losses: dict[str, Tensor], bar: Any) -> None:
        now, seen = time.monotonic(), step.seen + step.batch * self.fabric.world_size
        speed = (seen - self._clock[1]) / max(now - self._clock[0], 1e-6) if self._clock[1] else 0.0
        self._clock = now, seen
        values = {task: float(loss) for task, loss in losses.items()}
        if not all(map(math.isfinite, values.values())):
            hint = "lower optimizer.lr or use precision 32-true"
            raise FloatingPointError(f"step {number}: a loss is not finite ({values}): {hint}")
        self.log.figures(number, {f"train/{t}": v for t, v in values.items()} | {"images_per_s": speed, "seen": seen})
        bar.set_postfix({**{t[:4]: f"{v:.2f}" for t, v in values.items()}, "img/s": f"{speed:.0f}"})

    def _validate(self, number: int) -> None:
        if self.fabric.is_global_zero:
            better, figures = self.watch.look(self.average.net, number)
            if figures:
                self.log.figures(number, {f"val/{name}": value for name, value in figures.items()})
            if better:
                checkpoint.save(self.best, {"average": self.average.net.state_dict()}, self._state(number))
        self.fabric.barrier()

    def _state(self, number: int) -> dict[str, Any]:
        return {
            "step": number,
            "best_score": self.watch.best,
            "worse": self.watch.worse,
            "network": asdict(self.net.config),
            "world": self.fabric.world_size,
            "scaler": _scaler_state(self.fabric),
            "config": asdict(self.config),
        }

    def save(self, number: int) -> None:
        """last.safetensors: all that `load` needs after `number` steps; and a best one if there is none yet."""
        if not self.fabric.is_global_zero:
            return
        average = self.average.net.state_dict()
        parts = {
            "model": self.plain.state_dict(),
            "average": average,
            "optimizer": checkpoint.optimizer_tensors(self.optimizer.optimizer),
        }
        checkpoint.save(self.last, parts, self._state(number))
        if not self.best.exists() or not self.config.data.val:
            checkpoint.save(self.best, {"average": average}, self._state(number))

    def load(self) -> None:
        """Continue where `save` was."""
        parts, state = checkpoint.load(self.last)
        if state["world"] != self.fabric.world_size:
            now = f"now there are {self.fabric.world_size}: use as many"
            raise SettingsError(f"{self.last} was trained on {state['world']} devices, {now}")
        self.plain.load_state_dict(parts["model"])
        checkpoint.load_optimizer(self.optimizer.optimizer, parts.get("optimizer", {}))
        if self.fabric.is_global_zero:
            self.average.net.load_state_dict(parts["average"])
        if state["scaler"]:
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
        self.start = state["step"]
        self.watch.best, self.watch.worse = state["best_score"], state["worse"]


def _due(number: int, every: int) -> bool:
    return every > 0 and number % every == 0


def _scaler_state(fabric: Fabric) -> dict[str, Any]:
    """fp16's loss scale; empty for other precisions."""
    return dict(fabric.strategy.precision.state_dict())
