"""Where sentences end: one rule for what vector cuts into passages and what graph looks at inside them."""

import re
from typing import Final

Span = tuple[int, int]
"""First code point, one past the last."""

# After the mark may follow closing quotes and brackets; then white space, or nothing in scripts that use none. A run of
# marks is looked at from its beginning alone, and as a whole: otherwise a line of dots would take quadratic time.
_END: Final = re.compile(
    r"""(?<![.!?…])(?P<mark>[.!?…]++)["'”’»)\]]*+(?=\s)        # Latin, Cyrillic, Greek, Korean, …
      | [。！？｡]++[」』”’）】]*+                              # Chinese, Japanese
      | (?<![।॥۔؟])[।॥۔؟]++(?=\s)                           # Devanagari, Urdu, Arabic
      | \n[ \t]*+\n\s*+                                      # an empty line
      | \n(?=[ \t]*+(?:[-*•‣–]|\d{1,3}[.)])[ \t])           # a list's next item
    """,
    re.VERBOSE,
)
_ABBREVIATIONS: Final = frozenset(
    re.split(
        r"\s+",
        "mr mrs ms dr prof st sr jr vs etc e.g i.e cf al fig figs no nos vol vols pp p ch sec eq ca approx inc ltd co "
        "corp gen col lt sgt capt rev hon jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k a.m p.m "
        "z.b d.h u.a bzw ca nr bsp str",
    )
)
_LAST_WORD: Final = re.compile(r"[^\s(\[\"'“‘«]+$")
_SMALL: Final = re.compile(r"\s+[a-zà-öø-ÿа-яα-ω]")


def split(text: str, start: int = 0, end: int | None = None) -> list[Span]:
    """Spans of the sentences of text[start:end], without white space around them; nothing but white space is left out.

    Where it is not sure (an abbreviation, a small letter behind the full stop) it does not cut: a sentence that is
    too long for a passage is cut later anyway, one cut in its middle is never mended.
    """
    end = len(text) if end is None else end
    spans: list[Span] = []
    begin = start
    for match in _END.finditer(text, start, end):
        if match["mark"] is not None and not _ends(text, begin, match):
            continue
        _append(spans, text, begin, match.end())
        begin = match.end()
    _append(spans, text, begin, end)
    return spans


def _ends(text: str, begin: int, match: re.Match[str]) -> bool:
    if _SMALL.match(text, match.end()):
        return False
    if match["mark"] != ".":
        return True
    word = _LAST_WORD.search(text, max(begin, match.start() - 24), match.start())
    if word is None:
        return True
    # "J. R. R. Tolkien": a single letter is an initial.
    bare = word[0].lower()
    return (
        bare not in _ABBREVIATIONS and not (len(bare) == 1 and bare.isalpha()) and not re.fullmatch(r"(\w\.)+\w", bare)
    )


def _append(spans: list[Span], text: str, begin: int, end: int) -> None:
    while begin < end and text[begin].isspace():
        begin += 1
    while end > begin and text[end - 1].isspace():
        end -= 1
    if begin < end:
        spans.append((begin, end))
