"""See chain_probe.pxd. For measuring what steps cost: see bench/micro."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from shotover._codec.resp_edit cimport resp_facts
from shotover._core.memory cimport chunk_data, pool_take
from shotover._core.request cimport batch_append, batch_clear, batch_pop, batch_push, request_t
from shotover._proxy.step cimport Chain, Step


cdef class Bottom(Step):

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        batch_append(&self.kept, batch)

    def laps(self, bytes wire, uint32_t count, uint64_t rounds, Chain top=None):
        """Runs a batch of `count` such requests down its chain, or `top`, `rounds` times. Returns how many requests arrived."""
        cdef:
            Chain      chain = self.chain if top is None else top
            batch_t    batch
            request_t *request
            uint64_t   arrived = 0
        for _ in range(count):
            request = self.hub.request_new(chain)
            if request is NULL:
                raise MemoryError
            request.owner = pool_take(&self.loop.pool, len(wire))
            if request.owner is NULL:
                raise MemoryError
            request.wire.data = chunk_data(request.owner)
            request.wire.size = len(wire)
            memcpy(request.wire.data, <const char *>wire, len(wire))
            resp_facts(request)
            batch_push(&self.kept, request)
        with nogil:
            for _ in range(rounds):
                batch = self.kept
                batch_clear(&self.kept)
                chain.run(&batch)
                arrived += self.kept.count
        while self.kept.head is not NULL:
            self.hub.request_free(batch_pop(&self.kept))
        return arrived
