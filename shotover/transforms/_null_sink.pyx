"""See _null_sink.pxd. Its errors are its purpose, so they count as failures of nothing."""

cimport cython

from libc.stdint cimport uint8_t

from shotover._core.request cimport batch_pop, batch_t, request_t

cdef const char *TEXT = b"Handled by shotover null transform"


@cython.final
cdef class NullSink(Step):

    def __init__(self, context, *, str name):
        pass

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            uint8_t out[64]
            size_t  size
            request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            size = self.codec.error_for(request, out, sizeof(out), b"ERR", TEXT, 34)
            self.answer_take(request, out, size)
