"""`camera-perception check-model`: validate a model folder and time it on every installed backend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import typer

from camera_perception.core.errors import EngineError
from camera_perception.core.model_spec import ModelSpec, load_spec
from camera_perception.core.text_table import text_table
from camera_perception.decode.heads import check_all
from camera_perception.engines.deviation import Deviation
from camera_perception.engines.reference import check
from camera_perception.engines.select import Candidate, candidates, median_ms, open_checked


@dataclass(frozen=True)
class Trial:
    """One backend with this model; `problem` is empty when it may run."""

    backend: str
    load_seconds: float
    milliseconds: float
    deviations: list[Deviation]
    problem: str = ""

    @property
    def worst(self) -> Deviation | None:
        """The tensor with the least margin to its tolerance."""
        return max(self.deviations, key=lambda d: (d.share - d.tolerance.share, d.worst), default=None)


def try_backend(spec: ModelSpec, candidate: Candidate, threads: int = 0) -> Trial:
    """Load one backend, check its outputs against the decoders and the reference, and time it."""
    started = perf_counter()
    try:
        engine = open_checked(spec, candidate, check=False, threads=threads)
    except EngineError as error:
        return Trial(candidate.text, 0.0, 0.0, [], str(error))
    try:
        loaded = perf_counter() - started
        check_all(spec, {name: tensor.shape for name, tensor in engine.outputs.items()})
        deviations = check(engine, spec)
        failed = [str(deviation) for deviation in deviations if not deviation.ok]
        return Trial(candidate.text, loaded, median_ms(engine), deviations, "; ".join(failed))
    except EngineError as error:
        return Trial(candidate.text, 0.0, 0.0, [], str(error))
    finally:
        engine.close()


def check_command(folder: Path, threads: int) -> None:
    """Print the results; typer.Exit(1) when no backend may run the model."""
    spec = load_spec(folder)
    typer.echo(describe(spec))
    trials = [try_backend(spec, candidate, threads) for candidate in candidates(spec)]
    rows = [(t.backend, t.load_seconds, t.milliseconds, _worst(t), "fails" if t.problem else "ok") for t in trials]
    typer.echo(text_table(("backend", "load (s)", "ms", "largest deviation", "reference"), rows))
    for trial in trials:
        if trial.problem:
            typer.secho(f"{trial.backend}: {trial.problem}", fg="red")
    if spec.reference is None:
        typer.secho("no reference.npz: the outputs were not verified", fg="yellow")
    if all(trial.problem for trial in trials):
        typer.secho("no backend may run this model", fg="red")
        raise typer.Exit(1)


def describe(spec: ModelSpec) -> str:
    """Name, input and heads of a model, for the terminal."""
    size = f"{spec.input.width}x{spec.input.height} {spec.input.layout} {spec.input.dtype} {spec.input.color}"
    rows = [(head.head, head.kind, ", ".join(head.tensors.values()), len(head.classes)) for head in spec.heads]
    heads = text_table(("head", "kind", "tensors", "classes"), rows)
    return f"{spec.name} {spec.version}, {spec.license}\ninput {spec.input.name}: {size}\n\n{heads}\n"


def _worst(trial: Trial) -> str:
    worst = trial.worst
    return f"{worst.tensor}: {worst.worst:.2g}, {worst.share:.2%} outside" if worst else ""
