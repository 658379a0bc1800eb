"""What a person sees of a run: one line a part, then the addresses and what to try next."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from local import settings
from local.events import Event
from local.stack import Stack
from local.supervisor import hints

_WIDTH = max(len(part) for part in settings.PARTS)


class Progress:
    """Writes lines from any thread; a reader that has gone away stops nothing."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._lock = threading.Lock()

    def line(self, text: str = "") -> None:
        with self._lock:
            try:
                print(text, file=self._output, flush=True)
            except (OSError, ValueError):
                return

    def problem(self, text: str) -> None:
        self.line(f"\n{text}\n")

    def begins(self, root: Path, replaced: Mapping[str, str]) -> None:
        self.line(f"Pergola starts; its data are in {root}.")
        for part, setting in replaced.items():
            self.line(f"  {part:<{_WIDTH}}  not started, {setting} says where it runs")

    def event(self, event: Event) -> None:
        """One line when a part is ready and one when it has stopped; notes as they come."""
        name = f"  {event.part:<{_WIDTH}}"
        match event.kind:
            case "ready":
                self.line(f"{name}  ready    {event.seconds:5.1f} s  {event.text}")
            case "stopped":
                self.line(f"{name}  stopped  {event.seconds:5.1f} s  {event.text}".rstrip())
            case "note":
                self.line(f"{name}  {event.text}")

    def ready(self, stack: Stack, seconds: float, environ: Mapping[str, str]) -> None:
        """The addresses, models that were found on this machine, and the next command."""
        gateway = f"http://{stack.address('gateway')}"
        lines = [
            "",
            f"Pergola is ready after {seconds:.1f} s. Logs, one file a part: {stack.data.logs}",
            "",
            f"  REST, SSE, gRPC, gRPC-Web, Connect   {gateway}",
            f"  OpenAI-compatible                    {gateway}/v1",
            f"  WebSocket                            ws://{stack.address('gateway')}/ws/chat",
            "",
            *hints.models(environ),
            "Next, in another terminal:",
            "",
            "  make demo",
            "  .venv/bin/pergola ingest README.md docs",
            '  .venv/bin/pergola ask "What survives a power cut?"',
            "",
            "Ctrl-C stops everything.",
        ]
        self.line("\n".join(lines))
