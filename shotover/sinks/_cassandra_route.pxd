"""What a statement is to a sink with several servers, and the partition key that it names. Pure functions.

A key is found in literals, by the types of its table's columns, and in bound values, by name or by number; where one part of
it cannot be had (a function, IN, null), there is none, and any server will do.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from shotover._codec.cql.keys cimport cql_keys_t
from shotover._codec.cql.messages cimport cql_params_t
from shotover._codec.cql.statement cimport cql_statement_t
from shotover._core.slice cimport slice_t
from shotover.sinks._cassandra_schema cimport Schema, entry_t


cdef enum:                      # aim_t.place
    PLACE_ANY = 0               # rows: by their key, if that can be found
    PLACE_HOME = 1              # schema and what the servers say of themselves: always the same server
    PLACE_TABLE = 2             # one of the tables that the proxy answers

cdef enum:
    KEY_BYTES_MAX = 2048        # of a partition key that is put together
    NAME_ROOM = 64

cdef struct aim_t:
    uint8_t place               # PLACE_*
    uint8_t table               # of PLACE_TABLE: index into VIRTUAL of cassandra_view
    bint    ordered             # a lightweight transaction: rivals should meet at the same server
    bint    idempotent          # may be carried out twice

cdef struct key_room_t:         # where a key is put together
    uint8_t    bytes[KEY_BYTES_MAX]
    cql_keys_t keys


cdef void aim_of(const uint8_t *text, const cql_statement_t *statement, slice_t keyspace, aim_t *out) noexcept nogil
cdef const entry_t *table_of(Schema schema, const uint8_t *text, const cql_statement_t *statement,
                             slice_t keyspace) noexcept nogil
cdef bint key_of_statement(const entry_t *table, const uint8_t *text, const cql_statement_t *statement,
                           const cql_params_t *params, key_room_t *room, slice_t *key) noexcept nogil
cdef bint key_of_values(const uint16_t *places, uint32_t count, slice_t values, uint32_t value_count, key_room_t *room,
                        slice_t *key) noexcept nogil
cdef bint value_at(const cql_params_t *params, uint32_t number, const slice_t *name, slice_t *value) noexcept nogil
