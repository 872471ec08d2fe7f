"""See route_probe.pxd."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from shotover._codec.cql.facts cimport cql_facts_in, facts_of_prepared, facts_of_text
from shotover._codec.cql.messages cimport cql_execute_read, cql_execute_t, cql_params_t, cql_query_read, cql_query_t
from shotover._codec.cql.ring cimport NO_SERVER, Placement
from shotover._core.facts cimport facts_put
from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.slice cimport slice_t
from shotover._net.loop cimport Loop
from shotover.sinks._cassandra_route cimport KEY_FIXED, KEY_NONE, key_of, key_room_t, route_make, route_t
from shotover.sinks._cassandra_schema cimport Schema

cdef struct found_t:
    route_t  route
    slice_t  key                # data NULL: none
    const uint16_t *copies


cdef void _find(Schema schema, chunk_t *facts, const cql_params_t *params, key_room_t *room, found_t *found) noexcept nogil:
    memset(found, 0, sizeof(found_t))
    route_make(schema, cql_facts_in(facts), room, &found.route)
    if found.route.key == KEY_NONE:
        return
    if found.route.key == KEY_FIXED:
        found.copies = found.route.copies
        found.key.data = room.bytes
    elif key_of(&found.route, cql_facts_in(facts), params, room, &found.key):
        found.copies = (<Placement>found.route.entry.placement).copies_at(schema.ring.place_of(found.key.data, found.key.size))


cdef object _told(const found_t *found):
    """(place, ordered, idempotent, key or None, servers or None); a key of literals alone is told as True."""
    key = servers = None
    if found.key.data is not NULL:
        key = True if found.route.key == KEY_FIXED else found.key.data[:found.key.size]
        width = (<Placement>found.route.entry.placement).width
        servers = [number for number in found.copies[:width] if number != NO_SERVER]
    return found.route.aim.place, bool(found.route.aim.ordered), bool(found.route.aim.idempotent), key, servers


cdef slice_t _slice(bytes text):
    cdef slice_t slice
    slice.data = <uint8_t *><char *>text
    slice.size = len(text)
    return slice


def look(Schema schema, bytes body not None, bytes keyspace not None):
    """Of the body of a QUERY of version 4; None: it cannot be read."""
    cdef:
        found_t     found
        cql_query_t query
        key_room_t *room
        Loop        loop = Loop(1 << 30)
        chunk_t    *facts
    if not cql_query_read(<uint8_t *><char *>body, len(body), 4, &query):
        return None
    room = <key_room_t *>malloc(sizeof(key_room_t))
    facts = facts_of_text(&loop.pool, query.text.data, query.text.size, _slice(keyspace), 1)
    if room is NULL or facts is NULL:
        raise MemoryError()
    _find(schema, facts, &query.params, room, &found)
    told = _told(&found)
    facts_put(&loop.pool, facts)
    free(room)
    return told


def look_prepared(Schema schema, bytes text not None, bytes reply not None, bytes body not None, int version):
    """Of an EXECUTE of a text that was prepared with this body of a reply."""
    cdef:
        found_t       found
        cql_execute_t execute
        key_room_t   *room = <key_room_t *>malloc(sizeof(key_room_t))
        Loop          loop = Loop(1 << 30)
        chunk_t      *of_text
        chunk_t      *facts
    of_text = facts_of_text(&loop.pool, <uint8_t *><char *>text, len(text), _slice(b""), 1)
    facts = facts_of_prepared(&loop.pool, of_text, <uint8_t *><char *>reply, len(reply), version, _slice(b""))
    if room is NULL or facts is NULL or not cql_execute_read(<uint8_t *><char *>body, len(body), version, &execute):
        raise ValueError("no such reply, or no such request")
    _find(schema, facts, &execute.params, room, &found)
    told = _told(&found)
    facts_put(&loop.pool, facts)
    facts_put(&loop.pool, of_text)
    free(room)
    return told


cdef uint32_t _often(Schema schema, pool_t *pool, slice_t body, key_room_t *room, uint32_t rounds) noexcept nogil:
    cdef:
        found_t     found
        cql_query_t query
        slice_t     nowhere
        chunk_t    *facts
        uint32_t    _
        uint32_t    count = 0
    nowhere.data = NULL
    nowhere.size = 0
    for _ in range(rounds):
        if not cql_query_read(body.data, body.size, 4, &query):
            break
        facts = facts_of_text(pool, query.text.data, query.text.size, nowhere, 1)
        if facts is NULL:
            break
        _find(schema, facts, &query.params, room, &found)
        count += found.copies is not NULL and found.copies[0] != NO_SERVER
        facts_put(pool, facts)
    return count


def look_often(Schema schema, bytes body not None, uint32_t rounds):
    """How often, of so many times, servers were found of a text that was never seen before."""
    cdef:
        key_room_t room
        uint32_t   count
        Loop       loop = Loop(1 << 30)
        slice_t    wire = _slice(body)
    with nogil:
        count = _often(schema, &loop.pool, wire, &room, rounds)
    return count
