"""See _debug_returner.pxd."""

cimport cython

from shotover._core.request cimport batch_pop, batch_t, request_t


@cython.final
cdef class DebugReturner(Step):

    def __init__(self, context, *, str name, bytes reply, bint fail):
        self.reply = b"$%d\r\n%b\r\n" % (len(reply or b""), reply or b"")
        self.reply_data = <uint8_t *><char *>self.reply
        self.reply_size = len(self.reply)
        self.fail = fail

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if self.fail:
                self.refuse_take(request, b"ERR", b"Intentional Fail (shotover: DebugReturner)", 42)
            else:
                self.answer_take(request, self.reply_data, self.reply_size)
