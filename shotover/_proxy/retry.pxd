"""What it takes to send a request again: its bytes, and a budget.

keeper_t   keeps the bytes of small requests while they are under way. All that one turn keeps lies in one chunk, which
           each of these requests holds; so keeping costs a copy, and no chunk outlives its last request.
budget_t   how many may be sent again: a share of those sent lately. A server in trouble is not given more to do, and a
           client's request is never multiplied.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from shotover._core.debug cimport likely
from shotover._core.memory cimport chunk_data, chunk_ref, chunk_t
from shotover._core.request cimport request_t
from shotover._net.loop cimport Loop, task_t


cdef enum:
    KEEP_SIZE_MAX = 512         # larger requests (or runs) are not kept
    BUDGET_FIRST = 10           # tokens at the start, so that a quiet proxy may retry, too
    BUDGET_MAX = 1000           # tokens saved up at most: what one lost connection may cost

cdef struct keeper_t:
    chunk_t *chunk              # of this turn; NULL: none yet
    size_t   used
    void    *loop               # PyObject* of the Loop; borrowed
    task_t   drop               # lets go of the chunk before the turn ends

cdef struct budget_t:
    uint64_t seen               # requests sent when it was last looked at
    double   tokens             # what may be sent again


cdef void keeper_init(keeper_t *keeper, Loop loop) noexcept
cdef bint _keeper_chunk(keeper_t *keeper) noexcept nogil
cdef bint budget_take(budget_t *budget, uint64_t sent, uint64_t percent, uint64_t count) noexcept nogil


cdef inline void keeper_keep(keeper_t *keeper, request_t *request) noexcept nogil:
    """Makes the request own its bytes if they are few. When there is no memory it stays as it was."""
    cdef size_t size = request.wire.size
    if request.owner is not NULL or size > KEEP_SIZE_MAX:
        return
    if keeper.chunk is NULL or keeper.chunk.size - keeper.used < size:
        if not _keeper_chunk(keeper):
            return
    memcpy(chunk_data(keeper.chunk) + keeper.used, request.wire.data, size)
    request.wire.data = chunk_data(keeper.chunk) + keeper.used
    request.owner = chunk_ref(keeper.chunk)
    keeper.used += size
