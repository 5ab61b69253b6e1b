"""Engines are swapped between frames, a failed build leaves the old one, and a reading of the GPU needs no GPU."""

from __future__ import annotations

import shutil
import sys
import threading
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from tiny_models import tiny_images

from camera_perception.background_build import BackgroundBuild
from camera_perception.engines import infer
from camera_perception.engines.recorded import load
from camera_perception.errors import EngineError
from camera_perception.live_engine import LiveEngine
from camera_perception.model_spec import load_spec
from camera_perception.telemetry import gpu_reader


class Closable:
    """A recorded engine that remembers whether it was closed."""

    def __init__(self, spec, slots=1, name="recorded"):
        self.inner, self.closed = load(spec, slots=slots), 0
        self.inner.name = name

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def close(self):
        self.closed += 1


@pytest.fixture(scope="module")
def spec(tiny_model):
    return load_spec(tiny_model)


def test_frames_in_flight_finish_where_they_began(spec):
    old, new = Closable(spec, 2, "old"), Closable(spec, 2, "new")
    live = LiveEngine(old)
    first, second = live.acquire(), live.acquire()
    live.replace_by(new)
    assert live.name == "new"
    third = live.acquire()
    for slot, image in zip((first, second, third), tiny_images()):
        slot.images[0] = image
        live.submit(slot)
        live.wait(slot)
    live.release(first)
    assert old.closed == 0
    live.release(third)
    live.release(second)
    infer(live, tiny_images()[:1])
    assert (old.closed, new.closed) == (1, 0)
    live.close()
    assert (old.closed, new.closed) == (1, 1)


def test_an_engine_of_another_size_is_refused_and_closed(spec):
    old, new = Closable(spec), Closable(spec, name="new")
    new.inner.input = SimpleNamespace(shape=(1, 2, 2, 3), dtype=np.dtype("uint8"))
    live = LiveEngine(old)
    with pytest.raises(EngineError, match=r"new cannot replace recorded: its input is \(1, 2, 2, 3\)"):
        live.replace_by(new)
    assert (live.name, old.closed, new.closed) == ("recorded", 0, 1)
    infer(live, tiny_images()[:1])


def test_an_engine_that_lacks_an_output_is_refused(spec):
    new = Closable(spec)
    del new.inner.outputs["scores"]
    with pytest.raises(EngineError, match="output 'scores' is missing"):
        LiveEngine(Closable(spec)).replace_by(new)


def test_a_background_build_tells_its_progress_and_ends_in_a_swap(spec):
    live, told, go = LiveEngine(Closable(spec, name="old")), threading.Event(), threading.Event()

    def build(progress):
        assert progress("Tactic selection", 0.25)
        told.set()
        assert go.wait(10)
        return Closable(spec, name="built")

    job = BackgroundBuild(build, live.replace_by)
    assert told.wait(10)
    assert job.state.text == "building the engine: 25% (Tactic selection)"
    infer(live, tiny_images()[:1])  # the old engine serves meanwhile
    go.set()
    assert job.join(10)
    assert (job.state.state, job.state.text, live.name) == ("done", "built is in use", "built")


@pytest.mark.parametrize(
    ("error", "says"), [(EngineError("no room"), "no room"), (KeyError("x"), "run `camera-perception build-engine`")]
)
def test_a_failed_build_leaves_the_old_engine(spec, error, says):
    def build(progress):
        raise error

    live = LiveEngine(Closable(spec, name="old"))
    job = BackgroundBuild(build, live.replace_by)
    assert job.join(10)
    assert job.state.state == "failed"
    assert says in job.state.text
    assert live.name == "old"


def test_a_cancelled_build(spec):
    started = threading.Event()

    def build(progress):
        started.set()
        while progress("Tactic selection", 0.5):
            pass
        raise EngineError("cancelled; nothing was changed")

    job = BackgroundBuild(build, lambda engine: pytest.fail("a cancelled build must not be used"))
    assert started.wait(10)
    job.cancel()
    assert job.join(10)
    assert job.state.state == "cancelled"


