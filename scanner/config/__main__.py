"""Print `docs/configuration.md`, made from the settings: `python -m scanner.config > docs/configuration.md`."""

import re
import sys

from scanner.config.load import CONFIG_VARIABLE, variable
from scanner.config.settings import Settings, face_of

_HEAD = f"""# Configuration

Every setting can be given in three places. The first that names it wins:

1. the command line's option, where there is one;
2. the environment variable (an empty one counts as not set);
3. `scanner.toml`, by the setting's name: the file that `--config FILE` or `{CONFIG_VARIABLE}` names,
   otherwise the one in the user's configuration directory, if it is there.

A URL is written `amqp://USER:PASSWORD@HOST:PORT/VHOST` or `postgresql://USER:PASSWORD@HOST:PORT/NAME`; a file
`sqlite:////absolute/path` (four slashes) or `sqlite:///relative/path`. A password is never printed or logged;
one that holds `/`, `?`, `#`, `@` or `:` must be percent-encoded.

A value that is not allowed, and a key that does not exist, is refused with exit code 2 before anything is
touched.

```toml
# scanner.toml
broker_url = "amqp://scanner:secret@rabbit.example/media"
settle_s = 30
exclude = ["*.iso", "Trash/**"]
```

This page is made from the code: `python -m scanner.config > docs/configuration.md`.

| setting | environment | option | allowed | meaning |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the configuration page, in Markdown."""
    return _HEAD + "".join(_row(name) for name in Settings.model_fields)


def _row(name: str) -> str:
    setting = Settings.model_fields[name]
    face = face_of(setting)
    meaning = re.sub(r"\s+", " ", setting.description or "")
    option = f"`{face.option}`" if face.option else ""
    allowed = face.allowed.replace("|", r"\|")
    return f"| `{name}` | `{variable(name)}` | {option} | {allowed} | {meaning} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
