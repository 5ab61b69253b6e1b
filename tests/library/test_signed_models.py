"""Signed models and sealed engines: what is accepted, and every change is refused by the name of the file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fake_tensorrt import install
from typer.testing import CliRunner

from camera_perception.core.errors import EngineError, ModelError, PerceptionError
from camera_perception.core.model_spec import load_spec
from camera_perception.engines import tensorrt
from camera_perception.engines.build.build import build_engine
from camera_perception.engines.serving import model as serving
from camera_perception.engines.serving import signature
from camera_perception.engines.serving.model import ModelRequest, open_model
from camera_perception.engines.serving.signature import SIGNATURE, SUMS, new_key, private_key, sign, verify
from camera_perception.engines.serving.trusted import load_trusted
from camera_perception.engines.tensorrt.manifest import read_manifest
from camera_perception.engines.tensorrt.seal import key_path, read_key, sealed
from camera_perception.engines.tensorrt.store import papers, store
from camera_perception.tools.cli.app import app

pytest.importorskip("cryptography")


@pytest.fixture(autouse=True)
def _homes(tmp_path, monkeypatch):
    monkeypatch.setattr("camera_perception.engines.select.TIMED_RUNS", 3)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Folder with the vehicle's keys and a stranger's."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("vehicle", "stranger"):
        new_key(folder / f"{name}.key")
    return folder


@pytest.fixture
def trusted(keys):
    return (str(keys / "vehicle.pub"),)


@pytest.fixture
def folder(tiny_model, tmp_path, keys):
    """A signed model with a variant and a card."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "MODEL_CARD.md").write_text("what it can do")
    shutil.copytree(tiny_model, folder / "fp16")
    sign(folder, private_key(keys / "vehicle.key"))
    return folder


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip(path: Path, at: int = -1) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def drop_from_sums(folder: Path, name: str) -> None:
    sums = folder / SUMS
    sums.write_text("".join(line for line in sums.read_text().splitlines(True) if not line.endswith(f"  {name}\n")))


def link(path: Path, target: Path) -> None:
    path.rename(target)
    path.symlink_to(target)


def new_sums(folder: Path, keys: Path) -> None:
    """A change that the list knows, but that no trusted key has signed."""
    flip(folder / "model.onnx")
    sign(folder, private_key(keys / "stranger.key"))


# What is done to the folder, and the file that the refusal names
FOLDER_TAMPERINGS = {
    "model: one bit": (lambda f, k: flip(f / "model.onnx"), "model.onnx"),
    "model: truncated": (lambda f, k: (f / "model.onnx").write_bytes(b"x"), "model.onnx"),
    "model: missing": (lambda f, k: (f / "model.onnx").unlink(), "model.onnx"),
    "model: a link": (lambda f, k: link(f / "model.onnx", f.parent / "elsewhere.onnx"), "model.onnx"),
    "model: weights beside it": (lambda f, k: (f / "model.onnx.data").write_bytes(b"w"), "model.onnx.data"),
    "model.json: a threshold": (lambda f, k: edit_json(f / "model.json", version="9"), "model.json"),
    "model.json: missing": (lambda f, k: (f / "model.json").unlink(), "model.json"),
    "variant: one bit": (lambda f, k: flip(f / "fp16/model.onnx"), "fp16/model.onnx"),
    "variant: a new one": (lambda f, k: shutil.copytree(f / "fp16", f / "int8"), "int8/model.json"),
    "variant: a linked folder": (lambda f, k: (f / "int8").symlink_to(f / "fp16"), "int8"),
    "reference: one bit": (lambda f, k: flip(f / "reference.npz"), "reference.npz"),
    "reference: missing": (lambda f, k: (f / "reference.npz").unlink(), "reference.npz"),
    "reference: a pipe": (
        lambda f, k: ((f / "reference.npz").unlink(), os.mkfifo(f / "reference.npz")),
        "reference.npz",
    ),
    "profile: a new one": (lambda f, k: (f / "profile.json").write_text("{}"), "profile.json"),
    "card: changed": (lambda f, k: (f / "MODEL_CARD.md").write_text("all is well"), "MODEL_CARD.md"),
    "list: a line less": (lambda f, k: drop_from_sums(f, "reference.npz"), SUMS),
    "list: missing": (lambda f, k: (f / SUMS).unlink(), SUMS),
    "list: a line more": (lambda f, k: (f / SUMS).write_text((f / SUMS).read_text() + f"{'0' * 64}  x\n"), SUMS),
    "signature: one bit": (lambda f, k: flip(f / SIGNATURE), SIGNATURE),
    "signature: empty": (lambda f, k: (f / SIGNATURE).write_bytes(b""), SIGNATURE),
    "signature: missing": (lambda f, k: (f / SIGNATURE).unlink(), SIGNATURE),
    "signature: a stranger's": (new_sums, SIGNATURE),
}


