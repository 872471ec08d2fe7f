"""ProtectSeals: the way down of Protect: values of protected columns sealed, by the plan of each statement.

The frame is written anew, with other literals in its text and other bytes among its values; nothing else changes.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.messages cimport cql_params_t, cql_value_t
from shotover._codec.cql.results cimport cql_metadata_t
from shotover._codec.cql.types cimport cql_type_t
from shotover._core.memory cimport chunk_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.step cimport Step, waker_t
from shotover.transforms._protect_keys cimport DataKeys
from shotover.transforms._protect_lookup cimport LookupHash
from shotover.transforms._protect_plan cimport protect_plan_t, protected_column_t, protected_t, sealing_t


cdef struct copier_t:           # writes a frame anew
    const uint8_t *at           # up to here the old one has been copied
    const uint8_t *end
    uint8_t       *out

cdef class ProtectSeals(Step):
    cdef:
        DataKeys    data_keys
        LookupHash  lookup          # None: no column has one
        protected_t all
        list        kept            # bytes that `all` borrows
        cql_type_t *nodes
        uint32_t    type_room       # bytes that the name and type of a column take at most, as clients see them
        uint64_t    sealed, opened, passed_plain, refused, failures, waits

    cdef slice_t _keep(self, bytes raw)
    cdef const protect_plan_t *_plan(self, chunk_t *facts) noexcept nogil
    cdef bint _down(self, request_t *request) noexcept nogil
    cdef bint _refuse(self, request_t *request, const char *why) noexcept nogil
    cdef bint _take_part(self, chunk_t *facts, const protect_plan_t **plan, request_t *request) noexcept nogil
    cdef size_t _growth(self, const protect_plan_t *plan, const uint8_t *text, size_t frame_size) noexcept nogil
    cdef bint _seal_text(self, copier_t *to, const protect_plan_t *plan, const uint8_t *text) noexcept nogil
    cdef bint _seal_literal(self, copier_t *to, const sealing_t *sealing, const uint8_t *text) noexcept nogil
    cdef bint _put_literal(self, copier_t *to, const sealing_t *sealing, slice_t plain, uint8_t *room) noexcept nogil
    cdef void _add_hash(self, copier_t *to, const sealing_t *sealing) noexcept nogil
    cdef bint _put_value(self, copier_t *to, const sealing_t *sealing, uint32_t place, const cql_value_t *value,
                         bint named) noexcept nogil
    cdef bint _put_hashes(self, copier_t *to, const protected_column_t *column, slice_t listed) noexcept nogil
    cdef bint _seal_values(
        self, copier_t *to, const protect_plan_t *plan, const cql_params_t *params, const uint8_t *text) noexcept nogil
    cdef bint _seal_batch(self, copier_t *to, request_t *request, slice_t body) noexcept nogil
    cdef bint _rewrite(self, request_t *request, const protect_plan_t *plan) noexcept nogil


cdef inline void protect_put(copier_t *to, const void *data, size_t size) noexcept nogil:
    memcpy(to.out, data, size)
    to.out += size

cdef inline void protect_copy(copier_t *to, const uint8_t *upto) noexcept nogil:
    memcpy(to.out, to.at, <size_t>(upto - to.at))
    to.out += upto - to.at
    to.at = upto
