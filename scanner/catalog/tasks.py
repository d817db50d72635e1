"""From changes to messages: tasks collected during a batch, encoded in messages of a set size."""

from collections.abc import Sequence
from typing import NamedTuple

from scanner import message, paths
from scanner.catalog.checkpoint import Message, NewFile
from scanner.catalog.libraries import Library
from scanner.catalog.scans import Counters
from scanner.media import Kind

_LABELS = {int(kind): kind.label for kind in Kind}


class Subject(NamedTuple):
    """The file that a task is about, as it is from now on; `path` is relative to the root."""

    id: int
    revision: int
    content: int
    path: str
    size: int
    mtime_ns: int
    kind: int


class TaskWriter:
    """Collects the tasks of one transaction; `messages` gives them ready to send."""

    def __init__(self, catalog: str, scan_id: int, library: Library, tasks_per_message: int) -> None:
        self._catalog = catalog
        self._scan = str(scan_id)
        self._library = library
        self._tasks_per_message = tasks_per_message
        self._tasks: list[message.Task] = []

    def add(self, change: message.Change, file: Subject) -> message.Task:
        """Collect the task of a change; return it."""
        file_id, revision, content, path, size, mtime_ns, kind = file
        exact = paths.is_exact(path)
        shown = path if exact else paths.readable(path)
        raw = None if exact else message.raw_bytes(path)
        task = message.Task(file_id, revision, content, change, shown, size, str(mtime_ns), _LABELS[kind], raw)
        self._tasks.append(task)
        return task

    def add_new(self, directory: str, files: Sequence[NewFile]) -> None:
        """Collect the `added` tasks of new files in one directory: what a first scan does by the million."""
        prefix = f"{directory}/" if directory else ""
        is_exact, has_exact_prefix = paths.is_exact, paths.is_exact(prefix)
        append, task = self._tasks.append, message.Task
        for file_id, _, name, size, mtime_ns, _, kind, _, revision, content in files:
            path = prefix + name
            if has_exact_prefix and (name.isascii() or is_exact(name)):
                append(task(file_id, revision, content, "added", path, size, str(mtime_ns), _LABELS[kind]))
            else:
                self.add("added", Subject(file_id, revision, content, path, size, mtime_ns, kind))

    def add_move(self, file: Subject, source: str, *, probe: bool) -> None:
        """Collect the task of a move from the path `source`; `probe` while the content has no result yet."""
        task = self.add("moved", file)
        task.moved_from = paths.readable(source)
        task.from_bytes = message.raw_bytes(source)
        task.probe = probe

    def messages(self, counters: Counters) -> list[Message]:
        """Return the collected tasks as messages, counted in `counters`, and begin anew."""
        tasks, self._tasks = self._tasks, []
        size = self._tasks_per_message
        encoded = [self._encode(tasks[start : start + size]) for start in range(0, len(tasks), size)]
        counters.tasks += len(tasks)
        counters.messages += len(encoded)
        return encoded

    def _encode(self, tasks: list[message.Task]) -> Message:
        root = self._library.root
        batch = message.TaskBatch(
            version=message.VERSION,
            catalog=self._catalog,
            scan=self._scan,
            library=paths.readable(self._library.name),
            root=paths.readable(root),
            tasks=tasks,
            root_bytes=message.raw_bytes(root),
        )
        return Message(message.new_message_id(), message.TASKS, message.encode(batch), len(tasks))
