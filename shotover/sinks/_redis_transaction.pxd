"""What a client says between MULTI and EXEC, kept until EXEC: queue_t."""

from libc.stdint cimport uint8_t, uint32_t

from shotover._core.memory cimport chunk_t, pool_t
from shotover._core.request cimport request_t
from shotover.sinks._redis_node cimport queue_t


cdef struct queue_t:
    chunk_t *chunk              # MULTI and what follows it
    size_t   size
    uint32_t count              # commands
    uint32_t place              # of their keys; NO_PLACE: no keys so far
    uint32_t key_at             # in the chunk: a key of that place
    uint32_t key_size
    char     why[128]           # the last refusal that had to be written
    uint8_t  failed             # a command was refused: EXEC will be, too


cdef queue_t *queue_new(pool_t *pool) noexcept nogil
cdef void queue_free(queue_t *queue, pool_t *pool) noexcept nogil
cdef const char *queue_refuses(queue_t *queue, request_t *request) noexcept nogil
cdef bint queue_add(queue_t *queue, pool_t *pool, request_t *request) noexcept nogil
cdef bint queue_close(queue_t *queue, pool_t *pool, request_t *exec_request) noexcept nogil
cdef bint transaction_trim(request_t *request) noexcept nogil
cdef void transaction_void(pool_t *pool, request_t *request) noexcept nogil
