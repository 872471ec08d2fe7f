"""AdaptiveConcurrency: as many requests at once as the server takes without becoming slow; the others wait a little, in
turns, or are refused."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.counters cimport histogram_t
from shotover._core.request cimport batch_t, request_t
from shotover._net.timers cimport timer_t
from shotover._proxy.selecting cimport SelectingStep, selected_t


cdef enum:
    PRIORITIES = 3              # 0: shed last
    CLASSES = 4                 # of commands: cheap reads, other reads, cheap writes, all else

cdef enum:                      # why it was refused: index of AdaptiveConcurrency.refused
    REFUSED_AGE = 0
    REFUSED_FULL = 1
    REFUSED_GONE = 2
    REASONS = 3

cdef struct waiter_t:           # a client
    selected_t base             # first
    batch_t    waiting          # its requests that may not go yet; owned, in order
    uint32_t   unusual          # of them, those that are not plain: what is behind them may be of a transaction
    uint8_t    muted            # it has used CLIENT REPLY: which replies it counts on is not known here
    uint8_t    ring             # the one it is in, while it waits: the priority of its first request
    uint64_t   since_ns         # something of it has waited ever since
    waiter_t  *next             # in that ring
    waiter_t  *previous

cdef struct class_t:            # of commands
    histogram_t recent          # latencies of this window
    uint64_t    base_ns         # what its quicker ones take while the server is well; 0: not known

cdef class AdaptiveConcurrency(SelectingStep):
    cdef:
        uint8_t   priority_of[64]       # by rule
        double    limit                 # requests at once
        double    floor, ceiling
        double    tolerance             # how many times slower than well the server may be
        double    slowness              # how much slower it was in the last window
        bint      shadow                # only looks
        bint      starting              # no window has been slow yet: the limit doubles
        bint      pressed               # the limit was reached in this window
        bint      draining
        bint      going             # _go_on is under way: what comes back meanwhile leaves the rest to it
        uint64_t  under_way
        uint64_t  waiting_count
        uint64_t  waiting_max
        uint64_t  target_ns             # a wait that is short enough at any time
        uint64_t  window_ns             # when the window began
        uint32_t  lost                  # in this window
        uint32_t  at_floor              # windows on end
        class_t   classes[CLASSES]
        waiter_t *rings[PRIORITIES]     # the client whose turn it is
        timer_t   timer
        uint64_t  refused[REASONS]
        uint64_t  would_refuse          # shadow: waits that there would have been

    cdef bint _exempt(self, request_t *request, waiter_t *client) noexcept nogil
    cdef uint8_t _priority(self, request_t *request, selected_t *client) noexcept nogil
    cdef void _admit(self, request_t *request, bint counted) noexcept nogil
    cdef void _wait(self, waiter_t *client, request_t *request) noexcept nogil
    cdef void _refuse(self, request_t *request, int reason) noexcept nogil
    cdef request_t *_next(self) noexcept nogil
    cdef request_t *_pop(self, waiter_t *client) noexcept nogil
    cdef void _enter(self, waiter_t *client) noexcept nogil
    cdef void _leave(self, waiter_t *client) noexcept nogil
    cdef void _go_on(self) noexcept nogil
    cdef void _age(self) noexcept nogil
    cdef void _learn(self, request_t *request) noexcept nogil
    cdef void _end_window(self) noexcept nogil
