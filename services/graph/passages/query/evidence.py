"""Where in a passage's text the phrase stands that carried it: the index keeps no text."""

from services.graph.extraction.grams import is_unspaced
from services.graph.extraction.hangul import bare
from services.graph.extraction.text import fold, tokens
from services.graph.passages.passage import Span


def occurrences(text: str, phrase: str) -> list[Span]:
    """Spans of `text` whose normal form is `phrase`, first to last, none within another."""
    if not phrase:
        return []
    words = list(tokens(text))
    folded = [fold(word.text) for word in words]
    wanted = phrase.split(" ")
    size = len(wanted)
    found: list[Span] = []
    place = 0
    while place + size <= len(words):
        last = words[place + size - 1]
        if folded[place : place + size - 1] == wanted[:-1] and wanted[-1] in (
            folded[place + size - 1],
            bare(folded[place + size - 1]),
        ):
            # A particle does not belong to the name.
            end = last.end if folded[place + size - 1] == wanted[-1] else last.start + len(bare(last.text))
            found.append((words[place].start, end))
            place += size
            continue
        if size == 1 and is_unspaced(words[place].text):
            found += _inside(folded[place], phrase, words[place].start)
        place += 1
    return found


def _inside(word: str, phrase: str, start: int) -> list[Span]:
    """Occurrences within a token of a script without blanks, where folding keeps every character in its place."""
    found: list[Span] = []
    place = word.find(phrase)
    while place >= 0:
        found.append((start + place, start + place + len(phrase)))
        place = word.find(phrase, place + len(phrase))
    return found
