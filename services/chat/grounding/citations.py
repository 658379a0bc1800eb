"""Which passages an answer names: `[2]`, `[1, 3]`, `[2-4]`, `【1】`."""

import re
from collections.abc import Sequence

from services.chat.question import Citation, Passage

_MARK = re.compile(r"[\[【]\s*(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\s*[\]】]")
_RANGE = re.compile(r"(\d+)\s*[–-]\s*(\d+)")
# What stands in code names no passage: `a[1]` there is an index.
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)


def cited(answer: str, passages: Sequence[Passage]) -> tuple[Citation, ...]:
    """The passages that `answer` names, in the order of their numbers. A number without a passage cites nothing."""
    numbers: set[int] = set()
    for mark in _MARK.finditer(_CODE.sub(" ", answer)):
        inner = mark.group(1)
        for first, last in _RANGE.findall(inner):
            numbers.update(range(int(first), min(int(last), len(passages)) + 1))
        numbers.update(int(number) for number in re.findall(r"\d+", inner))
    return tuple(Citation(number, passages[number - 1]) for number in sorted(numbers) if 1 <= number <= len(passages))
