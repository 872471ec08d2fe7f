"""FaultInjection: delays, errors, closed connections and spoiled replies, by rule and by chance."""

from libc.stdint cimport uint8_t, uint64_t

from shotover._core.request cimport batch_t, request_t
from shotover._net.timers cimport timer_t
from shotover._proxy.selecting cimport SelectingStep, selected_t


cdef enum:                      # fault_t.action
    FAULT_DELAY = 1
    FAULT_ERROR = 2
    FAULT_CLOSE = 3             # the request is not sent
    FAULT_CLOSE_AFTER = 4       # it is carried out; its client never hears of that
    FAULT_VALUE = 5             # a byte of a value in its reply is another one
    FAULT_FRAME = 6             # its reply is no reply any more

cdef struct fault_t:
    uint8_t   action
    uint64_t  chance            # of 2**53
    uint64_t  delay_ns
    uint64_t  delay_span_ns     # of the random part on top
    uint64_t *left              # how often it may still happen, in all workers; NULL: as often as it likes
    const char *code            # of the error, as Codec.error takes it; NULL: none
    const char *text
    size_t    text_size
    uint64_t  injected_total

cdef struct faulted_t:          # a client
    selected_t base             # first
    batch_t    held             # requests that are delayed, or wait behind one; owned, in order
    timer_t    timer            # of the first of them
    void      *step             # PyObject* of the FaultInjection
    uint8_t    closing          # it is to be closed: nothing of it is sent any more
    faulted_t *next             # of those that hold something
    faulted_t *previous

cdef class FaultCounts:
    """How often each fault may still happen; one for the copies of a step in all workers."""
    cdef uint64_t left[64]

cdef class FaultInjection(SelectingStep):
    cdef:
        fault_t     faults[64]
        FaultCounts counts
        uint64_t    random
        faulted_t  *holding
        uint64_t    held_count
        bint        draining

    cdef uint64_t _draw(self) noexcept nogil
    cdef uint8_t _judge(self, request_t *request, uint64_t rules, uint64_t *delay_ns, fault_t **fault) noexcept nogil
    cdef bint _strikes(self, fault_t *fault) noexcept nogil
    cdef bint _hold(self, faulted_t *client, request_t *request, uint64_t delay_ns) noexcept nogil
    cdef void _insert(self, faulted_t *client, request_t *request, uint64_t due) noexcept nogil
    cdef void _release(self, faulted_t *client, bint all_of_it) noexcept nogil
    cdef void _cut(self, request_t *request) noexcept nogil
    cdef bint _spoil(self, request_t *request, bint frame) noexcept nogil