@pytest.mark.parametrize("tampering", FOLDER_TAMPERINGS)
def test_a_changed_folder_is_refused_by_the_name_of_the_file(folder, keys, trusted, monkeypatch, tampering):
    change, file = FOLDER_TAMPERINGS[tampering]
    change(folder, keys)
    monkeypatch.setattr("camera_perception.engines.serving.trusted.load_spec", lambda path: pytest.fail("was read"))
    with pytest.raises(ModelError) as caught:
        open_model(ModelRequest(str(folder), "onnxruntime", trusted_keys=trusted))
    assert str(folder / file) in str(caught.value)
    assert len(str(caught.value)) <= 500


def resealed_by(key: bytes, path: Path) -> None:
    """What an attacker with another key can do at most: a correct seal of that key."""
    manifest = read_manifest(path)
    own = key_path().read_bytes()
    key_path().write_bytes(key)
    path.write_text(sealed(replace(manifest, built_at="1970-01-01"), "a" * 64).text())
    key_path().write_bytes(own)


def other_plan(path: Path) -> None:
    """Bytes of one's own, with a manifest that has their hash."""
    import hashlib

    engine = path.parent / read_manifest(path).engine
    engine.write_bytes(engine.read_bytes() + b" ")
    edit_json(path, sha256=hashlib.sha256(engine.read_bytes()).hexdigest(), nbytes=engine.stat().st_size)


# What is done to manifest or engine, and which of the two the refusal names
ENGINE_TAMPERINGS = {
    "engine: one bit": (lambda path: flip(path.parent / read_manifest(path).engine), "engine"),
    "engine: missing": (lambda path: (path.parent / read_manifest(path).engine).unlink(), "engine"),
    "engine: other bytes, with their hash": (other_plan, "manifest"),
    "manifest: without seal": (lambda path: edit_json(path, seal=""), "manifest"),
    "manifest: another seal": (lambda path: edit_json(path, seal="0" * 64), "manifest"),
    "manifest: a seal that is no text": (lambda path: edit_json(path, seal=["ü"]), "manifest"),
    "manifest: faster than it is": (lambda path: edit_json(path, milliseconds=0.001), "manifest"),
    "manifest: sealed with another key": (lambda path: resealed_by(b"k" * 32, path), "manifest"),
    "manifest: sealed for another signer": (lambda path: resealed_by(key_path().read_bytes(), path), "manifest"),
}


@pytest.mark.parametrize("tampering", ENGINE_TAMPERINGS)
def test_a_changed_engine_is_never_deserialised(folder, trusted, monkeypatch, tampering):
    fake = install(monkeypatch)
    spec = load_trusted(folder, trusted)
    path = build_engine(spec).path
    tensorrt.load(spec)  # as it was built
    change, named = ENGINE_TAMPERINGS[tampering]
    name = str(path if named == "manifest" else path.parent / read_manifest(path).engine)
    change(path)
    before = fake.deserialised
    with pytest.raises(EngineError) as caught:
        tensorrt.load(spec)
    assert name in str(caught.value)
    assert f"--trusted-key {spec.signed_by}" in str(caught.value)
    assert fake.deserialised == before


def test_an_engine_of_the_unsigned_folder_is_not_for_signed_models_and_is_built_again(folder, trusted, monkeypatch):
    fake = install(monkeypatch)
    built = build_engine(load_spec(folder))
    assert built.manifest.seal == ""
    before = fake.deserialised
    signed = load_trusted(folder, trusted)
    with pytest.raises(EngineError, match="has no seal"):
        tensorrt.load(signed)
    assert fake.deserialised == before
    assert build_engine(signed).fresh
    assert not build_engine(signed).fresh
    tensorrt.load(signed)
    tensorrt.load(load_spec(folder))  # whoever asks for no signature takes sealed engines, too


def test_a_signed_build_reads_no_timing_cache(folder, trusted, monkeypatch, tmp_path):
    install(monkeypatch)
    build_engine(load_spec(folder))
    caches = list((tmp_path / "cache").rglob("timing-*"))
    assert caches  # as the unsigned build left it
    caches[0].write_bytes(b"of somebody else")
    build_engine(load_trusted(folder, trusted), force=True)
    assert caches[0].read_bytes() == b"of somebody else"


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda path: path.chmod(0o640), "must belong to this user alone"),
        (lambda path: path.write_bytes(b"short"), "does not have 32 bytes"),
        (lambda path: path.unlink(), "cannot be read"),
        (lambda path: link(path, path.parent / "other"), "cannot be read"),
        (lambda path: path.parent.chmod(0o777), "others can write the folder"),
    ],
)
def test_a_key_that_is_not_this_users_alone_is_refused(folder, trusted, monkeypatch, damage, expected):
    install(monkeypatch)
    spec = load_trusted(folder, trusted)
    build_engine(spec)
    assert key_path().stat().st_mode & 0o777 == 0o600
    damage(key_path())
    with pytest.raises(EngineError, match=expected):
        read_key(key_path())
    with pytest.raises(EngineError, match=expected):
        tensorrt.load(spec)


