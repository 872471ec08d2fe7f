"""Protect: seals values of protected columns on their way to the server (ProtectSeals), and opens them on their way back.

Up: the frame is written anew with opened cells, and the declared types in its metadata. A reply whose data key is not known yet
waits, without holding back others, until the keyring has got it (`take_key`), for WAIT_NS at most.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.messages cimport cql_params_t
from shotover._codec.cql.results cimport cql_column_t, cql_metadata_t, cql_result_t
from shotover._codec.cql.types cimport cql_type_t
from shotover._core.memory cimport chunk_t
from shotover._core.request cimport batch_t, request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.step cimport Step, waker_t
from shotover.transforms._protect_keys cimport DataKeys
from shotover.transforms._protect_plan cimport protect_plan_t, protected_column_t, protected_t, sealing_t
from shotover.transforms._protect_seals cimport ProtectSeals
from shotover.transforms._protect_values cimport copier_t


cdef class Protect(ProtectSeals):
    cdef:
        object   keyring
        bint     refuses_unsealed
        object   mail               # keys from the keyring, any thread
        bint     has_mail
        waker_t  waker
        timer_t  timer
        batch_t  waiting            # requests whose replies wait for a data key

    cdef bint _up(self, request_t *request) noexcept nogil
    cdef bint _open_rows(self, request_t *request, const protect_plan_t *plan, chunk_t *facts) noexcept nogil
    cdef bint _show_types(self, request_t *request, const protect_plan_t *plan) noexcept nogil
    cdef int _column_of(
        self, const protect_plan_t *plan, slice_t keyspace, slice_t table, slice_t name, uint32_t index) noexcept nogil
    cdef void _put_type(self, copier_t *to, const cql_column_t *column, int found) noexcept nogil
    cdef void _types_in(self, copier_t *to, const cql_metadata_t *metadata, const protect_plan_t *plan) noexcept nogil
    cdef void _bound_in(self, copier_t *to, const cql_result_t *result, const protect_plan_t *plan) noexcept nogil
    cdef void _put_bound(self, copier_t *to, cql_column_t *column, const sealing_t *sealing) noexcept nogil
    cdef bint _cannot(self, request_t *request, const char *why, int column) noexcept nogil
    cdef bint _plain(self, request_t *request, slice_t *frame, chunk_t **held) noexcept nogil
    cdef void _set_reply(self, request_t *request, chunk_t *chunk, uint8_t *end) noexcept nogil
    cdef void put_error(self, request_t *request, const uint8_t *frame, size_t size) noexcept nogil
    cdef void _wake(self) noexcept nogil
    cdef void _expire(self) noexcept nogil
    cdef bint _ask(self) noexcept nogil
