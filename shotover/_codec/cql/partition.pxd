"""Tokens of partition keys: where in the ring a row is, by the partitioner of the cluster.

    murmur3       org.apache.cassandra.dht.Murmur3Partitioner, the usual one: -2**63 + 1 .. 2**63 - 1
    random        RandomPartitioner: 0 .. 2**127
    byte-ordered  ByteOrderedPartitioner: the key itself
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from shotover._core.slice cimport slice_t


cdef enum:
    PARTITIONER_UNKNOWN = 0
    PARTITIONER_MURMUR3 = 1
    PARTITIONER_RANDOM = 2
    PARTITIONER_BYTE_ORDERED = 3

cdef struct wide_t:             # a token of the random partitioner
    uint64_t high
    uint64_t low


cdef uint8_t partitioner_of(const uint8_t *name, size_t size) noexcept nogil
cdef int64_t token_murmur3(const uint8_t *key, size_t size) noexcept nogil
cdef wide_t token_random(const uint8_t *key, size_t size) noexcept nogil
cdef int token_compare_bytes(slice_t one, slice_t other) noexcept nogil
cdef size_t partition_key_size(const slice_t *parts, uint32_t count) noexcept nogil
cdef size_t partition_key_put(uint8_t *out, const slice_t *parts, uint32_t count) noexcept nogil
