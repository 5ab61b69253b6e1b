"""One training run: from its configuration to best.safetensors, and resuming it after an interruption."""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from perception_models.config import SettingsError
from perception_models.losses import TASKS
from perception_models.losses.adversarial import harden
from perception_models.training import checkpoint
from perception_models.training.build import TrainingModule, build_module, build_network, compile_parts
from perception_models.training.config import TrainConfig
from perception_models.training.distill.frozen import frozen_networks
from perception_models.training.loader import TrainingBatches, loader
from perception_models.training.log import RunLogger
from perception_models.training.optimization.average import AveragedNetwork
from perception_models.training.optimization.optimizer import (
    build_optimizer,
    freeze,
    frozen_prefixes,
    hold_norms,
    set_learning_rate,
    spare_backward,
)
from perception_models.training.optimization.precision import choose
from perception_models.training.optimization.schedule import (
    Step,
    learning_rate,
    phase_at,
    same_step,
    steps,
    tasks_at,
    total_steps,
)
from perception_models.training.validation import Validator


def train(config: TrainConfig, folder: Path, resume: bool = False) -> Path:
    """Train in `folder`, with `resume` from its last checkpoint; returns the best checkpoint.

    With devices > 1 the command line starts itself again for the other devices; under torchrun it joins them.
    """
    if config.balance.method == "pcgrad" and config.precision.startswith("16"):
        raise SettingsError("balance.method=pcgrad cannot scale losses as 16-mixed requires: use bf16-mixed or 32-true")
    if config.balance.method == "pcgrad" and config.pretrain.hidden:
        raise SettingsError("balance.method=pcgrad needs several tasks, pretraining has one: use balance.method=fixed")
    precision = choose(config.precision, config.accelerator)
    fabric = Fabric(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.nodes,
        strategy="ddp" if config.devices * config.nodes > 1 else "auto",
        precision=precision.name,  # type: ignore[arg-type]
    )
    torch.set_num_threads(config.threads)
    fabric.launch()
    fabric.print(f"precision {precision.name}: {precision.reason}")
    trainer = Trainer(config, folder, fabric)
    if resume:
        trainer.load()
    elif trainer.last.exists():
        raise SettingsError(f"{folder} already holds a run: add --resume to continue it, or choose another folder")
    trainer.fit()
    return trainer.best


