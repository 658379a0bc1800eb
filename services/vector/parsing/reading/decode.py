"""Bytes into text, whatever their encoding."""

import codecs
import re
from dataclasses import dataclass
from typing import Final

import charset_normalizer

_BOMS: Final = (
    # The longer ones first: UTF-32's begins with UTF-16's.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CANDIDATES: Final = (
    "cp949", "cp932", "euc_jp", "gb18030", "big5", "cp1252", "cp1250", "cp1251", "koi8_r", "koi8_u", "iso8859_2",
    "iso8859_5", "cp1253", "iso8859_7", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "tis_620", "mac_roman",
    "cp437", "cp850", "cp852", "cp866",
)  # fmt: skip
"""What files without Unicode are written in. Fewer candidates are fewer mistakes."""
_ESCAPED: Final = ((b"\x1b$B", "iso2022_jp_2"), (b"\x1b$@", "iso2022_jp_2"), (b"\x1b$)C", "iso2022_kr"))
_SAMPLE: Final = 32 * 1024
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text and how it was found."""

    text: str
    encoding: str
    guessed: bool = False
    """By statistics, because the bytes are not Unicode and nothing names their encoding."""
    lossy: bool = False
    """Some bytes are none of that encoding; U+FFFD stands for them."""


def decode(data: bytes, declared: str | None = None) -> Decoded:
    """By byte order mark, by being valid UTF-8, by what is declared, by statistics; never fails."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _lenient(data, encoding)
    for escape, encoding in _ESCAPED:
        if escape in data[:_SAMPLE]:
            found = _strict(data, encoding)
            if found is not None:
                return found
    wide = _wide(data)
    if wide:
        return _lenient(data, wide)
    found = _strict(data, "utf-8")
    if found is not None:
        return found
    if declared:
        known = _known(declared)
        if known:
            return _lenient(data, known)
    for encoding in _guesses(data):
        found = _strict(data, encoding)
        if found is not None:
            return Decoded(found.text, encoding, guessed=True)
    # Mostly UTF-8 with a few wrong bytes (a cut file, a mixed log) is likelier than any other encoding.
    text = data.decode("utf-8", "replace")
    if text.count("\ufffd") * 50 <= len(text):
        return Decoded(text, "utf-8", lossy=True)
    return Decoded(data.decode("cp1252", "replace"), "cp1252", guessed=True, lossy=True)


def is_binary(data: bytes) -> bool:
    """Whether these bytes are no text in any encoding: control characters that no text has."""
    sample = data[:_SAMPLE]
    if any(sample.startswith(mark) for mark, _ in _BOMS) or _wide(sample):
        return False
    return b"\0" in sample or len(_CONTROL.findall(sample)) * 100 > len(sample) + 800


def _wide(data: bytes) -> str:
    """UTF-16 without a mark shows by the zeros of its Latin characters, all at odd or all at even places."""
    sample = data[:4096]
    half = len(sample) // 2
    if half < 2 or len(data) % 2:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd * 10 >= half * 3 and even * 20 <= odd:
        return "utf-16-le"
    if even * 10 >= half * 3 and odd * 20 <= even:
        return "utf-16-be"
    return ""


def _known(name: str) -> str:
    """Python's name for a declared encoding; what browsers read in place of Latin-1 and of KS X 1001."""
    try:
        known = codecs.lookup(name.strip().strip("\"'"))
    except (LookupError, ValueError, OSError):
        return ""
    # Python also has codecs that are no encodings, such as zlib and rot13.
    if not known._is_text_encoding or known.name in ("idna", "punycode", "unicode_escape", "raw_unicode_escape"):
        return ""
    return {"iso8859-1": "cp1252", "ascii": "cp1252", "euc_kr": "cp949", "shift_jis": "cp932", "gb2312": "gb18030"}.get(
        known.name, known.name
    )


def _guesses(data: bytes) -> list[str]:
    """Encodings to try, the likeliest first."""
    first = _HIGH.search(data)
    begin = data.rfind(b"\n", 0, first.start()) + 1 if first else 0
    matches = charset_normalizer.from_bytes(data[begin : begin + _SAMPLE], cp_isolation=list(CANDIDATES))
    ranked = list(matches)
    if not ranked:
        return []
    best = ranked[0]
    equal = [match for match in ranked if (match.chaos, match.coherence) == (best.chaos, best.coherence)]
    # Of those that explain a text equally well, Western European is by far the most frequent one.
    if any("cp1252" in match.could_be_from_charset or match.encoding == "cp1252" for match in equal):
        return ["cp1252", *(match.encoding for match in ranked)]
    return [match.encoding for match in ranked]


def _strict(data: bytes, encoding: str) -> Decoded | None:
    try:
        return Decoded(data.decode(encoding), encoding)
    except UnicodeError:
        return None


def _lenient(data: bytes, encoding: str) -> Decoded:
    found = _strict(data, encoding)
    return found or Decoded(data.decode(encoding, "replace"), encoding, lossy=True)
