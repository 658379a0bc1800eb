"""What the command writes: results to stdout, everything about them to stderr; lines of JSON when asked."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TextIO

from google.protobuf import json_format
from google.protobuf.message import Message

from pergola._errors import PergolaError

# Control characters, but for tab and newline: text of documents must not steer somebody's terminal.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Output:
    """The two streams of one run."""

    def __init__(self, stdout: TextIO, stderr: TextIO, *, as_json: bool) -> None:
        self._stdout = stdout
        self.stderr = stderr
        self.as_json = as_json

    @property
    def animated(self) -> bool:
        """Whether somebody watches, so that bars may move."""
        return self.stderr.isatty() and not self.as_json

    def text(self, text: str, end: str = "\n") -> None:
        """A result for people; shown at once."""
        self._stdout.write(harmless(text) + end)
        self._stdout.flush()

    def record(self, content: Mapping[str, Any] | Message) -> None:
        """A result for programs: one line of JSON."""
        if isinstance(content, Message):
            content = fields(content)
        self._stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
        self._stdout.flush()

    def note(self, text: str) -> None:
        """Something beside the result."""
        self.stderr.write(harmless(text) + "\n")
        self.stderr.flush()

    def problem(self, text: str) -> None:
        """Something that went wrong while the rest goes on."""
        self.note(f"pergola: {text}")

    def error(self, error: PergolaError, hint: str = "") -> None:
        """What ended the command."""
        if self.as_json:
            self.record({"error": _error_fields(error)})
        lines = [error.message, *(f"  {one.field}: {one.description}" for one in error.violations[1:])]
        if error.retry_after is not None:
            lines.append(f"Try again in {error.retry_after:g} s.")
        if hint:
            lines.append(hint)
        reason = "" if error.reason == error.code else f" ({error.reason})"
        lines[0] += reason
        self.problem("\n".join(lines))


def fields(message: Message) -> dict[str, Any]:
    """A message as JSON, with the names of the contract and every field that has a presence of its own or a value."""
    content: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return content


def harmless(text: str) -> str:
    """Without characters that do something to a terminal."""
    return _CONTROL.sub("", text)


def plural(number: int, one: str, many: str = "") -> str:
    """`1 document`, `2 documents`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def shortened(text: str, limit: int) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def _error_fields(error: PergolaError) -> dict[str, Any]:
    content: dict[str, Any] = {"status": error.code, "reason": error.reason, "message": error.message}
    if error.request_id:
        content["request_id"] = error.request_id
    if error.retry_after is not None:
        content["retry_after"] = error.retry_after
    if error.violations:
        content["violations"] = [{"field": one.field, "description": one.description} for one in error.violations]
    return content
