"""See _cluster_ports_rewrite.pxd. A reply that has not the form expected (an error, QUEUED) passes as it is."""

cimport cython

from libc.stdint cimport uint16_t

from shotover._codec.commands cimport (
    ID_CLUSTER_NODES,
    ID_CLUSTER_REPLICAS,
    ID_CLUSTER_SHARDS,
    ID_CLUSTER_SLAVES,
    ID_CLUSTER_SLOTS,
    command_t,
)
from shotover._codec.resp_ports cimport (
    PORTS_ERRORS,
    PORTS_LINES,
    PORTS_NODES,
    PORTS_SHARDS,
    PORTS_SLOTS,
    ports_room,
    replace_ports,
)
from shotover._core.debug cimport unlikely
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.request cimport (
    WATCHED_BY_STEP,
    WATCHED_FOR_ERROR,
    batch_pop,
    batch_t,
    request_drop_reply,
)

cdef enum:
    NO_FORM = -1


@cython.final
cdef class ClusterPortsRewrite(Step):

    def __init__(self, context, *, str name, int new_port):
        self.port = new_port
        self.wants_replies = True
        self.wants_errors = True
        self.reads_bodies = False

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef request_t *request = batch.head
        while request is not NULL:
            if unlikely(request.apart) and _form(request) != NO_FORM:
                request.watched |= WATCHED_BY_STEP
            request = request.next
        self.pass_down(batch)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if request.watched & WATCHED_FOR_ERROR:
                self._rewrite(request, PORTS_ERRORS)
            elif request.apart and _form(request) != NO_FORM:
                self._rewrite(request, _form(request))
            self.pass_up(request)

    cdef void _rewrite(self, request_t *request, int form) noexcept nogil:
        """Without memory for it the client is closed: told of a port that is not ours, it would go there."""
        cdef:
            chunk_t *chunk
            size_t   size
        if request.reply.size == 0:
            return
        chunk = pool_take(&self.loop.pool, ports_room(request.reply.size))
        if chunk is NULL:
            request_drop_reply(&self.loop.pool, request)
            request.failed = 1
            return
        size = replace_ports(form, request.reply.data, request.reply.size, self.port, chunk_data(chunk))
        if size == 0:
            chunk_put(&self.loop.pool, chunk)
            return
        request_drop_reply(&self.loop.pool, request)
        request.reply.data = chunk_data(chunk)
        request.reply.size = size
        request.reply_owner = chunk
        self.rewritten_total += 1


cdef int _form(request_t *request) noexcept nogil:
    cdef uint16_t id = (<const command_t *>request.command).id
    if id == ID_CLUSTER_SLOTS:
        return PORTS_SLOTS
    if id == ID_CLUSTER_NODES:
        return PORTS_NODES
    if id == ID_CLUSTER_REPLICAS or id == ID_CLUSTER_SLAVES:
        return PORTS_LINES
    if id == ID_CLUSTER_SHARDS:
        return PORTS_SHARDS
    return NO_FORM
