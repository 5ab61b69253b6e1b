"""Order of the measurements: start the processes, measure part by part, report, stop the processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from camera_perception.core.errors import PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.core.shared_memory import sweep
from camera_perception.tools.bench.components import components_table, measure
from camera_perception.tools.bench.engines import usable
from camera_perception.tools.bench.metadata import machine, model_metadata
from camera_perception.tools.bench.report import Table, put_into, write
from camera_perception.tools.bench.statistics import PREFIX
from camera_perception.tools.bench.tensorrt_host import measure_tensorrt_host, tensorrt_host_table
from camera_perception.tools.cli.machine.bench import measure_components
from camera_perception_ros.bench import (
    cases_cameras,
    cases_components,
    cases_latency,
    cases_streams,
    cases_transport,
)
from camera_perception_ros.bench.cases_latency import Lockstep
from camera_perception_ros.bench.cases_streams import Sender
from camera_perception_ros.bench.endpoints.images import SentImages
from camera_perception_ros.bench.endpoints.process_stats import Samples
from camera_perception_ros.bench.harness import BenchError, Harness, Nodes
from camera_perception_ros.demo.processes import Processes, environment, free_domain
from camera_perception_ros.demo.run import default_model

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
PARTS = ("around", "transport", "rates", "overload", "cameras", "components", "tensorrt")
EXTRA = ("second", "third", "fourth")


@dataclass(frozen=True)
class Settings:
    model: Path
    images: Path | None
    out: Path
    threads: int
    quick: bool
    long: bool
    page: Path | None
    domain: int
    parts: tuple[str, ...]

    def seconds(self, full: float, quick: float) -> float:
        return quick if self.quick else full

    @property
    def command(self) -> str:
        return "make bench" + (" QUICK=1" if self.quick else " LONG=1" if self.long else "")


@app.command()
def bench(
    model: Annotated[
        Path | None, typer.Option(help="Model folder; default: the shipped model, else random weights.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Recording, video or image folder to send; default: synthetic images.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for bench.json and bench.md.")] = Path("out/bench"),
    threads: Annotated[int, typer.Option(help="CPU threads of each engine; 0: the engine decides.", min=0)] = 1,
    quick: Annotated[bool, typer.Option(help="Under a minute; results for orientation only.")] = False,
    long: Annotated[bool, typer.Option(help="Observe memory for 5 minutes.")] = False,
    part: Annotated[
        list[str] | None, typer.Option(help=f"Measure only this part (repeatable): {', '.join(PARTS)}.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Markdown page whose text between <!-- bench --> and <!-- /bench --> is replaced by the tables."
        ),
    ] = None,
    domain: Annotated[int, typer.Option(help="ROS_DOMAIN_ID; negative: a free one of 50 to 99.")] = -1,
) -> None:
    """Measure the nodes over DDS and steps of the library in one run, as times and ratios."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if unknown := set(part or ()) - set(PARTS):
            raise BenchError(f"unknown part {sorted(unknown)[0]}: expected some of {', '.join(PARTS)}")
        domain = domain if domain >= 0 else free_domain()
        settings = Settings(
            model or model_folder(out), images, out, threads, quick, long, page, domain, tuple(part or PARTS)
        )
        report(settings, *run(settings))
    except PerceptionError as error:
        typer.echo(f"bench: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("bench: interrupted, all processes stopped", err=True)
        raise typer.Exit(130) from None


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def model_folder(out: Path) -> Path:
    """The shipped model, or an untrained network of the same size."""
    try:
        return default_model(Path.cwd())
    except PerceptionError:
        folder = out / "model"
    if not (folder / "MODEL_CARD.md").is_file():
        typer.echo("no model in perception_models/zoo/: exporting random weights")
        options = ["name=untrained", "license=none", "description=random weights", "top=20", "threshold.objects=0"]
        command = [sys.executable, "-m", "perception_models", "export", "--untrained", "n", "--out", str(folder)]
        if subprocess.run(command + options, stdout=subprocess.DEVNULL, check=False).returncode:
            raise BenchError("cannot export a network: run `make setup-models`, or give --model")
    return folder


def run(settings: Settings) -> tuple[dict[str, Any], list[Table]]:
    """All results and their tables."""
    shutil.rmtree(settings.out / "logs", ignore_errors=True)
    settings.out.mkdir(parents=True, exist_ok=True)
    spec = load_spec(settings.model)
    config = {"threads": settings.threads, "image": "1280x720 bgr8", "quick": settings.quick, "parts": settings.parts}
    results: dict[str, Any] = {"metadata": {**machine(), "config": config, "model": model_metadata(spec)}}
    tables: list[Table] = []
    env = environment(settings.domain)
    os.environ.update(env)  # before the first node of this process
    sweep()
    if "transport" in settings.parts:
        _transport(settings, env, results, tables)
    if set(settings.parts) & {"around", "rates", "overload", "cameras"}:
        with Processes(env, settings.out / "logs") as processes:
            harness = Harness()
            try:
                _nodes(
                    settings, Nodes(processes, harness, settings.out, settings.model, settings.threads), results, tables
                )
            finally:
                harness.close()
    if "components" in settings.parts:
        _components(settings, results, tables)
    if "tensorrt" in settings.parts and (host := measure_tensorrt_host(Path.cwd())):
        results["tensorrt_host"] = host
        tables.append(tensorrt_host_table(host))
    return results, tables


def _transport(settings: Settings, env: dict[str, str], results: dict[str, Any], tables: list[Table]) -> None:
    transports = results["transport"] = {}
    for name, environment_of in (
        ("shared-memory profile", env),
        ("Fast DDS default", cases_transport.without_profile(env, settings.domain + 1)),
    ):
        with Processes(environment_of, settings.out / "logs" / name.replace(" ", "_")) as processes:
            transports[name] = cases_transport.measure(processes, settings.out, settings.seconds(20, 2))
    tables.append(cases_transport.transport_table(transports))


def _nodes(settings: Settings, nodes: Nodes, results: dict[str, Any], tables: list[Table]) -> None:
    spec = load_spec(settings.model)
    engines = usable(spec, settings.threads)
    backends = {name: name.replace(":", "_") for name in engines}
    for name, camera in backends.items():
        nodes.start_camera(camera, name)
    nodes.start_echo()
    for camera in backends.values():
        nodes.await_camera(camera)
    images = SentImages(settings.images)
    pids = {"echo": nodes.processes.pid("echo"), **{camera: nodes.pid(camera) for camera in backends.values()}}
    lock = Lockstep(nodes.harness, images, spec, backends, engines, pids)
    seconds = settings.seconds(40, 6) if "around" in settings.parts else 1
    backends_measured = lock.measure(seconds)
    if not backends_measured:
        raise BenchError(f"no node answered an image; see the logs in {settings.out / 'logs'}")
    for engine in engines.values():
        engine.close()
    if "around" in settings.parts:
        results["around"] = {**backends_measured, "lost_rounds": lock.lost}
        tables += [cases_latency.around_table(backends_measured), cases_latency.stages_table(backends_measured)]
    fastest = min(backends_measured, key=lambda name: backends_measured[name]["whole"])
    nodes.processes.stop("echo")
    nodes.stop(*(camera for name, camera in backends.items() if name != fastest))
    _streams(settings, nodes, backends[fastest], fastest, backends_measured[fastest], results, tables)


def _streams(
    settings: Settings,
    nodes: Nodes,
    camera: str,
    engine: str,
    alone: dict[str, Any],
    results: dict[str, Any],
    tables: list[Table],
) -> None:
    results["metadata"]["config"]["engine_of_streams"] = engine
    sender = Sender(nodes.harness, nodes.processes, settings.out, settings.images)
    busy = alone["whole"] - alone["hop"]  # ms of the node per frame
    if "rates" in settings.parts:
        sections = {}
        for rate in (10.0, 30.0):
            stream = sender.run([camera], rate, settings.seconds(15, 2))[camera]
            sections[f"{rate}fps"] = stream.metrics(1000 / rate)
        results |= sections
        tables.append(cases_streams.rates_table(sections))
    if "overload" in settings.parts:
        memory = Samples(nodes.pid(camera))
        stream = sender.run([camera], 2000 / busy, 300 if settings.long else settings.seconds(60, 5), memory)[camera]
        section = results["overload"] = {**stream.metrics(cases_streams.LIMIT_AGE * busy), "memory": memory.metrics()}
        results.update({key: value for key, value in section.items() if key.startswith(PREFIX)})
        tables.append(cases_streams.overload_table(section, section["memory"]))
    if "cameras" in settings.parts:
        names = [camera, *EXTRA[: 1 if settings.quick else 3]]
        for name in names[1:]:
            nodes.start_camera(name, engine)
        for name in names[1:]:
            nodes.await_camera(name)
        rate = min(10.0, 1000 / busy / 2 / len(names))
        counts = (1, 2) if settings.quick else (1, 2, 4)
        by_count = results["cameras"] = cases_cameras.measure(
            sender, nodes, names, counts, rate, settings.seconds(15, 2.5)
        )
        tables.append(cases_cameras.cameras_table(by_count, rate))


def _components(settings: Settings, results: dict[str, Any], tables: list[Table]) -> None:
    seconds = settings.seconds(1.0, 0.1)
    nodes = measure(cases_components.node_components(), seconds)
    results["components"] = measure_components(seconds) + nodes
    tables.append(components_table(results["components"]))


def report(settings: Settings, results: dict[str, Any], tables: list[Table]) -> None:
    """Print the tables and write the files."""
    typer.echo("\n\n".join(table.text() for table in tables))
    write(settings.out, results, tables, settings.command)
    if settings.page is not None:
        put_into(settings.page, (settings.out / "bench.md").read_text("utf-8"))
    typer.echo(f"\n{settings.out}: bench.json, bench.md")
