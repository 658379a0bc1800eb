"""What is taken for a conversation, where its turns are, and what looks like one and is none."""

import json
from typing import Final

import pytest

from services.vector.parsing.model import Limits, Parsed
from services.vector.parsing.parse import parse_file, parse_markdown
from services.vector.text.turns import recognise
from services.vector.text.turns.model import alternate

_SPOKEN: Final = [
    ("Ada", "Where do we meet on Friday?"),
    ("Grace", "At the mill, as last year."),
    ("Ada", "Good. And when?"),
    ("Grace", "At noon, I think."),
    ("Ada", "I'll bring the maps."),
]


def _read(name: str, text: str) -> tuple[str, Parsed]:
    parsed = parse_file(text.encode(), name, None, Limits())
    return parsed.text, parsed


def _turns(text: str, parsed: Parsed | None = None) -> list[tuple[str, str]]:
    """Speaker and text of each turn; together they are the whole text."""
    found = recognise.turns(text, parsed)
    kept = "".join(text[one.start : one.end] for one in found)
    assert not found or list(filter(str.isalnum, kept)) == list(filter(str.isalnum, text))
    assert all(one.start <= one.at < one.end for one in found)
    return [(one.speaker, text[one.start : one.end]) for one in found]


_WRITINGS: Final = {
    "transcript": "{name}: {said}",
    "with a line between": "{name}: {said}\n",
    "name above": "{name}:\n{said}\n",
    "time in brackets": "[10:2{n}] {name}: {said}",
    "time": "10:2{n} {name}: {said}",
    "seconds": "00:01:0{n} {name}: {said}",
    "phone": "[31.12.23, 21:15:0{n}] {name}: {said}",
    "phone with a dash": "12/31/23, 9:1{n} PM - {name}: {said}",
    "Korean phone": "[{name}] [오후 3:0{n}] {said}",
    "Korean export": "2024년 1월 5일 오후 3:0{n}, {name} : {said}",
    "IRC": "<{name}> {said}",
    "IRC with times": "[10:2{n}] <{name}> {said}",
    "bold": "**{name}:** {said}\n",
    "bold with the colon behind": "**{name}**: {said}\n",
    "work chat": "{name}  10:2{n} AM\n{said}\n",
    "game chat": "{name} — Today at 10:2{n} PM\n{said}\n",
    "exported chat": "{name}, [31.12.2023 21:1{n}]\n{said}\n",
    "time, then name": "[10:2{n} AM] {name}\n{said}\n",
    "subtitles": "00:00:0{n}.000 --> 00:00:0{n}.900\n<v {name}>{said}\n",
}


@pytest.mark.parametrize("writing", _WRITINGS.values(), ids=_WRITINGS)
def test_every_way_of_writing_a_conversation_is_cut_turn_by_turn(writing: str) -> None:
    lines = [writing.format(name=name, said=said, n=n) for n, (name, said) in enumerate(_SPOKEN)]
    found = _turns("\n".join(lines))
    assert found == [(name.casefold(), line.strip()) for (name, _), line in zip(_SPOKEN, lines, strict=True)]


@pytest.mark.parametrize(
    ("ada", "grace"),
    [("Dr. Ada King", "Grace B. Hopper"), ("Speaker 1", "Speaker 2"), ("USER", "ASSISTANT"), ("user", "assistant"),
     ("김철수", "박영희"), ("Ada von Byron", "Jean-Luc"), ("Q", "A")],
)  # fmt: skip
def test_names_of_any_kind_speak(ada: str, grace: str) -> None:
    names = {"Ada": ada, "Grace": grace}
    text = "\n".join(f"{names[name]}: {said}" for name, said in _SPOKEN)
    assert [speaker for speaker, _ in _turns(text)] == [names[name].casefold() for name, _ in _SPOKEN]


def test_a_name_in_small_letters_speaks_where_only_a_name_can_stand() -> None:
    phone = "\n".join(f"31.12.23, 21:15 - {name.lower()}: {said}" for name, said in _SPOKEN)
    assert [speaker for speaker, _ in _turns(phone)] == ["ada", "grace", "ada", "grace", "ada"]
    assert _turns("\n".join(f"{name.lower()}: {said}" for name, said in _SPOKEN)) == []


def test_a_turn_may_have_many_lines_and_what_stands_before_the_first_is_kept() -> None:
    text = (
        "Minutes of the meeting\n\nAda: We need:\n- maps\n- rope\n\nGrace: I have both.\nWill they do?\n\n"
        "Ada: Surely.\n\nGrace: Then off we go.\n"
    )
    assert _turns(text) == [
        ("", "Minutes of the meeting"),
        ("ada", "Ada: We need:\n- maps\n- rope"),
        ("grace", "Grace: I have both.\nWill they do?"),
        ("ada", "Ada: Surely."),
        ("grace", "Grace: Then off we go."),
    ]


