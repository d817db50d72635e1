"""The command line: commands, options, progress display, exit codes; the only reader of the environment.

Nothing heavy is imported before a command needs it, so that `scanner --help` answers at once.
"""

from scanner.cli.entry import main

__all__ = ["main"]
