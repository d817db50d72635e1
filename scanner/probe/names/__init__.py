"""What a file's name and folders say: title, year, season, episodes, and whether it is an extra or a sidecar.

`parser` is the door; `patterns` the cheap path and `anchors` its second look, over `numbers` (seasons,
episodes), `titles` (when one is believed), `words` (texts, folders) and `release` (words of release names);
`guess` is guessit, for what they leave open; `extras` knows trailers and samples. Any text is taken for a name:
the time is bounded by cutting each part of a path, and nothing is raised.
"""

from scanner.probe.names.parser import NameParser

__all__ = ["NameParser"]
