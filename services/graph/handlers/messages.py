"""Entities, relations and where they come from, as messages."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import grpc

from pergola.graph.v1 import entity_pb2
from services.graph.handlers.values import struct
from services.graph.model import Entity, Evidence, Relation

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def entity(one: Entity, mentions: Sequence[Evidence] = ()) -> entity_pb2.Entity:
    return entity_pb2.Entity(
        key=one.key,
        name=one.name,
        mention_count=one.mention_count,
        type=one.type,
        aliases=one.aliases,
        properties=struct(one.properties) if one.properties else None,
        manual=one.manual,
        mentions=map(mention, mentions),
    )


def relation(one: Relation, mentions: Sequence[Evidence] = ()) -> entity_pb2.Relation:
    return entity_pb2.Relation(
        source=one.source,
        target=one.target,
        type=one.type,
        properties=struct(one.properties) if one.properties else None,
        weight=one.weight,
        manual=one.manual,
        mentions=map(mention, mentions),
    )


def mention(one: Evidence) -> entity_pb2.Mention:
    return entity_pb2.Mention(document=one.document, chunk=one.chunk, text=one.text)
