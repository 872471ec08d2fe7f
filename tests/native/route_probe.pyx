"""See route_probe.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from shotover._codec.cql.messages cimport cql_query_read, cql_query_t
from shotover._codec.cql.ring cimport NO_SERVER, Placement
from shotover._codec.cql.statement cimport STATEMENT_UNKNOWN, cql_item_t, cql_parse, cql_statement_t
from shotover._core.slice cimport slice_t
from shotover.sinks._cassandra_route cimport PLACE_ANY, aim_of, aim_t, key_of_statement, key_room_t, table_of
from shotover.sinks._cassandra_schema cimport Schema, entry_t

cdef enum:
    ITEMS = 256

cdef struct found_t:
    aim_t         aim
    slice_t       key           # data NULL: none
    const entry_t *entry


cdef void _find(Schema schema, const uint8_t *body, size_t size, slice_t keyspace, cql_item_t *items, key_room_t *room,
                found_t *found) noexcept nogil:
    cdef:
        cql_query_t     query
        cql_statement_t statement
    memset(found, 0, sizeof(found_t))
    if not cql_query_read(body, size, 4, &query):
        return
    statement.item = items
    statement.item_room = ITEMS
    cql_parse(query.text.data, query.text.size, &statement)
    aim_of(query.text.data, &statement, keyspace, &found.aim)
    if found.aim.place != PLACE_ANY or statement.type == STATEMENT_UNKNOWN or statement.truncated:
        return
    found.entry = table_of(schema, query.text.data, &statement, keyspace)
    if found.entry is NULL or found.entry.key_count == 0 or \
            not key_of_statement(found.entry, query.text.data, &statement, &query.params, room, &found.key):
        found.key.data = NULL


def look(Schema schema, bytes body not None, bytes keyspace not None):
    """(place, ordered, idempotent, key or None, servers or None) of the body of a QUERY of version 4."""
    cdef:
        found_t     found
        cql_item_t *items = <cql_item_t *>malloc(ITEMS * sizeof(cql_item_t))
        key_room_t *room = <key_room_t *>malloc(sizeof(key_room_t))
        slice_t     session
        uint32_t    place = 0
        size_t      size = len(body)
        const uint8_t *at = <const uint8_t *><char *>body
    if items is NULL or room is NULL:
        raise MemoryError()
    session.data = <uint8_t *><char *>keyspace
    session.size = len(keyspace)
    with nogil:
        _find(schema, at, size, session, items, room, &found)
        if found.key.data is not NULL and found.entry.placement is not NULL:
            place = schema.ring.place_of(found.key.data, found.key.size)
    key = None if found.key.data is NULL else found.key.data[:found.key.size]
    servers = None
    if key is not None and found.entry.placement is not NULL:
        placement = <Placement>found.entry.placement
        servers = [number for number in placement.copies_at(place)[:placement.width] if number != NO_SERVER]
    free(items)
    free(room)
    return found.aim.place, bool(found.aim.ordered), bool(found.aim.idempotent), key, servers


def look_often(Schema schema, bytes body not None, uint32_t rounds):
    """How often, of so many times, servers were found."""
    cdef:
        found_t     found
        cql_item_t  items[ITEMS]
        key_room_t  room
        slice_t     session
        uint32_t    _
        uint32_t    count = 0
        size_t      size = len(body)
        const uint8_t *at = <const uint8_t *><char *>body
    session.data = NULL
    session.size = 0
    with nogil:
        for _ in range(rounds):
            _find(schema, at, size, session, items, &room, &found)
            if found.key.data is not NULL:
                count += (<Placement>found.entry.placement).copies_at(
                    schema.ring.place_of(found.key.data, found.key.size))[0] != NO_SERVER
    return count
