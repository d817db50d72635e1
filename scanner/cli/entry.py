"""The entry point: every way a command can end becomes one exit code and one sentence.

With `--json` an error is also `{"error": {"kind", "text"}}` on stdout. A traceback is shown for nothing but a
defect of ours (exit 70, outside the documented table, so that no script mistakes it for an answer).
"""

import sys
import traceback
from collections.abc import Sequence

import typer

from scanner.cli import output
from scanner.cli.commands import app
from scanner.errors import ScannerError, UsageError

INTERRUPTED = 130
DEFECT = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` (default: the process's) name and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    output.prepare()
    try:
        code = _run(given)
    except KeyboardInterrupt:
        code = INTERRUPTED
    output.flush()
    return code


def _run(arguments: list[str]) -> int:
    try:
        code = typer.main.get_command(app).main(args=arguments, prog_name="scanner", standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except typer.TyperException as error:
        return _fail(arguments, UsageError(_usage(error)))
    except ScannerError as error:
        return _fail(arguments, error)
    except Exception as error:  # noqa: BLE001 - the last resort: it is shown in full
        return _fail_unexpectedly(arguments, error)
    return code if isinstance(code, int) else 0


def _usage(error: typer.TyperException) -> str:
    """Return what is wrong with the arguments, and whom to ask."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "scanner"
    return f"{error.format_message().rstrip('.')}. See: {command} --help"


def _fail(arguments: list[str], error: ScannerError) -> int:
    output.error(error.kind, str(error), as_json=_wants_json(arguments))
    return error.exit_code


def _fail_unexpectedly(arguments: list[str], error: Exception) -> int:
    output.say_lines("".join(traceback.format_exception(error)).splitlines())
    text = f"a defect in scanner: {type(error).__name__}: {error}"
    output.error("internal", text, as_json=_wants_json(arguments))
    return DEFECT


def _wants_json(arguments: list[str]) -> bool:
    """Tell whether `--json` is among the options; asked when parsing them may have failed."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options
