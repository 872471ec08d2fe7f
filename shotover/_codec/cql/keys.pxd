"""Which partitions a statement reads or writes, as far as that can be told from its text and its values.

    plan = cql_key_plan     once a statement: which of its items gives each column of the partition key
    cql_keys_read           once a request: the values, from literals and bound values
    cql_keys_at             one of the keys; there are several where a column is compared by IN

What only the server can tell (a function, a column that is not named, a null) makes the answer "no", never a guess.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from shotover._codec.cql.messages cimport cql_params_t
from shotover._codec.cql.statement cimport cql_statement_t
from shotover._codec.cql.types cimport cql_type_t
from shotover._core.slice cimport slice_t


cdef enum:
    KEY_COLUMNS_MAX = 32        # of a partition key that is followed
    KEY_VALUES_MAX = 128        # of all columns of it together
    KEYS_MAX = 256              # partitions of one statement
    KEY_ROOM = 4096             # bytes that its literals may take as values

cdef struct cql_key_plan_t:
    uint32_t count              # columns
    uint32_t item[KEY_COLUMNS_MAX]

cdef struct cql_keys_t:
    uint32_t count              # keys
    uint32_t columns
    uint32_t used               # of values
    size_t   room_used
    uint16_t first[KEY_COLUMNS_MAX]     # of its values
    uint16_t many[KEY_COLUMNS_MAX]
    slice_t  values[KEY_VALUES_MAX]     # borrowed from the request, or from `room`
    uint8_t  room[KEY_ROOM]


cdef bint cql_key_plan(
    const cql_statement_t *statement, const uint8_t *text, uint16_t which, const slice_t *columns, uint32_t count,
    cql_key_plan_t *plan
) noexcept nogil
cdef bint cql_keys_read(
    const cql_key_plan_t *plan, const cql_statement_t *statement, const uint8_t *text, const cql_params_t *params,
    const cql_type_t **types, cql_keys_t *keys
) noexcept nogil
cdef void cql_keys_at(const cql_keys_t *keys, uint32_t index, slice_t *parts) noexcept nogil
