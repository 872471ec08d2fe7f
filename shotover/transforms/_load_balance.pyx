"""See _load_balance.pxd. Sharing connections is the sinks' own business here; what is left to do is to bound them."""

cimport cython

from shotover._core.request cimport batch_t, request_t
from shotover._proxy.upstream cimport Sink


@cython.final
cdef class LoadBalance(Step):

    def __init__(self, context, *, str name, int max_connections, list chains):
        [self.target] = chains
        self.adopt(self.target)
        _bound(self.target, max_connections)

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        self.target.run(batch)

    cdef void on_child(self, request_t *child) noexcept nogil:
        self.pass_up(child)         # the client's own request: no child was made of it


def _bound(Chain chain, int connections_max):
    """Every sink of the chain and of its steps' own chains may have so many connections."""
    for step in chain.steps:
        if isinstance(step, Sink):
            (<Sink>step).connections_max = connections_max
        for inner in step.chains:
            _bound(inner, connections_max)
