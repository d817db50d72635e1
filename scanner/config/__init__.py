"""Settings: read once, refused where wrong, frozen, and the same object for every command."""

from scanner.config.fields import EMBEDDED, SecretUrl
from scanner.config.load import load_settings
from scanner.config.settings import Settings

__all__ = ["EMBEDDED", "SecretUrl", "Settings", "load_settings"]
