"""See _debug_printer.pxd. Lines are cut to what fits the log ring, which also bounds how many there are."""

cimport cython

from libc.string cimport memcpy

from shotover._codec.commands cimport CONDUCT_MONITOR, CONDUCT_SUBSCRIBE, CONDUCT_UNSUBSCRIBE
from shotover._codec.cql.render cimport cql_render_reply, cql_render_request
from shotover._codec.render cimport render_reply_to, render_request
from shotover._core.request cimport WATCHED_BY_STEP, batch_pop, batch_t, request_t
from shotover._proxy.step cimport LOG_INFO, LOG_TEXT


@cython.final
cdef class DebugPrinter(Step):

    def __init__(self, context, *, str name):
        self.wants_each = True
        self.wants_replies = True
        self.wants_statements = True
        self.cql = context.protocol == "cassandra"

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            char       line[LOG_TEXT]
            request_t *request = batch.head
        memcpy(line, b"Request: ", 9)
        while request is not NULL:
            if self.cql:
                cql_render_request(line + 9, sizeof(line) - 9, request)
            else:
                render_request(line + 9, sizeof(line) - 9, request)
            self.hub.log(LOG_INFO, line)
            # confirmations of subscriptions must stay in step with the messages, which pass without us
            if request.conduct != CONDUCT_SUBSCRIBE and request.conduct != CONDUCT_UNSUBSCRIBE \
                    and request.conduct != CONDUCT_MONITOR:
                request.watched |= WATCHED_BY_STEP
            request = request.next
        self.pass_down(batch)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            char       line[LOG_TEXT]
            request_t *request
        memcpy(line, b"Response: ", 10)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if request.reply.size:
                if self.cql:
                    cql_render_reply(line + 10, sizeof(line) - 10, request.reply.data, request.reply.size)
                else:
                    render_reply_to(line + 10, sizeof(line) - 10, request, request.reply.data, request.reply.size)
                self.hub.log(LOG_INFO, line)
            self.pass_up(request)
