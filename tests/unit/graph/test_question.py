"""The names in a question."""

from services.graph.retrieval.question import Question


def test_the_longest_known_phrases_are_its_names() -> None:
    question = Question("Who is the mother of Ada Lovelace of London?")
    known = {"ada", "ada lovelace", "lovelace", "london", "mother", "mother of ada lovelace"}
    assert question.names(known) == ["mother of ada lovelace", "london"]
    assert question.names(known - {"mother of ada lovelace"}) == ["ada lovelace", "london"]


def test_one_word_needs_a_capital_and_two_do_not() -> None:
    assert Question("when did ada lovelace visit london").names({"ada lovelace", "london"}) == ["ada lovelace"]
    assert Question("when did she visit London").names({"london"}) == ["london"]
    assert Question("東京 はどこですか").names({"東京"}) == ["東京"]


def test_stop_words_are_no_names_and_no_terms() -> None:
    question = Question("The Who played In London")
    assert "the" not in question.phrases()
    assert "the who" in question.phrases()
    assert question.terms == {"played", "london"}


def test_a_very_long_question_is_looked_at_in_part() -> None:
    assert len(Question("Word " * 5000).phrases()) == 8
    assert len(Question(" ".join(f"W{n}" for n in range(5000))).phrases()) < 256 * 8