def test_the_engine_is_built_and_swapped_in_behind_a_running_one(spec, tmp_path, monkeypatch):
    """The whole way, with the stand-in for TensorRT: what a node does when no engine is there."""
    from fake_tensorrt import install

    from camera_perception.build_engine import build_engine
    from camera_perception.engines.select import load_engine

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    install(monkeypatch)
    live = LiveEngine(load(spec))

    def build(progress):
        build_engine(spec, progress=progress)
        return load_engine(spec, "tensorrt")

    job = BackgroundBuild(build, live.replace_by)
    assert job.join(60)
    assert job.state.message == "tensorrt fp32 NVIDIA Orin is in use"
    assert infer(live, tiny_images()[1:2])["scores"][0, 0] == pytest.approx(0.95)
    live.close()


# Telemetry


def jetson(root, **files):
    for name, text in {
        "etc/nv_tegra_release": "# R36",
        "proc/device-tree/model": "NVIDIA Jetson AGX Orin\0",
        "proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 400 kB\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
        "sys/class/thermal/thermal_zone0/temp": "90000",
        "sys/class/thermal/thermal_zone1/type": "gpu-thermal",
        "sys/class/thermal/thermal_zone1/temp": "51500",
        "sys/class/thermal/cooling_device0/type": "gpu-throttle-alert",
        "sys/class/thermal/cooling_device0/cur_state": "0",
        "sys/devices/platform/gpu.0/load": "730",
        "sys/class/devfreq/17000000.gpu/cur_freq": "624750000",
        "sys/class/devfreq/17000000.gpu/max_freq": "1300500000",
        **files,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_jetson_is_read_from_sysfs(tmp_path):
    reading = gpu_reader(root=jetson(tmp_path))()
    assert reading.values == {
        "gpu": "NVIDIA Jetson AGX Orin",
        "gpu temperature": "52 C",
        "gpu load": "73%",
        "gpu memory": "1 of 1 MiB",
        "gpu clock": "625 of 1300 MHz",
        "gpu throttled": "no",
    }
    assert not reading.hot


def test_a_jetson_that_throttles(tmp_path):
    reading = gpu_reader(root=jetson(tmp_path, **{"sys/class/thermal/cooling_device0/cur_state": "2"}))()
    assert (reading.throttled, reading.hot) == ("heat", True)


def test_a_board_without_those_files_is_read_as_far_as_it_goes(tmp_path):
    root = jetson(tmp_path)
    shutil.rmtree(root / "sys")
    (root / "proc/meminfo").write_text("nonsense")
    assert gpu_reader(root=root)().values == {"gpu": "NVIDIA Jetson AGX Orin", "gpu throttled": "no"}


class FakeNvml(ModuleType):
    NVML_TEMPERATURE_GPU = NVML_CLOCK_SM = 0
    NVMLError = type("NVMLError", (Exception,), {})

    def __init__(self, lost=False, driver=True):
        super().__init__("pynvml")
        self.lost, self.driver = lost, driver

    def nvmlInit(self):
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByIndex(self, index):
        return index

    def nvmlDeviceGetName(self, handle):
        if self.lost:
            raise self.NVMLError("GPU is lost")
        return b"NVIDIA RTX 4090"

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(used=1 << 30, total=24 << 30)

    def nvmlDeviceGetUtilizationRates(self, handle):
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return 0x40 | 0x4 | 0x1

    def nvmlDeviceGetClockInfo(self, handle, clock):
        return 1980

    def nvmlDeviceGetMaxClockInfo(self, handle, clock):
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetTemperature(self, handle, sensor):
        return 84


def test_a_desktop_is_read_through_nvml(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    reading = gpu_reader(root=tmp_path)()
    assert (reading.name, reading.temperature, reading.load) == ("NVIDIA RTX 4090", 84.0, None)
    assert reading.throttled == "power cap, heat (hardware)"
    assert reading.values["gpu memory"] == "1024 of 24576 MiB"
    assert reading.values["gpu clock"] == "1980 MHz"


def test_nothing_to_read(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert gpu_reader(root=tmp_path) is None
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(driver=False))
    assert gpu_reader(root=tmp_path) is None
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(lost=True))
    assert gpu_reader(root=tmp_path)() is None