def test_a_signed_folder_opens_and_its_variants_are_as_signed(folder, trusted):
    model = open_model(ModelRequest(str(folder), "onnxruntime", trusted_keys=trusted))
    assert model.spec.signed_by == verify(folder, trusted).signer
    assert {each.signed_by for each in tensorrt.variants(model.spec)} == {model.spec.signed_by}
    model.reopened().close()
    flip(folder / "model.onnx")
    with pytest.raises(PerceptionError, match=r"model\.onnx has changed"):
        model.reopened()


def test_without_trusted_keys_every_folder_opens(tiny_model):
    model = open_model(ModelRequest(str(tiny_model), "onnxruntime"))
    assert model.spec.signed_by == ""
    model.close()


def test_a_folder_that_changes_while_it_is_opened_is_refused(folder, trusted, monkeypatch):
    def swapping(spec, *arguments, **options):
        original = (folder / "model.onnx").read_bytes()
        flip(folder / "model.onnx")
        (folder / "model.onnx").write_bytes(original)  # put back: only the time of change remains
        return load_engine(spec, *arguments, **options)

    load_engine = serving.load_engine
    monkeypatch.setattr(serving, "load_engine", swapping)
    with pytest.raises(ModelError, match=r"model\.onnx was changed while it was in use"):
        open_model(ModelRequest(str(folder), "onnxruntime", trusted_keys=trusted))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no ordinary file"),
        ("0" * 63, "does not exist"),
        ("/nowhere.pub", "does not exist"),
        ("/dev/zero", "no ordinary file"),
        ("{keys}/vehicle.key", "not a public key"),
        ("{keys}/rsa.pub", "not an Ed25519 key"),
    ],
)
def test_a_wrong_trusted_key_is_refused(folder, keys, text, expected):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    encoding = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (keys / "rsa.pub").write_bytes(other.public_bytes(*encoding))
    with pytest.raises(ModelError, match=expected):
        verify(folder, [text.format(keys=keys)])


def test_one_trusted_key_of_several_is_enough_as_a_file_or_as_digits(folder, keys, trusted):
    digits, _ = signature.public_key(trusted[0])
    assert verify(folder, [str(keys / "stranger.pub"), digits]).signer == digits


def test_other_tools_verify_the_signature(folder, keys):
    if not shutil.which("openssl") or not shutil.which("sha256sum"):
        pytest.skip("openssl or sha256sum is not installed")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", SUMS], cwd=folder, check=True)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(keys / "vehicle.pub"), "-rawin", "-in", SUMS]
    done = subprocess.run([*command, "-sigfile", SIGNATURE], cwd=folder, capture_output=True, text=True)
    if "rawin" in done.stderr:
        pytest.skip("this openssl is too old for Ed25519")
    assert done.returncode == 0, done.stderr


def test_a_file_name_that_would_break_the_list_is_not_signed(folder, keys):
    (folder / "two\nlines").write_text("x")
    with pytest.raises(ModelError, match="would not write"):
        sign(folder, private_key(keys / "vehicle.key"))


def test_the_commands_sign_and_verify(folder, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    (folder / SUMS).unlink()
    (folder / SIGNATURE).unlink()
    key = tmp_path / "new.key"
    assert run("verify-model", folder).exit_code == 2
    assert "does not exist" in run("sign-model", folder, "--key", key).output
    assert "files signed" in run("sign-model", folder, "--key", key, "--new-key").output
    assert key.stat().st_mode & 0o777 == 0o600
    assert "cannot be written" in run("sign-model", folder, "--key", key, "--new-key").output
    assert run("verify-model", folder, "--trusted-key", tmp_path / "new.pub").exit_code == 0
    flip(folder / "reference.npz")
    done = run("verify-model", folder, "--trusted-key", tmp_path / "new.pub")
    assert done.exit_code == 2
    assert "reference.npz has changed" in done.output.replace("\n", " ")


def test_card_licence_and_credits_travel_with_the_engine_and_leave_with_it(folder, keys, trusted, monkeypatch):
    install(monkeypatch)
    (folder / "LICENSE").write_text("CC BY 4.0")
    (folder / "CREDITS.csv").write_text("who")
    sign(folder, private_key(keys / "vehicle.key"))
    built = build_engine(load_trusted(folder, trusted))
    stem = built.manifest.engine.removesuffix(".engine")
    names = {path.name.removeprefix(f"{stem}.") for path in built.path.parent.glob(f"{stem}.*")}
    assert names == {"engine", "layers.json", "MODEL_CARD.md", "LICENSE", "CREDITS.csv"}
    assert (built.path.parent / f"{stem}.LICENSE").read_text() == "CC BY 4.0"
    fp16 = next(each for each in tensorrt.variants(load_trusted(folder, trusted)) if each.folder.name == "fp16")
    assert set(papers(fp16.folder)) == {"MODEL_CARD.md", "LICENSE", "CREDITS.csv"}  # of the folder above
    store(built.path.parent, replace(built.manifest, engine="other.engine"), b"x")
    assert not list(built.path.parent.glob(f"{stem}.*"))
