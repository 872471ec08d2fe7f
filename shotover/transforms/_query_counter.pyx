"""See _query_counter.pxd. One addition a run: runs are of one command here."""

cimport cython

from libc.stdlib cimport calloc, free

from shotover._codec.commands cimport command_at, command_count, command_t
from shotover._core.debug cimport likely
from shotover._core.request cimport batch_t, request_t


@cython.final
cdef class QueryCounter(Step):

    def __cinit__(self, context, *args, **kwargs):
        self.known = command_count()
        self.counts = <uint64_t *>calloc(self.known + 1, sizeof(uint64_t))
        if self.counts is NULL:
            raise MemoryError()

    def __init__(self, context, *, str name, str counter_name):
        self.counter_name = counter_name
        self.wants_kin = True
        self.reads_bodies = False

    def __dealloc__(self):
        free(self.counts)

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t       *request = batch.head
            const command_t *command
        while request is not NULL:
            command = <const command_t *>request.command
            if likely(command is not NULL and command.parent < self.known):
                self.counts[command.parent] += request.count
            else:
                self.counts[self.known] += request.count
            request = request.next
        self.pass_down(batch)

    def samples(self):
        cdef:
            uint32_t index
            list     gathered = Step.samples(self)
        for index in range(self.known + 1):
            if self.counts[index]:
                query = command_at(index).name.decode() if index < self.known else "unknown"
                labels = {"name": self.counter_name, "query": query, "type": self.codec.protocol}
                gathered.append(("shotover_query_count", labels, "counter", self.counts[index]))
        return gathered
