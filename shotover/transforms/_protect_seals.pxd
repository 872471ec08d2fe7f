"""ProtectSeals: the way down of Protect: values of protected columns sealed, by the plan of each statement.

The frame is written anew, with other literals in its text and other bytes among its values; nothing else changes.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.messages cimport cql_params_t, cql_value_t
from shotover._core.memory cimport chunk_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover.transforms._protect_plan cimport protect_plan_t, protected_column_t, sealing_t
from shotover.transforms._protect_values cimport ProtectValues, copier_t


cdef class ProtectSeals(ProtectValues):
    cdef:
        uint64_t    opened, passed_plain, refused, failures, waits

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
    cdef bint _make_room(self, copier_t *to, size_t more) noexcept nogil
    cdef bint _put_json(self, copier_t *to, const sealing_t *sealing, slice_t json, bint literal) noexcept nogil
    cdef bint _seal_json_text(self, copier_t *to, const sealing_t *sealing, const uint8_t *text) noexcept nogil
    cdef bint _put_hashes(self, copier_t *to, const protected_column_t *column, slice_t listed) noexcept nogil
    cdef bint _seal_values(
        self, copier_t *to, const protect_plan_t *plan, const cql_params_t *params, const uint8_t *text) noexcept nogil
    cdef bint _seal_batch(self, copier_t *to, request_t *request, slice_t body) noexcept nogil
    cdef bint _rewrite(self, request_t *request, const protect_plan_t *plan) noexcept nogil
