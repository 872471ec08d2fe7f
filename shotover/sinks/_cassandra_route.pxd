"""What a statement is to a sink with several servers, and the partition key that it names. Pure functions.

    route = route_make      once for a statement and a schema: what it is, and where its key stands; a note with its facts
    key_of                  once for a request: the key of its rows, from literals and bound values, by number or by name

Where one part of a key cannot be had (a function, null), there is none, and any server will do; of several (IN) the first counts.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.keys cimport cql_key_plan_t, cql_keys_t
from shotover._codec.cql.messages cimport cql_params_t
from shotover._core.slice cimport slice_t
from shotover.sinks._cassandra_schema cimport KEYS_MAX, Schema, entry_t


cdef enum:                      # aim_t.place
    PLACE_ANY = 0               # rows: by their key, if that can be found
    PLACE_HOME = 1              # schema and what the servers say of themselves: always the same server
    PLACE_TABLE = 2             # one of the tables that the proxy answers

cdef enum:                      # route_t.key
    KEY_NONE = 0                # nobody can tell from here
    KEY_OF_VALUES = 1           # made of bound values, `values` in order
    KEY_OF_ITEMS = 2            # of literals and values, where `plan` says
    KEY_FIXED = 3               # of literals alone: `copies` have its rows

cdef enum:
    KEY_BYTES_MAX = 2048        # of a partition key that is put together

cdef struct aim_t:
    uint8_t place               # PLACE_*
    bint    ordered             # a lightweight transaction: rivals should meet at the same server
    bint    idempotent          # may be carried out twice

cdef struct route_t:
    uint64_t        generation  # of the schema that `entry` is of
    aim_t           aim
    uint8_t         key         # KEY_*
    uint8_t         value_count
    uint16_t        values[KEYS_MAX]
    const entry_t  *entry       # of its table; borrowed from the schema, as `copies`
    const uint16_t *copies      # see Placement
    cql_key_plan_t  plan

cdef struct key_room_t:         # where a key is put together
    uint8_t    bytes[KEY_BYTES_MAX]
    cql_keys_t keys


cdef void aim_of(const cql_facts_t *facts, aim_t *out) noexcept nogil
cdef void route_make(Schema schema, const cql_facts_t *facts, key_room_t *room, route_t *route) noexcept nogil
cdef bint key_of(const route_t *route, const cql_facts_t *facts, const cql_params_t *params, key_room_t *room,
                 slice_t *key) noexcept nogil
