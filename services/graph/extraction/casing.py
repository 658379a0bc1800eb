"""How a text writes its words: with a capital where the sentence does not ask for one, or without."""

from collections.abc import Mapping

from services.graph.extraction.runs import begins_sentence, capital
from services.graph.extraction.terms import terms
from services.graph.extraction.text import fold, tokens
from services.graph.extraction.words import STOP_WORDS


def casing_of(text: str) -> Mapping[str, tuple[int, int]]:
    """Of each term inside a sentence: how often with a capital, how often without."""
    words = list(tokens(text))
    counts: dict[str, tuple[int, int]] = {}
    for place, word in enumerate(words):
        upper = capital(word)
        if not upper and not word.text[0].islower():
            continue
        if fold(word.text) in STOP_WORDS or (upper and begins_sentence(text, words, place)):
            continue
        for term in terms(word.text):
            high, low = counts.get(term, (0, 0))
            counts[term] = (high + 1, low) if upper else (high, low + 1)
    return counts
