"""Partition keys that rules of a KeyRouter name: the tables whose keys it has been told, and which of them a statement is about.

The types of the columns are said by the topology (`partition_keys`), not asked of a server: each chain has servers of its own.
What a statement has of it is a *plan*, worked out once and kept with the statement's facts; the keys themselves are read from
each request. A request whose partitions cannot be told has none, and no rule on keys can be held against it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.keys cimport KEY_COLUMNS_MAX, cql_key_plan_t, cql_keys_t
from shotover._codec.cql.messages cimport cql_params_t
from shotover._codec.cql.statement cimport cql_statement_t
from shotover._codec.cql.types cimport cql_type_t
from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.slice cimport slice_t


cdef enum:
    SHAPES_MAX = 64             # tables: a bit each
    KEY_BYTES_MAX = 4096        # of a partition key that is followed
    STATEMENTS_MAX = 64         # of a batch that is one text

cdef enum:                      # key_rule_t.kind
    KEY_ANY = 0                 # no condition on the key
    KEY_IS = 1
    KEY_PREFIX = 2              # of the first column, as the next
    KEY_GLOB = 3
    KEY_SLOTS = 4

cdef struct key_rule_t:
    uint8_t  kind               # KEY_*
    uint16_t first              # of slots, both included
    uint16_t last
    uint64_t tables             # bits of the shapes that it is about
    slice_t  text               # KEY_IS: as servers put a key together; else as written

cdef struct key_shape_t:        # a table
    slice_t  keyspace
    slice_t  table
    uint32_t count
    slice_t  columns[KEY_COLUMNS_MAX]
    const cql_type_t *types[KEY_COLUMNS_MAX]

cdef struct key_planned_t:      # a statement
    uint8_t  known              # its key can be read; else it is about no table with a shape, or about any of its partitions
    uint8_t  shape
    uint16_t which              # of a batch that is one text, from 1; else 0
    uint16_t touch              # index in the facts' touches
    cql_key_plan_t plan

cdef struct key_note_t:         # with the facts of a text or a prepared statement
    uint64_t found              # generation << 32 | target, where that does not follow from keys
    uint8_t  keyed              # a table with a shape is touched: `planned` says the rest
    uint8_t  over               # there are more statements than are followed
    uint32_t count
    key_planned_t *planned
    cql_statement_t statement

cdef struct key_room_t:         # one request's
    cql_keys_t keys
    slice_t    parts[KEY_COLUMNS_MAX]
    slice_t    whole            # the key as servers put it together; size 0: not yet
    uint32_t   slot             # KEY_SLOTS and above: not yet
    uint32_t   columns
    uint8_t    bytes[KEY_BYTES_MAX]

cdef class KeyShapes:
    cdef:
        list         kept       # what slices and nodes borrow from
        key_shape_t *shapes
        cql_type_t  *nodes
        uint32_t     count
        readonly tuple names    # keyspace.table of each

    cdef slice_t _keep(self, bytes text)
    cdef int find(self, slice_t keyspace, slice_t table) noexcept nogil
    cdef chunk_t *note(self, pool_t *pool, const cql_facts_t *facts) noexcept nogil


cdef bint keys_of(
    KeyShapes shapes, const key_note_t *note, const key_planned_t *planned, const cql_facts_t *facts,
    const cql_params_t *params, key_room_t *room
) noexcept nogil
cdef bint keys_take(key_room_t *room, uint32_t index) noexcept nogil
cdef bint key_rule_holds(const key_rule_t *rule, key_room_t *room) noexcept nogil
