"""Checks what `docker build` needs, without Docker: base images, apt names, pip layers for every platform.

    python deploy/check_images.py                 # names, and every pip layer resolved for its platform: a minute
    python deploy/check_images.py --build         # also installs the layers and runs the library there
    python deploy/check_images.py --build --stage fleet
    python deploy/check_images.py --offline       # names only

Ends with a table of what was checked how; exit status 1 when something is wrong. Needs PyYAML.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
KNOWN = Path(__file__).with_name("known_names.yaml")
WRONG, OK, SKIPPED = "WRONG", "ok", "not checked"
# Stage: version of its Python, machine. x86-tensorrt and jetson-7 stand on x86-cpu, whose pip packages they have, too.
PLATFORMS = {
    "x86-cpu": ("3.12", "x86_64"),
    "x86-tensorrt": ("3.12", "x86_64"),
    "jetson": ("3.10", "aarch64"),
    "jetson-7": ("3.12", "aarch64"),
    "fleet": ("3.12", "x86_64"),
}
# Stubs on PyPI that fetch the libraries from NVIDIA's own index when they are installed.
STUBS = ("tensorrt-cu12",)


@dataclass(frozen=True)
class Row:
    """One line of the table; result is OK, SKIPPED or WRONG, note says how it was checked or what is wrong."""

    where: str
    what: str
    result: str
    note: str


# What the Dockerfile says


def stages(text: str) -> dict[str, tuple[str, str]]:
    """Name of each stage: the image or stage it starts from, its text with continued lines joined."""
    joined = re.sub(r"\\\n(?:#.*\n)*", " ", text)
    parts = re.split(r"^FROM (\S+) AS (\S+)$", joined, flags=re.M)
    return {name: (base, body) for base, name, body in zip(parts[1::3], parts[2::3], parts[3::3])}


def apt_names(body: str) -> list[str]:
    """Packages that a stage installs, without their versions."""
    calls = re.findall(r"apt-get install ([^&]*)", body)
    return [word.partition("=")[0] for call in calls for word in call.split() if not word.startswith("-")]


def chain(stage: str, found: dict[str, tuple[str, str]]) -> list[str]:
    """The stage and those it stands on, lowest first."""
    base = found[stage][0]
    return [*(chain(base, found) if base in found else []), stage]


def image_of(stage: str, found: dict[str, tuple[str, str]]) -> str:
    """The image from a registry at the bottom of a stage."""
    return found[chain(stage, found)[0]][0]


def pip_calls(body: str) -> list[list[str]]:
    """Arguments of each `pip install` of a stage."""
    return [call.split() for call in re.findall(r"pip install ([^&\n]*)", body)]


def pip_requirements(body: str, repository: Path) -> list[str]:
    """Requirements that a stage installs from the registry: those of files, and those named."""
    found: list[str] = []
    for words in pip_calls(body):
        for index, word in enumerate(words):
            if words[index - 1] == "-r":
                lines = (repository / "requirements" / Path(word).name).read_text("utf-8").splitlines()
                found += [line for line in lines if line and not line.startswith("#")]
            elif "==" in word:
                found.append(word)
    return found


# Names


def check_names(text: str, known: dict[str, dict[str, object]]) -> list[Row]:
    """Base images and apt packages against the recorded names."""
    rows, found = [], stages(text)
    for stage, (base, body) in found.items():
        if base not in found:
            rows.append(_base_row(stage, base, known))
        debian = "bookworm" in image_of(stage, found)
        rows += [_apt_row(stage, name, debian, known) for name in apt_names(body)]
    return rows


def _base_row(stage: str, base: str, known: dict[str, dict[str, object]]) -> Row:
    if base in known["images"]["names"]:  # type: ignore[operator]
        return Row(stage, f"FROM {base}", OK, str(known["images"]["source"]))
    if base in known["images_unconfirmed"]["names"]:  # type: ignore[operator]
        return Row(stage, f"FROM {base}", SKIPPED, str(known["images_unconfirmed"]["source"]))
    return Row(stage, f"FROM {base}", WRONG, f"no such image in {KNOWN.name}")


def _apt_row(stage: str, name: str, debian: bool, known: dict[str, dict[str, object]]) -> Row:
    ros = re.match(r"ros-(\w+)-(.+)", name)
    others = [("debian", name)] if debian else [("ubuntu", name), ("nvidia", name)]
    lists = [(ros[1], ros[2])] if ros else others
    for source, short in lists:
        if source in known and short in known[source]["names"]:  # type: ignore[operator]
            result = SKIPPED if source == "nvidia" else OK
            return Row(stage, f"apt {name}", result, str(known[source]["source"]))
    return Row(stage, f"apt {name}", WRONG, f"no such package in {KNOWN.name}")


# pip


def check_pip(text: str, names: Collection[str] = PLATFORMS) -> list[Row]:
    """Every pip layer, resolved with its dependencies for the Python and machine of its stage; nothing is installed."""
    return [
        resolved(stage, pip_requirements(body, REPOSITORY), *PLATFORMS[stage])
        for stage, (_, body) in stages(text).items()
        if stage in names
    ]


def resolved(stage: str, requirements: list[str], python: str, machine: str) -> Row:
    stubs = [each for each in requirements if _is_stub(each)]
    wheels = [matched for each in requirements if each not in stubs and (matched := marked(each, python, machine))]
    what = f"pip, {len(wheels)} packages for Python {python} on {machine}"
    print(f"{stage}: resolving {what}", file=sys.stderr, flush=True)
    platforms = [f"--platform=manylinux_2_{version}_{machine}" for version in (17, 24, 26, 27, 28, 31, 34, 35)]
    tags = [f"--platform=manylinux2014_{machine}", *platforms, "--implementation=cp"]
    with tempfile.TemporaryDirectory() as folder:
        command = [*PIP, "install", "--dry-run", "--quiet", "--only-binary=:all:", f"--target={folder}"]
        done = run([*command, *tags, f"--python-version={python}", *wheels])
    if done.returncode:
        return Row(stage, what, WRONG, last_error(done.stderr))
    missing = [each for each in stubs if not _has_version(each)]
    if missing:
        return Row(stage, what, WRONG, f"no such version: {', '.join(missing)}")
    note = f"; {', '.join(stubs)} exists, its libraries are on NVIDIA's own index" if stubs else ""
    return Row(stage, what, OK, f"resolved with dependencies{note}")


def marked(requirement: str, python: str, machine: str) -> str:
    """The requirement without its marker; "" when the marker excludes this platform. pip would ask its own Python."""
    from packaging.markers import Marker

    bare, _, marker = requirement.partition(";")
    environment = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": machine}
    return bare.strip() if not marker or Marker(marker).evaluate(environment) else ""


def _has_version(requirement: str) -> bool:
    name, _, version = requirement.partition("==")
    done = run([*PIP, "index", "versions", name])
    return re.search(rf"\b{re.escape(version)}\b", done.stdout) is not None


# Building

TRY = """
import sys; sys.path[:0] = {sources}
import cv2, numpy, camera_perception.pipeline
from camera_perception import Perception
seen = Perception.load({model!r}, engine="onnxruntime")(numpy.full((384, 640, 3), 128, numpy.uint8))
print(numpy.__version__, cv2.__version__)
"""
TRY_CUDA = "import cuda.bindings.driver, cuda.bindings.nvrtc, cuda.bindings.runtime, pynvml"
# From Ubuntu's packages in the images on ROS: here from PyPI, as close as its wheels come.
FROM_APT = (
    "jinja2",
    "jsonschema",
    "matplotlib",
    "opencv-python-headless<4.12",
    "pyyaml",
    "tqdm",
    "setuptools<80",
    "wheel",
)


def check_builds(text: str, names: Collection[str] = PLATFORMS) -> list[Row]:
    """The pip calls of every stage, as they are written, in a clean environment of its Python: the library runs there.

    Machine code is that of this machine: what a Jetson loads is only resolved, by check_pip.
    """
    found = stages(text)
    return [build(stage, [found[each][1] for each in chain(stage, found)]) for stage in found if stage in names]


def build(stage: str, bodies: list[str]) -> Row:
    """bodies  of the stages that this one stands on, and its own."""
    python = PLATFORMS[stage][0]
    what = f"pip layers in a clean Python {python}"
    interpreter = find_python(python)
    if interpreter is None:
        return Row(stage, what, SKIPPED, f"no Python {python}: `uv python install {python}`, or pyenv")
    print(f"{stage}: installing {what}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as work:
        done = _first_failure(_build_steps(Path(work), interpreter, bodies), clean_environment())
    if done.returncode:
        return Row(stage, what, WRONG, last_error(done.stderr or done.stdout))
    left = [word for body in bodies for words in pip_calls(body) for word in words if _is_stub(word)]
    note = f"; without {', '.join(left)}" if left else ""
    versions = f"NumPy, OpenCV {done.stdout.strip()}"
    return Row(stage, what, OK, f"installed, consistent, the shipped model runs ({versions}){note}")


def _build_steps(work: Path, interpreter: str, bodies: list[str]) -> list[list[object]]:
    """Commands; the last one prints the versions of NumPy and OpenCV."""
    for body in bodies:
        lay_copies(body, work / "image")
    own: list[object] = [work / "venv/bin/python"]
    install = [*own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
    on_ros = any("requirements/locked/vehicle.txt" in body for body in bodies)
    pins = REPOSITORY / "requirements/vehicle.txt"
    apt = [[*install, "--constraint", pins, *FROM_APT]] if on_ros else []
    calls = [[*install, *_here(words, work / "image")] for body in bodies for words in pip_calls(body)]
    cuda = [[*own, "-c", TRY_CUDA]] if any("cuda-" in " ".join(call) for b in bodies for call in pip_calls(b)) else []
    sources = [str(REPOSITORY / "ros2_ws/src/camera_perception")] if on_ros else []  # there colcon installs it
    program = TRY.format(sources=sources, model=str(REPOSITORY / "perception_models/zoo/demo"))
    venv: list[object] = [interpreter, "-m", "venv", work / "venv"]
    return [venv, *apt, *calls, [*own, "-m", "pip", "check"], *cuda, [*own, "-c", program]]


def _first_failure(steps: list[list[object]], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The step that failed, or the last one."""
    for step in steps:
        done = run(step, env)
        if done.returncode:
            break
    return done


