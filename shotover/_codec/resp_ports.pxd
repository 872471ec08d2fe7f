"""The ports of a cluster's nodes, replaced in what servers say of it. Bytes in, bytes out; nothing is allocated."""

from libc.stdint cimport int64_t, uint8_t, uint32_t


cdef enum:                      # the form of a reply
    PORTS_SLOTS = 0             # CLUSTER SLOTS
    PORTS_NODES = 1             # CLUSTER NODES: one text, a line a node
    PORTS_LINES = 2             # CLUSTER REPLICAS, SLAVES: a list of such lines
    PORTS_SHARDS = 3            # CLUSTER SHARDS
    PORTS_ERRORS = 4            # any replies; MOVED and ASK among them name an address


cdef inline size_t ports_room(size_t size) noexcept nogil:
    """What replace_ports may write for a reply of `size` bytes: a port has five digits, the least place for one three bytes."""
    return 3 * size + 64

cdef size_t replace_ports(int form, const uint8_t *reply, size_t size, uint32_t port, uint8_t *out) noexcept nogil
