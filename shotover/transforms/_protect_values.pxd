"""ProtectValues: the protected columns, what they are sealed by, and rows as JSON with what is sealed in them."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from shotover._codec.cql.types cimport cql_type_t
from shotover._core.memory cimport chunk_t
from shotover._core.slice cimport slice_t
from shotover._proxy.step cimport Step
from shotover.transforms._protect_keys cimport DataKeys
from shotover.transforms._protect_lookup cimport LookupHash
from shotover.transforms._protect_plan cimport protected_column_t, protected_t


cdef struct copier_t:           # writes a frame anew
    const uint8_t *at           # up to here the old one has been copied
    const uint8_t *end
    uint8_t       *out
    chunk_t       *chunk        # of a request: where it is written,
    size_t         growth       # and by how many bytes it grows at most, but for JSON

cdef class ProtectValues(Step):
    cdef:
        DataKeys    data_keys
        LookupHash  lookup          # None: no column has one
        protected_t all
        list        kept            # bytes that `all` borrows
        cql_type_t *nodes
        uint32_t    type_room       # bytes that the name and type of a column take at most, as clients see them
        const char *why             # what is being written cannot be
        uint64_t    sealed

    cdef slice_t _keep(self, bytes raw)
    cdef int _open_cell(self, const protected_column_t *column, slice_t cell, uint8_t *out, size_t *size) noexcept nogil
    cdef bint _is_lookup(self, const protected_column_t *table, slice_t name) noexcept nogil
    cdef bint _seal_json(self, const protected_column_t *table, slice_t json, chunk_t **out, size_t *size) noexcept nogil
    cdef bint _seal_member(self, copier_t *to, const protected_column_t *column, slice_t value) noexcept nogil
    cdef void _add_member(self, copier_t *to, const protected_column_t *column) noexcept nogil


cdef const char *NOT_A_VALUE

cdef const cql_type_t *protect_type_of_literal(uint8_t literal) noexcept nogil
cdef void protect_put_hex(copier_t *to, const uint8_t *data, size_t size) noexcept nogil


cdef inline void protect_put(copier_t *to, const void *data, size_t size) noexcept nogil:
    memcpy(to.out, data, size)
    to.out += size

cdef inline void protect_copy(copier_t *to, const uint8_t *upto) noexcept nogil:
    memcpy(to.out, to.at, <size_t>(upto - to.at))
    to.out += upto - to.at
    to.at = upto