def lay_copies(body: str, root: Path) -> None:
    """What COPY takes from the repository, under root instead of /."""
    for call in re.findall(r"^COPY (.*)$", body, re.M):
        *sources, target = [word for word in call.split() if not word.startswith("--chmod")]
        for source in sources if not sources[0].startswith("--from") else []:
            into = root / target.lstrip("/") / (Path(source).name if target.endswith("/") else "")
            into.parent.mkdir(parents=True, exist_ok=True)
            path = REPOSITORY / source
            if path.is_dir():
                shutil.copytree(path, into, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
            else:
                shutil.copy(path, into)


def _here(words: list[str], root: Path) -> list[str]:
    """Arguments of pip with the image's files under root, and without what needs NVIDIA's own index."""
    own = ("--no-cache-dir",)  # for the size of an image
    kept = [word for word in words if word not in own and not _is_stub(word)]
    return [str(root / word.lstrip("/")) if word.startswith("/") else word for word in kept]


def _is_stub(word: str) -> bool:
    return word.partition("==")[0] in STUBS


def find_python(version: str) -> str | None:
    """An interpreter of pyenv, of uv or of the machine; None without one."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [str(path) for path in sorted(versions.glob(f"{version}.*/bin/python"))]
    if uv := shutil.which("uv"):
        done = run([uv, "python", "find", version])
        found += [done.stdout.strip()] if not done.returncode else []
    code = f"import sys, venv; sys.exit(sys.version_info[:2] != ({version.replace('.', ', ')}))"
    candidates = [*found, shutil.which(f"python{version}")]
    return next((path for path in candidates if path and not run([path, "-c", code]).returncode), None)


# Running

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def run(command: list[object], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, env=env or clean_environment()
    )


def clean_environment() -> dict[str, str]:
    """This one without the workspace: nothing that is installed here may help."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_LIBRARY_PATH")}


