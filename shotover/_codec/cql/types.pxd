"""Types of CQL as a tree, laid flat: a node, then all that is within it. The caller gives the room.

They are read from three notations: the [option] of the protocol, CQL (map<text, frozen<list<int>>>, as system_schema has it,
too), and the class names of the servers (org.apache.cassandra.db.marshal.MapType(...)), which [option] uses for what it has no
number for: a vector is TYPE_VECTOR here wherever it comes from.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from shotover._codec.cql.wire cimport wire_reader_t
from shotover._core.slice cimport slice_t


cdef enum:
    TYPE_VECTOR = 0x100         # no number of the protocol
    TYPE_NODES_MAX = 0xffff

cdef struct cql_type_t:
    uint16_t id                 # TYPE_*
    uint16_t span               # nodes of it, itself included: the next one begins there
    uint32_t count              # types right within it; of a vector how many elements it has
    slice_t  name               # of a user type, and of a class that nobody knows; borrowed from the notation
    slice_t  field              # within a user type: the field's name

cdef struct cql_types_t:
    cql_type_t *nodes           # the caller's
    uint32_t    room
    uint32_t    count


cdef bint cql_type_read(cql_types_t *types, wire_reader_t *reader) noexcept nogil
cdef bint cql_type_of_text(cql_types_t *types, const uint8_t *text, size_t size) noexcept nogil
cdef bint cql_type_of_class(cql_types_t *types, const uint8_t *text, size_t size) noexcept nogil
cdef int cql_type_fixed_size(const cql_type_t *type) noexcept nogil