def test_a_day_and_a_heading_lead_the_turns_below_them() -> None:
    text = "\n".join(
        ["--- 5 January 2024 ---", "Ada: Is it cold?", "Grace: Very.", "## Later", "6/1/2024", "Ada: And now?",
         "Grace: Less so, at noon."]
    )  # fmt: skip
    found = recognise.turns(text)
    assert [text[one.start : one.end] for one in found] == [
        "--- 5 January 2024 ---\nAda: Is it cold?",
        "Grace: Very.",
        "## Later\n6/1/2024\nAda: And now?",
        "Grace: Less so, at noon.",
    ]
    assert [one.date for one in found] == ["5 January 2024", "5 January 2024", "6/1/2024", "6/1/2024"]


def test_turns_stand_under_their_headings_and_code_begins_none() -> None:
    text = (
        "# Monday\n\n**Ada:** Try this:\n\n```yaml\nGrace: one\nAda: two\n```\n\n**Grace:** It works.\n\n"
        "# Tuesday\n\n**Ada:** Still?\n\n**Grace:** Still.\n"
    )
    parsed = parse_markdown(text, Limits())
    found = recognise.turns(text, parsed)
    assert [one.speaker for one in found] == ["ada", "grace", "ada", "grace"]
    sections = list(recognise.sections(text, found, parsed))
    assert [one.path for one in sections] == [("Monday",), ("Monday",), ("Tuesday",), ("Tuesday",)]
    assert text[sections[2].spans[0][0] :].startswith("# Tuesday")


_MESSAGES: Final = {
    "roles": [
        {"role": role, "content": said} for role, (_, said) in zip(["user", "assistant"] * 2, _SPOKEN, strict=False)
    ],
    "parts": [
        {"role": role, "content": [{"type": "text", "text": said}]}
        for role, (_, said) in zip(["user", "assistant"] * 2, _SPOKEN, strict=False)
    ],
    "people": [{"speaker": name, "text": said} for name, said in _SPOKEN],
    "objects": [
        {"id": n, "author": {"id": "7", "name": name}, "content": said} for n, (name, said) in enumerate(_SPOKEN)
    ],
    "times": [{"ts": "1704447780.1", "user": f"U{name}", "text": said} for name, said in _SPOKEN],
}


@pytest.mark.parametrize("messages", _MESSAGES.values(), ids=_MESSAGES)
def test_messages_in_json_are_turns_as_text_and_as_a_file(messages: list[dict[str, object]]) -> None:
    one_a_line = "\n".join(json.dumps(one) for one in messages)
    said = [str(said) for _, said in _SPOKEN][: len(messages)]
    for text in (one_a_line, json.dumps(messages, indent=1), json.dumps({"title": "Trip", "messages": messages})):
        spoken = [turn for speaker, turn in _turns(text) if speaker]
        assert [part in turn for part, turn in zip(said, spoken, strict=True)] == [True] * len(said)
        shown, parsed = _read("chat.json", text)
        spoken = [turn for speaker, turn in _turns(shown, parsed) if speaker]
        assert [part in turn for part, turn in zip(said, spoken, strict=True)] == [True] * len(said)


def test_messages_of_e_mail_below_each_other_are_turns() -> None:
    outlook = (
        "At noon then.\n\n-----Original Message-----\nFrom: Ada <ada@example.org>\nSent: Monday\nTo: Grace\n"
        "Subject: Mill\n\nWhen do we meet?\n\nFrom: Grace\nDate: Sunday\nSubject: Mill\n\nLet us meet at the mill.\n"
    )
    assert [speaker for speaker, _ in _turns(outlook)] == ["", "ada <ada@example.org>", "grace"]
    quoted = (
        "At noon.\n\nOn Mon, Jan 5, 2026 at 10:23 AM Ada <ada@example.org> wrote:\n> When?\n>\n"
        "> On Sun, 4 Jan 2026, Grace wrote:\n>> Let us meet at the mill.\n"
    )
    assert [text.splitlines()[0] for _, text in _turns(quoted)] == [
        "At noon.",
        "On Mon, Jan 5, 2026 at 10:23 AM Ada <ada@example.org> wrote:",
        "> On Sun, 4 Jan 2026, Grace wrote:",
    ]


