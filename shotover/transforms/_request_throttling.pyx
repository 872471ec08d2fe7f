"""See _request_throttling.pxd."""

cimport cython

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.commands cimport CONDUCT_PLAIN
from shotover._codec.cql.frame cimport FLAG_COMPRESSED, FLAG_PAYLOAD, HEADER_SIZE, OP_BATCH, read_short
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport batch_clear, batch_pop, batch_push, batch_t, request_t
from shotover._proxy.refusing cimport ends_or_begins
from shotover.transforms._request_throttling_meter cimport TICKS_SHIFT, meter_sub, meter_take

cdef const char *TEXT = b"Server overloaded (shotover: RequestThrottling)"


cdef inline uint32_t _cost(const request_t *request) noexcept nogil:
    """Requests of the run; of a BATCH of CQL its statements, where that can be seen without more ado."""
    if likely(request.opcode != OP_BATCH) or request.version == 0:
        return request.count
    if request.wire.size < HEADER_SIZE + 3 or request.wire.data[1] & (FLAG_COMPRESSED | FLAG_PAYLOAD):
        return 1
    return max(<uint32_t>read_short(request.wire.data + HEADER_SIZE + 1), <uint32_t>1)


@cython.final
cdef class Limiter:

    def __init__(self, long long requests_per_second):
        cdef uint64_t second = <uint64_t>1000000000 << TICKS_SHIFT
        self.interval = max(second // <uint64_t>requests_per_second, <uint64_t>1)
        self.burst = self.interval * <uint64_t>requests_per_second

    cdef uint32_t take(self, uint64_t now_ns, uint32_t wanted) noexcept nogil:
        return meter_take(&self.until, now_ns << TICKS_SHIFT, self.interval, self.burst, wanted)


@cython.final
cdef class RequestThrottling(RefusingStep):

    def __init__(self, context, *, str name, Limiter limiter):
        self.limiter = limiter
        self.wants_kin = True
        self.reads_bodies = False
        self.tag = 0

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request = batch.head
            batch_t    rest
            uint8_t    out[128]
            size_t     size
            uint32_t   wanted = 0, granted
            bint       plain = True
        while request is not NULL:
            wanted += _cost(request)
            plain = plain and request.conduct == CONDUCT_PLAIN
            request = request.next
        granted = self.limiter.take(self.loop.now, wanted)
        if likely(granted == wanted and plain):
            self.pass_down(batch)
            return
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if ends_or_begins(request):
                granted -= min(granted, request.count)      # these pass in any case
                self.track(request)
            elif granted == 0 or (request.version and granted < _cost(request)):
                self.throttled_total += request.count
                size = self.codec.error_for(request, out, sizeof(out), b"BUSY" if request.version else b"ERR", TEXT, 47)
                self.refuse_with(request, out, size)
                continue
            elif granted < request.count:
                self.throttled_total += request.count - granted
                self.mark_broken(request)
                self.shorten(request, granted, 0)
                granted = 0
            else:
                granted -= _cost(request)
                if request.conduct != CONDUCT_PLAIN:
                    self.track(request)
            batch_push(&rest, request)
        if granted:                             # a batch for which it was not enough
            meter_sub(&self.limiter.until, self.limiter.interval * granted)
        self.pass_down(&rest)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            uint8_t    out[128]
            size_t     size
        while batch.head is not NULL:
            request = batch_pop(batch)
            if unlikely(request.tags[self.tag] is not NULL):
                size = self.codec.error(out, sizeof(out), b"ERR", TEXT, 47)
                self.lengthen(request, out, size)
            if not self.abort_answer(request):
                self.pass_up(request)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return RefusingStep.samples(self) + [
            ("shotover_throttled_requests_count", labels, "counter", self.throttled_total),
            ("shotover_refusals_count", labels | {"reason": "throttled"}, "counter", self.throttled_total),
        ]
