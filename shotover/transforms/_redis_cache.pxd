"""RedisCache: answers of Cassandra to reads of one partition, kept in Redis.

Three kinds of keys, all under `key_prefix`:

    t:ks.table          what the table is at now; `r:ks.table:HASH` what a partition is at: a *token*, 17 bytes
    e:ks.table:HASH     a reply, behind the tokens of table and partition that were read before the server was asked

A token is g and 16 bytes that nobody uses twice; w instead: somebody writes, and who, see _redis_cache_writes. A reply is good as
long as its tokens are those that stand there, so nothing need be deleted, and it does not matter when a reply is put in:

    read    MGET t r e     both tokens are there, g, and those of the entry: that is the reply
                           both g, the entry has others or is not there: ask the server, then SET e
                           one is not there: SET it NX to a new g first; who loses that race asks the server, and keeps nothing
                           one is w: ask the server, keep nothing
    write   r := w, writer     before the server hears of it, beside other writers who stand there, and
            r := g new         when the server has answered, before the client hears of it; unless others write still

What cannot be told apart by partition (TRUNCATE, a key by function) is a write to t. A mark whose writer never comes back goes
by itself, after write_window. The marks that Redis did not take are in cached_table_t: until they are made good this worker
reads nothing of that table from Redis.
"""

from libc.stdint cimport uint32_t

from shotover._codec.cql.facts cimport cql_facts_t
from shotover._codec.cql.messages cimport cql_params_t
from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover.transforms._redis_cache_base cimport name_t, op_t
from shotover.transforms._redis_cache_plan cimport plan_t
from shotover.transforms._redis_cache_writes cimport RedisCacheWrites


cdef class RedisCache(RedisCacheWrites):
    cdef bint _take(self, request_t *request) noexcept nogil
    cdef bint _read(self, request_t *request, const plan_t *plan, const cql_facts_t *facts) noexcept nogil
    cdef bint _entry_name(
        self, name_t *name, request_t *request, uint32_t table, const cql_facts_t *facts, const cql_params_t *params
    ) noexcept nogil
    cdef void _looked_up(self, op_t *op, request_t *child) noexcept nogil
    cdef void _opened(self, op_t *op, request_t *child) noexcept nogil
    cdef void _fetch(self, op_t *op, bint keep) noexcept nogil
    cdef void _fetched(self, op_t *op, request_t *request) noexcept nogil