def last_error(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "no output")[
        :300
    ]


def table(rows: list[Row]) -> str:
    columns = ("where", "what", "result")
    widths = [max(len(getattr(row, name)) for row in rows) for name in columns]
    lines = ("  ".join(f"{getattr(row, n):{w}}" for n, w in zip(columns, widths)) + f"  {row.note}" for row in rows)
    return "\n".join(lines)


def markdown(rows: list[Row], page: str) -> str:
    """What became of the pip layers of each stage; what the page says of stages that were not built now stays."""
    built = {row.where: row for row in rows if row.what.startswith("pip layers")}
    lines = {row.where: f"| {row.where} | {row.what} | {row.result}: {row.note} |" for row in built.values()}
    before = page.partition("<!-- images -->")[2].partition("<!-- /images -->")[0].splitlines()
    lines = {name: line for line in before if (name := line.strip("| ").partition(" ")[0]) in PLATFORMS} | lines
    return "\n".join(
        ["| stage | what | result |", "| --- | --- | --- |", *(lines[each] for each in PLATFORMS if each in lines)]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offline", action="store_true", help="names only, ask no registry")
    parser.add_argument("--build", action="store_true", help="install the pip layers into clean environments")
    parser.add_argument("--stage", action="append", choices=PLATFORMS, help="pip layers of this one; repeatable")
    parser.add_argument("--dockerfile", type=Path, default=REPOSITORY / "Dockerfile")
    parser.add_argument("--page", type=Path, help="Markdown page whose <!-- images --> block receives the pip layers")
    chosen = parser.parse_args()
    text = chosen.dockerfile.read_text("utf-8")
    rows = check_names(text, yaml.safe_load(KNOWN.read_text("utf-8")))
    rows += [] if chosen.offline else check_pip(text, chosen.stage or PLATFORMS)
    rows += check_builds(text, chosen.stage or PLATFORMS) if chosen.build and not chosen.offline else []
    print(table(rows))
    if chosen.page:
        from camera_perception.tools.bench.report import put_into

        put_into(chosen.page, markdown(rows, chosen.page.read_text("utf-8")), "images")
    wrong = sum(row.result == WRONG for row in rows)
    print(f"{len(rows)} checked, {wrong} wrong, {sum(row.result == SKIPPED for row in rows)} could not be checked")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
