"""Configuration: dataclasses filled from YAML and `key=value` words; an unknown key or a wrong type is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class SettingsError(ValueError):
    """A configuration file or override says something that the code does not understand."""


def load_settings(cls: type[T], path: Path | None = None, overrides: list[str] | None = None) -> T:
    """A `cls` from its defaults, then a YAML file, then words like optimizer.lr=0.001 (later ones win)."""
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
        where = "".join(f"{place}: " for place in (path, getattr(error, "full_key", None)) if place)
        raise SettingsError(
            f"{where}{str(error).splitlines()[0]}: see the comments in perception_models/configs"
        ) from error


def settings_from_dict(cls: type[T], values: dict[str, Any]) -> T:
    """A `cls` from plain values, as checkpoints keep it."""
    from omegaconf import OmegaConf

    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), values))  # type: ignore[return-value]
