"""See _debug_force.pxd."""

cimport cython

from shotover._codec.commands cimport CONDUCT_MONITOR, CONDUCT_SUBSCRIBE, CONDUCT_UNSUBSCRIBE
from shotover._codec.cql.again cimport AGAIN_BAD, AGAIN_OPAQUE, cql_reply_again, cql_request_again
from shotover._codec.cql.frame cimport HEADER_SIZE
from shotover._codec.cql.wire cimport wire_write, wire_writer_t
from shotover._codec.resp_again cimport resp_reply_again, resp_request_again
from shotover._codec.resp_edit cimport resp_facts
from shotover._core.memory cimport chunk_data, chunk_put, pool_take
from shotover._core.request cimport WATCHED_BY_STEP, batch_pop, batch_t, request_drop_reply


@cython.final
cdef class DebugForce(Step):

    def __init__(self, context, *, str name, bint encodes, bint requests, bint replies):
        self.wants_each = True
        self.wants_replies = replies
        self.wants_statements = True        # so that bodies of CQL come decompressed
        self.cql = context.protocol == "cassandra"
        self.encodes = encodes
        self.requests = requests
        self.replies = replies

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef request_t *request = batch.head
        while request is not NULL:
            if self.requests:
                self._request(request)
            # confirmations of subscriptions must stay in step with the messages, which pass without us
            if self.replies and request.conduct != CONDUCT_SUBSCRIBE and request.conduct != CONDUCT_UNSUBSCRIBE \
                    and request.conduct != CONDUCT_MONITOR:
                request.watched |= WATCHED_BY_STEP
            request = request.next
        self.pass_down(batch)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if self.replies and request.reply.size:
                self._reply(request)
            self.pass_up(request)

    cdef void _request(self, request_t *request) noexcept nogil:
        cdef:
            size_t   size = 0
            chunk_t *chunk = self._again(&request.wire, False, &size)
        if chunk is NULL:
            return
        if not self.encodes:
            chunk_put(&self.loop.pool, chunk)
            return
        if request.owner is not NULL:
            chunk_put(&self.loop.pool, request.owner)
        request.owner = chunk
        request.wire.data = chunk_data(chunk)
        request.wire.size = size
        request.edited = 1
        if not self.cql:
            resp_facts(request)

    cdef void _reply(self, request_t *request) noexcept nogil:
        cdef:
            size_t   size = 0
            chunk_t *chunk = self._again(&request.reply, True, &size)
        if chunk is NULL:
            return
        if not self.encodes:
            chunk_put(&self.loop.pool, chunk)
            return
        request_drop_reply(&self.loop.pool, request)
        request.reply.data = chunk_data(chunk)
        request.reply.size = size
        request.reply_owner = chunk

    cdef chunk_t *_again(self, const slice_t *wire, bint reply, size_t *size) noexcept nogil:
        """The same written anew. NULL: it stays as it is."""
        cdef:
            chunk_t      *chunk
            wire_writer_t writer
            int           said
        if self.cql and wire.size < HEADER_SIZE:
            self.bad_total += 1
            return NULL
        chunk = pool_take(&self.loop.pool, wire.size)
        if chunk is NULL:
            return NULL
        if self.cql:
            wire_write(&writer, chunk_data(chunk), wire.size)
            said = cql_reply_again(wire.data, wire.size, &writer) if reply else cql_request_again(wire.data, wire.size, &writer)
            if said == AGAIN_OPAQUE:
                self.opaque_total += 1
            size[0] = 0 if writer.full or said == AGAIN_OPAQUE or said == AGAIN_BAD else writer.size
        else:
            said = AGAIN_BAD
            size[0] = resp_reply_again(wire.data, wire.data + wire.size, chunk_data(chunk)) if reply else \
                resp_request_again(wire.data, wire.data + wire.size, chunk_data(chunk))
        if size[0]:
            self.done_total += 1
            return chunk
        if said != AGAIN_OPAQUE:
            self.bad_total += 1
        chunk_put(&self.loop.pool, chunk)
        return NULL

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return Step.samples(self) + [
            ("shotover_debug_forced_count", labels | {"outcome": "done"}, "counter", self.done_total),
            ("shotover_debug_forced_count", labels | {"outcome": "opaque"}, "counter", self.opaque_total),
            ("shotover_debug_forced_count", labels | {"outcome": "unreadable"}, "counter", self.bad_total),
        ]