_TOOLS: Final = ["Axe", "Bow", "Cart", "Drum", "Axle", "Bolt"]
_OTHERS: Final = {
    "nothing": " \n",
    "prose": "The mill stands by the river. It was built in 1820: by whom, nobody knows.\n\nNote: it is closed.\n" * 5,
    "prose that quotes": "He asked where it was. \"At the mill: behind it,\" she said.\nHe went there at 10:30.\n" * 5,
    "definitions": "".join(f"**Term {n}**: What it means is said here.\n\n" for n in range(20)),
    "a list of definitions": "".join(f"- **{name}**: It is used for work.\n" for name in _TOOLS),
    "a glossary": "".join(f"{name}: A tool that is used for work.\n" for name in _TOOLS),
    "terms and definitions": "Term: Axe\nDefinition: A tool for wood.\n" * 6,
    "records": "Brand: Lux\nModel: 4\nBrand: Nox\nModel: 5\nBrand: Lux\nModel: 6\n",
    "records of sentences": "City: It lies in the north.\nRiver: It runs through it.\nHill: It has none at all.\n" * 5,
    "records with an optional field": (
        "City: It lies in the north.\nRiver: It runs through it.\nHill: It has one.\n"
        "City: It lies in the south.\nHill: It has none.\nCity: It lies west.\nRiver: None.\nHill: Not one.\n"
    ),
    "choices": "A: The first one.\nB: The second one.\nC: The third one.\nD: None of them.\n\nWhich is it?\n\n" * 4,
    "opening hours": "Monday: From nine to noon.\nTuesday: Closed.\nWednesday: From two to five.\n" * 4,
    "a changelog": "Added: a way to sort.\nFixed: a crash on empty input.\nAdded: a table.\nFixed: a typo.\n" * 3,
    "a log": "[2024-01-05 10:00:00] INFO: Started.\n[2024-01-05 10:00:01] ERROR: No file.\n" * 10,
    "a log of programs": "2024-01-05 10:00:00 nginx: started worker\n2024-01-05 10:00:01 cron: ran the job\n" * 10,
    "settings": "name: one\nvalue: two words\nname: three\nvalue: four words\n" * 5,
    "YAML": "Steps:\n  - Run: make it so\n  - Run: make it again\nOther:\n  - Run: now\n" * 4,
    "Python": "class Ada:\n    def f(self):\n        try:\n            x: int = 1\n        finally: f()\n" * 5,
    "C": "switch (x) {\ncase 1: return y;\ndefault: break;\n}\npublic:\n  int a;\nprivate:\n  int b;\n" * 5,
    "HTML": "<p> The mill stands by the river.\n<li> It is old.\n<p> It is closed.\n<li> <b>Note</b>\n" * 5,
    "a program": "10:30 Coffee in the hall\n11:00 Talk: Mills of the north\n12:00 Lunch\n13:30 Talk: Rivers\n" * 3,
    "an address": "From: Ada\nTo: Grace\n\nThe maps.\n",
    "someone who speaks alone": "Ada: One thing.\nAda: Another thing.\nAda: A third thing.\nAda: That was it.\n",
    "books": "\n".join(json.dumps({"author": f"A{n}", "title": "T", "text": "Long text."}) for n in range(9)),
    "numbers": json.dumps([{"name": "x", "value": n} for n in range(9)]),
    "broken JSON": '[{"role": "user", "content": "hi"}, {"role": "assist',
}  # fmt: skip


@pytest.mark.parametrize("text", _OTHERS.values(), ids=_OTHERS)
def test_what_is_no_conversation_is_not_taken_for_one(text: str) -> None:
    assert recognise.turns(text) == []
    assert recognise.turns(text, parse_markdown(text, Limits()) if text.strip() else None) == []


def test_records_in_json_are_no_conversation() -> None:
    for records in ([{"author": f"A{n}", "text": "Long text."} for n in range(9)], [{"a": {"b": n}} for n in range(9)]):
        text, parsed = _read("data.json", json.dumps(records))
        assert recognise.turns(text, parsed) == []


def test_who_takes_turns() -> None:
    assert alternate(["a", "b"] * 2)
    assert alternate(["a", "b", "c", "a", "c", "b", "c", "a"])
    # A host, whom each guest answers.
    assert alternate(["h", "a", "h", "b"] * 5)
    assert not alternate(["a", "b", "a"])
    assert not alternate(["a", "b", "c", "d", "a", "b"])
    assert not alternate(["a"] * 20 + ["b"] * 2)
    assert not alternate(["a", "b", "c"] * 4)


def test_a_text_made_to_take_for_ever_is_read_in_its_length() -> None:
    for part in ("a" * 200_000, "A: " * 70_000, "-" * 200_000, "From: " * 40_000, "[" * 200_000, "> " * 100_000,
                 "\n" * 200_000, "A:\n" * 70_000, "On 1 " * 50_000, "{" * 200_000, '"a":[{' * 40_000,
                 "From: a\nB: c\n" * 20_000, "1." * 100_000):  # fmt: skip
        recognise.turns(part)
        recognise.turns("{" + part)
