"""Configuration dataclasses filled from YAML and key=value overrides; unknown keys and wrong types are errors."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class SettingsError(ValueError):
    """A configuration file or an override is invalid."""


def load_settings(cls: type[T], path: Path | None = None, overrides: list[str] | None = None) -> T:
    """A `cls` from its defaults, then a YAML file, then overrides such as optimizer.lr=0.001 (the last one wins)."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        merged = OmegaConf.structured(cls)
        if path is not None:
            merged = OmegaConf.merge(merged, OmegaConf.load(path))
        merged = OmegaConf.merge(merged, OmegaConf.from_dotlist(overrides or []))
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist: give a file like perception_models/configs/demo.yaml") from None
    except (OmegaConfBaseException, YAMLError) as error:
        where = "".join(f"{part}: " for part in (path, getattr(error, "full_key", None)) if part)
        raise SettingsError(
            f"{where}{str(error).splitlines()[0]}: see the comments in perception_models/configs"
        ) from error
