"""What leaves the store's modules: values of Cypher as JSON, and errors without a driver's text."""

import neo4j.spatial
import neo4j.time
import pytest
from neo4j.exceptions import ConstraintError, ServiceUnavailable, TransientError

from services.graph.knowledge.said import form
from services.graph.stores import failures
from services.graph.stores.cypher_values import plan_text, to_json
from services.graph.stores.place import Place


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (2**53, 2**53),
        (2**53 + 1, {"$type": "Integer", "value": "9007199254740993"}),
        (-(2**60), {"$type": "Integer", "value": str(-(2**60))}),
        (True, True),
        (float("nan"), {"$type": "Float", "value": "NaN"}),
        (float("-inf"), {"$type": "Float", "value": "-Infinity"}),
        (b"\x00\xff", {"$type": "Bytes", "value": "AP8="}),
        ({"a": [1, {"$type": "x"}]}, {"a": [1, {"$type": "Map", "value": {"$type": "x"}}]}),
        (neo4j.time.Date(2020, 2, 29), {"$type": "Date", "value": "2020-02-29"}),
        (neo4j.time.Duration(days=1, hours=2), {"$type": "Duration", "value": "P1DT2H"}),
        (neo4j.time.Time(10, 0, 0), {"$type": "Time", "value": "10:00:00.000000000"}),
        (neo4j.spatial.WGS84Point((1.0, 2.0)), {"$type": "Point", "srid": 4326, "coordinates": [1.0, 2.0]}),
    ],
)
def test_what_json_lacks_gets_a_type(value: object, json: object) -> None:
    assert to_json(value) == json


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (
            "Syntax error at line 1:9 - no viable alternative\nsecond line",
            "Syntax error at line 1:9 - no viable alternative",
        ),
        ("The request failed. Check the server log for the details", ""),
        ("com.arcadedb.exception.CommandParsingException: bad", "bad"),
        ("Cannot open '/var/lib/graph/databases/x'", "Cannot open '…'"),
        ("no route to 10.0.0.7:7687", "no route to …"),
        ("too many elements allowed by the setting `arcadedb.queryMaxRangeSize`: lower it", "too many elements"),
        ("", ""),
    ],
)
def test_remarks_are_cleaned(said: str, left: str) -> None:
    assert failures.clean(said) == left
    assert len(failures.clean(said * 100)) <= 300


def test_conflicts_are_told_from_lost_connections() -> None:
    assert failures.meets_another(ConstraintError())
    assert failures.meets_another(TransientError())
    assert failures.lost_connection(ServiceUnavailable())
    assert failures.lost_connection(ConnectionResetError())
    assert not failures.lost_connection(ConstraintError())


def test_no_id_is_the_beginning_of_another_graphs_contents() -> None:
    place = Place("db", "tenant/")
    assert place.inside("docs", "a") == "tenant/docs/a"
    assert not place.inside("docs-2", "a").startswith(place.inside("docs"))


def test_writings_of_a_name_are_ordered_whatever_came_first() -> None:
    writings = ["ada lovelace", "ADA LOVELACE", "Ada Lovelace", "Ada LOVELACE"]
    assert min(map(form, writings))[1:] == "Ada LOVELACE"
    assert sorted(writings, key=form)[-1] == "ada lovelace"
    assert form("東京")[1:] == "東京"


def test_a_plan_is_the_stores_own_text_or_its_operators_inner_ones_indented() -> None:
    scan = {"operatorType": "NodeByLabelScan", "args": {"Details": "e:Entity"}, "children": []}
    tree = {"operatorType": "ProduceResults", "args": {}, "children": [scan]}
    assert plan_text(tree) == "+ ProduceResults\n  + NodeByLabelScan e:Entity"
    assert plan_text({**tree, "args": {"string-representation": "the plan\n"}}) == "the plan"
    assert plan_text(None) == ""
