"""cql_facts_t: what a statement of CQL is, as far as its text and the server's answer to PREPARE tell.

Made once for a text or a prepared statement and kept in the library, or for a BATCH with each. Names are as the servers keep
them. Whoever has `request_t.facts` (borrowed as long as the request lives) finds them by cql_facts; what a request says beyond
its statement (values, consistency ...) is read from its frame by the functions in reading.pxd.

    of a text       text, and all that cql_parse says; of its items those that a partition key may stand in
    prepared        the same (its one part is the facts of its text), and the metadata of its values and rows
    of a BATCH      no text; its parts are the facts of its statements, in order
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.results cimport cql_metadata_t
from shotover._codec.cql.statement cimport cql_item_t, cql_statement_t
from shotover._core.facts cimport facts_t
from shotover._core.memory cimport chunk_data, chunk_t, pool_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t


cdef enum:
    TOUCHES_MAX = 32            # different ones that are listed of a batch

cdef struct cql_touch_t:        # statements of one type on one table
    slice_t  keyspace           # size 0: none, or nobody knows in which
    slice_t  table              # size 0: none
    uint32_t count
    uint8_t  type               # STATEMENT_*
    uint8_t  object             # OBJECT_*

cdef struct cql_facts_t:
    facts_t      head           # first
    uint64_t     hash           # of text and client_keyspace
    uint8_t      kind           # KIND_* of _codec/commands.pxd; of a batch the strictest
    uint8_t      type           # STATEMENT_*
    uint8_t      object         # OBJECT_*
    uint8_t      version        # prepared: of the protocol in which the metadata were told
    bint         more           # of a batch: it touches more than `touches` tells
    uint32_t     flags          # HAS_*, NOT_IDEMPOTENT; of a batch those of all its statements
    uint32_t     bind_count     # marks in the text
    slice_t      text           # data NULL: of a BATCH
    slice_t      keyspace       # as cql_touch_t; of a batch: if all agree
    slice_t      table
    slice_t      other          # name of a type, function, index, role ...
    slice_t      client_keyspace    # the one that the client was in, which unqualified names were taken to be in
    cql_touch_t *touches        # at least one
    uint32_t     touch_count
    cql_item_t  *items          # see facts_statement
    uint32_t     item_count
    bint         items_missing  # there were more than anybody looks at
    slice_t      sent           # prepared: the text as it went to the server; a step may have changed it on its way
    slice_t      id             # prepared; data NULL: it is not
    cql_metadata_t bound        # prepared: of its values; `keys` (v4 on) says which make the partition key
    cql_metadata_t metadata     # prepared: of its rows


cdef chunk_t *facts_of_text(
    pool_t *pool, const uint8_t *text, size_t size, slice_t client_keyspace, uint64_t hash
) noexcept nogil
cdef chunk_t *facts_of_prepared(
    pool_t *pool, chunk_t *text_facts, const uint8_t *body, size_t size, int version, slice_t sent
) noexcept nogil
cdef chunk_t *facts_of_batch(pool_t *pool, uint32_t statement_count) noexcept nogil
cdef void facts_add(cql_facts_t *batch, chunk_t *part) noexcept nogil
cdef void facts_settle(cql_facts_t *batch) noexcept nogil
cdef bint facts_statement(const cql_facts_t *facts, cql_statement_t *said) noexcept nogil


cdef inline const cql_facts_t *cql_facts(const request_t *request) noexcept nogil:
    """What is known of its statement; NULL: it has none, or nobody asked for facts. A PREPARE has those of what it prepares."""
    return NULL if request.facts is NULL else <const cql_facts_t *>chunk_data(request.facts)

cdef inline const cql_facts_t *cql_facts_in(chunk_t *chunk) noexcept nogil:
    return <const cql_facts_t *>chunk_data(chunk)
