"""A small graph by hand: mathematicians, their works, and a passage or two."""

from services.graph.extraction.names import names_of
from services.graph.extraction.sentences import sentences_of
from services.graph.model import Cursor, Evidence, NewEntity, NewRelation, Passage
from services.graph.store import GraphStore

GRAPH = "known"


async def fill(store: GraphStore, tenant: str, graph: str = GRAPH) -> None:
    """Ada knows Charles (twice over), Charles built the engine, and so on; two passages mention Ada and Charles."""
    claim = await store.claim(tenant, graph, "me", 30)
    assert claim is not None
    await store.begin(claim, Cursor("i", 0), 30)
    passages = [
        _passage("p0", "Ada Lovelace met Charles Babbage in London. Later Ada Lovelace wrote.", 0),
        _passage("p1", "Again, it was Ada Lovelace who praised Charles Babbage.", 1),
    ]
    await store.apply(claim, Cursor("i", 0), Cursor("i", 1), passages, [], 30)
    entities = [
        NewEntity("ada lovelace", "Ada Lovelace", "person", ["The Enchantress", "Ada King"], {"born": 1815}),
        NewEntity("charles babbage", "Charles Babbage", "person", properties={"born": 1791, "tags": ["a", "b"]}),
        NewEntity("engine", "The Analytical Engine", "machine", properties={"built": False}),
        NewEntity("m-1", "Łódź Mill", "machine"),
        NewEntity("alone", "Alone"),
    ]
    assert not (await store.upsert_entities(tenant, graph, entities)).refused
    relations = [
        NewRelation("ada lovelace", "charles babbage", "knows", 3.0, {"since": 1833}, [Evidence("d", 0, "met")]),
        NewRelation("ada lovelace", "charles babbage", "wrote_to", 1.5),
        NewRelation("charles babbage", "engine", "designed", 5.0),
        NewRelation("ada lovelace", "engine", "described", 4.0),
        NewRelation("engine", "m-1", "inspired_by", 0.5),
        NewRelation("engine", "engine", "part_of", 1.0),
    ]
    assert not (await store.upsert_relations(tenant, graph, relations)).refused


def _passage(point: str, text: str, index: int) -> Passage:
    return Passage(point, "d", "", index, names_of(text, ""), tuple(sentences_of(text)), text)
