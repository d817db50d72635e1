"""Gitignore-style patterns over path text: the one place that touches `pathspec`.

`pathspec` is imported when the first pattern is compiled and never before: most libraries have neither a glob
nor an ignore file, and the walker process starts on the standard library alone. Paths are path text relative
to whatever the patterns are anchored at; a directory's path is given without its closing slash.
"""

import re
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_NEWLINE_STAND_IN = "\U0010ff0a"


class Globs:
    """Patterns in order; as in a `.gitignore` the last one that matches decides."""

    __slots__ = ("_spec",)

    def __init__(self, patterns: Iterable[str]) -> None:
        """Compile `patterns`.

        Raises:
            ValueError: a pattern is malformed; the text names it.
        """
        from pathspec import GitIgnoreSpec  # noqa: PLC0415 (see the module's docstring)

        self._spec: GitIgnoreSpec = GitIgnoreSpec(
            [compiled for pattern in patterns for compiled in _compile(pattern)], backend="simple"
        )

    def __len__(self) -> int:
        return len(self._spec.patterns)

    def verdict(self, path: str, *, is_directory: bool) -> bool | None:
        """Return True (matched), False (matched by a negated pattern) or None (no pattern matches)."""
        # `.` and `$` of the patterns' regular expressions mean something else at a newline
        subject = path.replace("\n", _NEWLINE_STAND_IN) if "\n" in path else path
        return self._spec.check_file(subject + "/" if is_directory else subject).include


def _compile(pattern: str) -> list["GitIgnoreSpecPattern"]:
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `[[:alpha:]]` is odd, not an error
            compiled = GitIgnoreSpecPattern(_inside_only(pattern))
    except (ValueError, re.error) as error:
        raise ValueError(f"glob {pattern!r} is malformed: {error}") from error
    return [] if compiled.include is None else [compiled]


def _inside_only(pattern: str) -> str:
    """Keep `a/**` from matching the directory `a` itself, which pathspec takes for a path inside it."""
    bare = pattern.rstrip()
    return f"{bare}/*" if bare.endswith("/**") and bare.strip("!/*") else pattern


def tolerant(patterns: Iterable[str]) -> Globs:
    """Return the globs of an ignore file's lines: a malformed line matches nothing, as in git."""
    sound = []
    for pattern in patterns:
        try:
            _compile(pattern)
        except ValueError:
            continue
        sound.append(pattern)
    return Globs(sound)
