"""Korean words without the particles that are written onto them."""

import re
from typing import Final

_TEXT: Final = """
은 는 이 가 을 를 의 에 도 만 와 과 로 으로 에서 에게 에게서 에서는 에서도 에는 에도 에게는
으로는 로는 으로서 로서 으로써 로써 으로부터 로부터 부터 까지 까지는 까지도 보다 보다는 처럼 만큼 마저
조차 이나 나 이란 란 이라 라 이라고 라고 이라는 라는 이라면 이며 며 이고 이다 다 였다 이었다 입니다
이에요 예요 이자 께서 께서는 한테 한테서 하고 이랑 랑 와의 과의 에서의 으로의 로의 와는 과는 만이 만을
들 들은 들이 들을 들의 씨 씨는 씨가
"""
_PARTICLES: Final = frozenset(_TEXT.split())

_ENDING: Final = re.compile(f"(?:{'|'.join(sorted(_PARTICLES, key=len, reverse=True))})$")
_HANGUL: Final = re.compile(r"[가-힣]")
_LEAST: Final = 2
"""Syllables that must be left. In a shorter word what looks like a particle belongs to the word more often than not."""


def is_hangul(word: str) -> bool:
    """Whether a word ends in a Hangul syllable, so that it may carry a particle."""
    return bool(word) and "가" <= word[-1] <= "힣"


def bare(word: str) -> str:
    """The word without the longest particle at its end, or as it stands.

    A guess: 제주도 loses its 도. So the word as it stands counts as well wherever names are looked for.
    """
    if not is_hangul(word):
        return word
    found = _ENDING.search(word)
    if found is None:
        return word
    stem = word[: found.start()]
    # What is Latin or a number before the particle (LG가, 2020년에) may be short.
    if not stem or (len(stem) < _LEAST and _HANGUL.match(stem[-1])):
        # A long particle left too little: 나라는 is 나라 + 는, not 나 + 라는.
        shorter = next((p for p in (found[0][i:] for i in range(1, len(found[0]))) if p in _PARTICLES), "")
        stem = word[: len(word) - len(shorter)] if shorter else word
        return stem if len(stem) >= _LEAST else word
    return stem