class Trainer:
    """The state of a run. Everything that must survive an interruption goes through `save` and `load`."""

    def __init__(self, config: TrainConfig, folder: Path, fabric: Fabric):
        self.config, self.folder, self.fabric = config, folder, fabric
        self.last, self.best = folder / "last.safetensors", folder / "best.safetensors"
        torch.manual_seed(config.seed)
        self.net = build_network(config)
        if fabric.is_global_zero:
            self.average = AveragedNetwork(self.net, config.average).to(fabric.device)
        if config.compile:
            compile_parts(self.net)
        self.module = build_module(config, self.net)
        self.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's types
        self.wrapped, self.optimizer = fabric.setup(self.module, build_optimizer(self.module, config.optimizer))
        shared = self.net.shared_layer  # gradients of tasks are compared there even if it is frozen
        self.learned = {name: p for name, p in self.net.named_parameters() if p.requires_grad and p is not shared}
        self.batches = TrainingBatches(config.data, config.seed, fabric.global_rank, fabric.world_size)
        self.frozen = frozen_networks(config, self.net, _precision(fabric) == "bf16-mixed")
        self.start, self.validator = 0, Validator(config)
        self.log = RunLogger(folder, fabric.is_global_zero, config.wandb, asdict(config))
        self._clock: tuple[float, int] = (time.monotonic(), 0)

    def fit(self) -> None:
        """Take all remaining steps; none after an early stop."""
        world, number = self.fabric.world_size, self.start
        if self._stopped():
            return
        remaining = list(steps(self.config.stages, world, self.start))
        if self.fabric.is_global_zero:
            self.validator.prepare(self.fabric.to_device)
        batches = loader(self.batches, remaining, self.config.data.workers, self.frozen)
        bar = tqdm(
            zip(remaining, batches), self.folder.name, total_steps(self.config.stages, world), initial=self.start,
            disable=None if self.fabric.is_global_zero else True, unit="step", mininterval=2, dynamic_ncols=True,
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
        # Random numbers depend on the step alone, so there is no random state to save.
        torch.manual_seed(hash((self.config.seed, step.number, self.fabric.global_rank)) % 2**63)
        phase = phase_at(self.config.phases, step.progress)
        self.wrapped.train()
        frozen = frozen_prefixes(self.net, phase)
        if self.fabric.world_size == 1:
            spare_backward(self.learned, frozen)
        freeze(self.net, frozen)
        if phase.hold_norms:
            hold_norms(self.net)
        set_learning_rate(self.optimizer, learning_rate(self.config.optimizer, step))
        batch = harden(self.net, batch, self.config.adversarial)
        losses = self._backward(batch, tasks_at(phase, TASKS, step.number), step)
        freeze(self.net, frozen)
        if clip := self.config.optimizer.clip:
            self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=clip, error_if_nonfinite=False)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.fabric.is_global_zero:
            self.average.update(self.net, step.number)
        return losses

    def _backward(self, batch: dict[str, Tensor], tasks: tuple[str, ...], step: Step) -> dict[str, Tensor]:
        if self.config.balance.method == "pcgrad":
            return self._backward_projected(batch, tasks, step.number)
        compare = _due(step.number, self.config.balance.cosine_every) and self.fabric.is_global_zero
        losses: dict[str, Tensor]
        total, losses, statistics = self.wrapped(batch, tasks, compare)
        self.fabric.backward(total)
        if statistics:
            self.log.metrics(step.number, statistics)
        return losses

    def _backward_projected(self, batch: dict[str, Tensor], tasks: tuple[str, ...], number: int) -> dict[str, Tensor]:
        """PCGrad needs one backward pass per task, which DDP does not support: devices average their projections."""
        assert isinstance(self.module, TrainingModule)
        with self.fabric.autocast():
            losses = self.module.projected_gradients(batch, tasks, number)
        for parameter in self.net.parameters():
            if parameter.grad is not None:
                parameter.grad = cast(Tensor, self.fabric.all_reduce(parameter.grad, reduce_op="mean"))
        return losses

    def _after(self, step: Step, losses: dict[str, Tensor], batch: dict[str, Tensor], bar: Any) -> None:
        """Log, draw, validate and save if due."""
        config, number = self.config, step.number + 1
        if _due(number, config.log_every):
            self._log_losses(number, step, losses, bar)
        if _due(number, config.picture_every) and self.fabric.is_global_zero:
            images = (self.validator.batches[0] if self.validator.batches else batch)["images"][:4]
            self.log.image(number, "predictions", self.module.preview(self.average.net, images))
        if _due(number, config.validate_every):
            self._validate(number)
        if _due(number, config.save_every):
            self.save(number)

    def _stopped(self) -> bool:
        """Whether patience is exhausted, as decided by the first device."""
        return bool(self.config.patience) and self.fabric.broadcast(self.validator.should_stop)

    def _log_losses(self, number: int, step: Step, losses: dict[str, Tensor], bar: Any) -> None:
        now, views = time.monotonic(), step.views_before + step.batch * self.fabric.world_size
        speed = (views - self._clock[1]) / max(now - self._clock[0], 1e-6) if self._clock[1] else 0.0
        self._clock = now, views
        values = {task: float(loss) for task, loss in losses.items()}
        if not all(map(math.isfinite, values.values())):
            hint = "lower optimizer.lr or use precision 32-true"
            raise FloatingPointError(f"step {number}: a loss is not finite ({values}): {hint}")
        self.log.metrics(number, {f"train/{t}": v for t, v in values.items()} | {"images_per_s": speed, "seen": views})
        bar.set_postfix({**{t[:4]: f"{v:.2f}" for t, v in values.items()}, "img/s": f"{speed:.0f}"})

    def _validate(self, number: int) -> None:
        if self.fabric.is_global_zero:
            better, metrics = self.validator.update(self.average.net, number)
            if metrics:
                self.log.metrics(number, {f"val/{name}": value for name, value in metrics.items()})
            if better:
                checkpoint.save(self.best, {"average": self.average.net.state_dict()}, self._state(number))
        self.fabric.barrier()

    def _state(self, number: int) -> dict[str, Any]:
        return {
            "step": number,
            "best_score": self.validator.best,
            "worse": self.validator.worse,
            "network": asdict(self.net.config),
            "world": self.fabric.world_size,
            "precision": _precision(self.fabric),
            "scaler": _scaler_state(self.fabric),
            "config": asdict(self.config),
        }

    def save(self, number: int) -> None:
        """Write last.safetensors, which holds all that `load` needs, and best.safetensors if there is none yet."""
        if not self.fabric.is_global_zero:
            return
        average = self.average.net.state_dict()
        parts = {
            "model": self.module.state_dict(),
            "average": average,
            "optimizer": checkpoint.optimizer_tensors(self.optimizer.optimizer),
        }
        checkpoint.save(self.last, parts, self._state(number))
        if not self.best.exists() or not self.config.data.val:
            checkpoint.save(self.best, {"average": average}, self._state(number))

    def load(self) -> None:
        """Restore the state written by `save`."""
        if not self.last.exists():
            raise SettingsError(f"{self.folder} holds no run to resume: start one without --resume")
        parts, state = checkpoint.load(self.last)
        with checkpoint.fitting(self.last):
            self._restore(parts, state)

    def _restore(self, parts: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
        self.module.load_state_dict(parts["model"])
        checkpoint.load_optimizer(self.optimizer.optimizer, parts.get("optimizer", {}))
        if self.fabric.is_global_zero:
            self.average.net.load_state_dict(parts["average"])
        before, now = state.get("precision", state["config"]["precision"]), _precision(self.fabric)
        if before != now:
            self.fabric.print(f"precision was {before} until step {state['step']}; continuing in {now}")
        if state["scaler"]:
            self.fabric.strategy.precision.load_state_dict(state["scaler"])
        self.start = same_step(state["step"], self.config.stages, state["world"], self.fabric.world_size)
        if state["world"] != self.fabric.world_size:
            now = f"{self.fabric.world_size} devices, it was trained on {state['world']}"
            self.fabric.print(f"continuing on {now}: at step {self.start}, the first that has seen as many views")
        self.validator.best, self.validator.worse = state["best_score"], state["worse"]


def _due(number: int, every: int) -> bool:
    return every > 0 and number % every == 0


def _precision(fabric: Fabric) -> str:
    """Name of the precision in use, such as bf16-mixed."""
    return str(fabric.strategy.precision.precision)


def _scaler_state(fabric: Fabric) -> dict[str, Any]:
    """Loss scale of fp16; empty for other precisions."""
    return dict(fabric.strategy.precision.state_dict())
