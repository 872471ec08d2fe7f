"""Schema: where the rows of each table are, as the cluster was last told to be. Made once, replaced as a whole.

Names are as the servers have them: in lower case unless they were quoted. Tables that nobody has told of are not there; a
keyspace that says nothing of its copies has no placement.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.ring cimport Placement, Ring
from shotover._codec.cql.types cimport cql_type_t
from shotover._core.slice cimport slice_t


cdef enum:
    KEYS_MAX = 16               # columns of a partition key that are known one by one; at most those of _codec/cql/keys
    KEY_NODES_MAX = 16          # nodes of the type of one

cdef struct entry_t:            # of a keyspace, or of a table
    uint64_t      hash
    slice_t       keyspace
    slice_t       table         # of a keyspace: empty
    void         *placement     # PyObject* of the Placement, or NULL
    uint32_t      key_count     # 0: not known
    slice_t      *columns       # of the partition key, in order
    const cql_type_t **types    # ... and their types; one that is not known is a custom one
    cql_type_t   *nodes         # of those

cdef class Schema:
    cdef:
        readonly Ring ring
        entry_t *entries        # open addressing: a place whose keyspace.data is NULL is free
        uint32_t room           # a power of two
        uint32_t count
        list     kept

    cdef entry_t *_add(self, bytes keyspace, bytes table) except NULL
    cdef int _add_keys(self, entry_t *entry, columns) except -1
    cdef const entry_t *find(self, const uint8_t *keyspace, size_t keyspace_size, const uint8_t *table,
                             size_t table_size) noexcept nogil
