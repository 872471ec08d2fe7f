"""See retry.pxd."""

from shotover._core.memory cimport chunk_put, chunk_small

cdef void _on_drop(task_t *task) noexcept nogil:
    cdef keeper_t *keeper = <keeper_t *>task.owner
    if keeper.chunk is not NULL:
        chunk_put(&(<Loop>keeper.loop).pool, keeper.chunk)
        keeper.chunk = NULL


cdef void keeper_init(keeper_t *keeper, Loop loop) noexcept:
    """The keeper must not move from here on."""
    keeper.chunk = NULL
    keeper.used = 0
    keeper.loop = <void *>loop
    keeper.drop.run = _on_drop
    keeper.drop.owner = keeper
    keeper.drop.listed = 0


cdef bint _keeper_chunk(keeper_t *keeper) noexcept nogil:
    """A chunk with room for one more request. False: no memory."""
    _on_drop(&keeper.drop)
    keeper.chunk = chunk_small(&(<Loop>keeper.loop).pool)
    keeper.used = 0
    if keeper.chunk is NULL:
        return False
    (<Loop>keeper.loop).defer(&keeper.drop)
    return True


cdef bint budget_take(budget_t *budget, uint64_t sent, uint64_t percent, uint64_t count) noexcept nogil:
    """Whether `count` more may be sent again. `sent`: all requests so far, of which `percent` may be."""
    budget.tokens += <double>(sent - budget.seen) * percent / 100
    budget.seen = sent
    if budget.tokens > BUDGET_MAX:
        budget.tokens = BUDGET_MAX
    if budget.tokens < count:
        return False
    budget.tokens -= count
    return True
