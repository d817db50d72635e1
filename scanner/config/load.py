"""Where settings come from: option > environment > `scanner.toml` > default.

A wrong value never gets past here: it is refused with the setting's name, where it came from, the value (a
password masked) and what is allowed. Nothing here reads the process's environment: the command line, its only
reader, passes it in.
"""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from scanner import paths
from scanner.config.settings import Settings, face_of
from scanner.errors import UsageError
from scanner.log import masked
from scanner.urls import mask

PREFIX = "SCANNER_"
CONFIG_VARIABLE = "SCANNER_CONFIG"
_GLOBS = ("include", "exclude")


def load_settings(
    options: Mapping[str, object], environment: Mapping[str, str], config_file: Path | None
) -> Settings:
    """Return the settings: `options` (by field name; None = not given) before `environment` before the file.

    An empty variable counts as not set. Without `config_file` and SCANNER_CONFIG the file is `scanner.toml`
    in the user's configuration directory, if it is there.

    Raises:
        UsageError: a value is wrong, a key of the file is unknown, or the file cannot be read.
    """
    given = {name: value for name, value in options.items() if value is not None}
    variables = {
        name: environment[variable(name)] for name in Settings.model_fields if environment.get(variable(name))
    }
    file, values = _read_file(config_file, environment)
    layers = (_Layer("option", given), _Layer("variable", variables), _Layer(str(file), values))
    sources: dict[str, Any] = {
        "_build_sources": (
            tuple(InitSettingsSource(Settings, _path_texts(layer.values)) for layer in layers),
            {},
        )
    }
    try:
        return Settings(**sources)
    except ValidationError as error:
        raise UsageError(_sentence(error, layers)) from None


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return face_of(Settings.model_fields[name]).variable or PREFIX + name.upper()


def _path_texts(values: Mapping[str, object]) -> dict[str, object]:
    """Return the values with globs as path text, which is what they are held against."""
    return {name: _path_text(value) if name in _GLOBS else value for name, value in values.items()}


def _path_text(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_path_text(item) for item in value]
    return paths.from_os(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Layer:
    """The values of one source: `option`, `variable`, or a file's path."""

    source: str
    values: Mapping[str, object]

    def label(self, name: str) -> str:
        """Return what the user wrote to set `name` here."""
        if self.source == "option":
            return face_of(Settings.model_fields[name]).option or name
        return variable(name) if self.source == "variable" else f"{name} in {self.source}"


def _sentence(error: ValidationError, layers: tuple[_Layer, ...]) -> str:
    """Return the first thing wrong, in words: where, the value, and what is allowed."""
    problem = error.errors(include_url=False, include_context=False)[0]
    reason = problem["msg"].removeprefix("Value error, ").replace("Input should", "it should", 1)
    if not problem["loc"]:
        return f"wrong settings: {reason}"
    name = str(problem["loc"][0])
    layer = next((layer for layer in layers if name in layer.values), layers[-1])
    if name not in Settings.model_fields:
        return _unknown_key(name, layer.source)
    shown = _shown(layer.values.get(name))
    allowed = face_of(Settings.model_fields[name]).allowed
    return f"{layer.label(name)} = {shown} is refused: {reason}; allowed: {allowed}"


def _shown(value: object) -> str:
    """Return a refused value as it may be printed; one that is text is masked as the URL it may be."""
    return repr(mask(value)) if isinstance(value, str) else masked(repr(value))


def _unknown_key(name: str, source: str) -> str:
    close = difflib.get_close_matches(name, Settings.model_fields, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; known keys: {', '.join(Settings.model_fields)}"
    return f"unknown key {name!r} in {source}{hint}"


def _read_file(config_file: Path | None, environment: Mapping[str, str]) -> tuple[Path, dict[str, object]]:
    """Return the configuration file and its values; only the one in the default place may be missing."""
    named = environment.get(CONFIG_VARIABLE)
    default = Path(platformdirs.user_config_dir("scanner")) / "scanner.toml"
    file = config_file or (Path(named) if named else default)
    try:
        return file, tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if file == default:
            return file, {}
        raise UsageError(
            f"configuration file {file}: there is no such file (--config, {CONFIG_VARIABLE})"
        ) from None
    except OSError as error:
        raise UsageError(f"configuration file {file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"configuration file {file} is not valid TOML: {error}") from error
