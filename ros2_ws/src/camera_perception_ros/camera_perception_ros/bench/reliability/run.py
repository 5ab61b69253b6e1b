"""The commands `faults` and `soak`: start, measure, print the table, stop."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from camera_perception.core.errors import PerceptionError
from camera_perception.tools.bench.metadata import machine
from camera_perception.tools.bench.report import Table, markdown, put_into
from camera_perception_ros.bench.reliability.figures import Outcome, faults_table
from camera_perception_ros.bench.reliability.kills import WITNESS, Killing
from camera_perception_ros.bench.reliability.outside import Outside, camera_arguments
from camera_perception_ros.bench.reliability.pressure import Pressure
from camera_perception_ros.bench.reliability.requests import Requests
from camera_perception_ros.bench.reliability.rounds import Results, Rounds, Stop
from camera_perception_ros.bench.reliability.soak import Soak, steady
from camera_perception_ros.demo.processes import Processes, environment, free_domain
from camera_perception_ros.demo.run import default_model

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Cases = dict[str, Callable[[Rounds], Outcome]]
KILLED = ("camera_node", "rig_node", "fusion_node", "bag_recorder_node", "bag_player_node", "live_node")
OTHERS = ("sigstop", "disk", "clock", "flood", "twins", "lifecycle", "parameters", "loads")
Page = Annotated[
    Path | None,
    typer.Option(help="Markdown page whose text between <!-- faults --> or <!-- soak --> marks the table replaces."),
]
Model = Annotated[Path | None, typer.Option(help="Model folder; default: the shipped model.")]


@app.command()
def faults(
    rounds: Annotated[int, typer.Option(help="Rounds of each fault.", min=1)] = 50,
    part: Annotated[
        list[str] | None, typer.Option(help=f"Only this fault (repeatable): {', '.join((*KILLED, *OTHERS))}.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="Minutes after which a fault gets no further rounds.", min=0.1)
    ] = 600.0,
    results: Annotated[
        Path | None,
        typer.Option(help="File to which each fault is added; a later run does the rounds that are missing."),
    ] = None,
    model: Model = None,
    page: Page = None,
) -> None:
    """Kill, stop, flood and confuse the nodes; print what was lost and what is left.

    make faults ROUNDS=50, or the short form: make faults ROUNDS=1 ARGS="--part fusion_node --part loads"

    In slices, until no round is missing: make faults ARGS="--part rig_node --minutes 8 --results out/faults.jsonl"
    """
    chosen = [name for name in (*KILLED, *OTHERS) if not part or name in part]
    if unknown := set(part or ()) - {*KILLED, *OTHERS}:
        raise typer.BadParameter(f"there is no fault '{sorted(unknown)[0]}': give some of {', '.join(KILLED + OTHERS)}")
    stored = Results(results)
    with _reported("faults") as stop, _world(model) as (outside, processes, folder, out):
        cases = _cases(outside, processes, folder, out)
        outcomes = []
        for name in tqdm(chosen, desc="faults", unit="fault", disable=None):
            before = stored.of(name)
            left = Rounds(rounds - (before.rounds if before else 0), 60 * minutes, stop)
            if left.most > 0 and not stop.asked:
                before = stored.add(name, cases[name](left))
            if before is not None:
                outcomes.append(before)
                tqdm.write(before.line())
        _print(faults_table(outcomes), f"make faults ROUNDS={rounds}", "faults", page)
        if bad := [outcome.fault for outcome in outcomes if outcome.bad]:
            raise PerceptionError(f"not survived without loss: {', '.join(bad)}; see the remarks in the table")


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(help="Duration in minutes.", min=0.05)] = 30.0,
    rate: Annotated[float, typer.Option(help="Images per second of each camera.", min=0.1)] = 10.0,
    model: Model = None,
    page: Page = None,
) -> None:
    """Run one camera node, and two cameras with fusion; print the growth of their memory in MB per hour."""
    with _reported("soak") as stop, _world(model, rate) as (outside, processes, folder, out):
        table, slopes = Soak(outside, processes, folder, stop).run(minutes)
        _print(table, f"make soak MINUTES={minutes:g}", "soak", page)
        if minutes >= 10 and not steady(slopes):  # a slope over seconds says nothing about hours
            raise PerceptionError("memory grows: see the slopes in the table")


def _cases(outside: Outside, processes: Processes, model: Path, out: Path) -> Cases:
    """All faults by name; the witness of the kills runs throughout."""
    outside.play(WITNESS)
    outside.play("front")
    for camera in ("rig_a", "rig_b"):
        outside.play(camera, "camera_perception")
    module = "camera_perception_ros.nodes.main"
    processes.start_module(WITNESS, module, "camera_node", "--ros-args", *camera_arguments(WITNESS, model))
    outside.wait(lambda: outside.flows[WITNESS].answered, 90.0)
    killing, pressure = Killing(outside, processes, model, out), Pressure(outside, processes, model, out)
    requests, victims = Requests(pressure), killing.victims()

    def kill(name: str) -> Callable[[Rounds], Outcome]:
        return lambda rounds: killing.kill(victims[name], rounds)

    others = (
        pressure.stopped, pressure.full_disk, pressure.clock_jumps, pressure.flood, pressure.twins,
        requests.lifecycle, requests.parameters, requests.loads,
    )  # fmt: skip
    return {**{name: kill(name) for name in KILLED}, **dict(zip(OTHERS, others))}


@contextmanager
def _world(model: Path | None, rate: float = 10.0) -> Iterator[tuple[Outside, Processes, Path, Path]]:
    """The node outside, the processes, the model folder and an empty folder; all ends with the context."""
    env = environment(free_domain())
    os.environ.update({name: env[name] for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE")})
    with tempfile.TemporaryDirectory(prefix="reliability_") as folder:
        out = Path(folder)
        with Processes(env, out / "log") as processes:
            outside = Outside(rate)
            try:
                yield outside, processes, (model or default_model(Path.cwd())).resolve(), out
            finally:
                outside.close()


@contextmanager
def _reported(command: str) -> Iterator[Stop]:
    """Errors as one line and exit code 1."""
    try:
        yield Stop()
    except PerceptionError as error:
        typer.echo(f"{command}: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(f"{command}: interrupted, all processes stopped", err=True)
        raise typer.Exit(130) from None


def _print(table: Table, command: str, mark: str, page: Path | None) -> None:
    typer.echo(table.text())
    if page is not None:
        put_into(page, markdown(machine(), [table], command), mark)
