"""RedisCacheWrites: what RedisCache does about writes: marks before the server hears of them, new tokens afterwards."""

from libc.stdint cimport uint8_t, uint32_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.messages cimport cql_params_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover.transforms._redis_cache_base cimport RedisCacheBase, name_t, op_t
from shotover.transforms._redis_cache_plan cimport plan_t


cdef enum:
    SCOPES_MAX = 64             # marks of one request; of more than that, whole tables are marked

cdef class RedisCacheWrites(RedisCacheBase):
    cdef:
        name_t   scopes[SCOPES_MAX]     # of the request at hand
        uint32_t scope_count

    cdef bint _scope(self, uint32_t table, const slice_t *parts, uint32_t count) noexcept nogil
    cdef void _scopes_of(self, const plan_t *plan, const cql_facts_t *facts, const cql_params_t *params) noexcept nogil
    cdef bint _scopes_of_batch(self, request_t *request, uint8_t *schema) noexcept nogil
    cdef bint _write(self, request_t *request, bint schema) noexcept nogil
    cdef void _marked(self, op_t *op) noexcept nogil
    cdef void _written(self, op_t *op, request_t *request) noexcept nogil
    cdef bint _mark(self, op_t *op, const char *sign, const slice_t *name) noexcept nogil
    cdef void _doubt(self, op_t *op) noexcept nogil
    cdef void _mend(self, uint32_t table) noexcept nogil
