"""SentinelWatch: the conversation with one sentinel. Two connections, for one that has subscribed may ask nothing more.

  listening   SUBSCRIBE +switch-master; a message is only a hint: what it says is asked for
  asking      SENTINEL GET-MASTER-ADDR-BY-NAME and SENTINEL MASTER, on a timer and after a hint

The second answer has the epoch of the configuration: a sentinel that was cut off from the others says something older, and
is recognized by that.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from shotover._core.request cimport request_t
from shotover._core.slice cimport slice_t
from shotover._net.timers cimport timer_t
from shotover._proxy.ordered cimport OrderedSink
from shotover._proxy.upstream cimport upstream_t


cdef enum:
    HOST_SIZE_MAX = 256         # a host name with its closing zero

ctypedef void (*heard_f)(void *owner) noexcept nogil

cdef class SentinelWatch(OrderedSink):
    cdef:
        readonly str address
        list        kept                # the memory of the requests below
        slice_t     greeting            # empty: none
        slice_t     question
        slice_t     subscription
        upstream_t *asking
        upstream_t *listening
        timer_t     again
        bint        under_way           # a question is
        bint        hint                # ask once more when it has been answered
        bint        hurried             # the owner has no master that it is sure of
        bint        told                # that it does not know the master, or refuses to say
        heard_f     heard               # called when there is an answer
        void       *owner
        # what it said last; good while `answered` is true
        bint        answered
        uint64_t    answered_ns
        int64_t     epoch
        char        host[HOST_SIZE_MAX]
        int         port

    cdef void hurry(self, bint on) noexcept nogil
    cdef void look(self) noexcept nogil
    cdef void _open(self, upstream_t **place, uint8_t role) noexcept nogil
    cdef void _greeted(self, upstream_t *upstream) noexcept nogil
    cdef request_t *_request(self, slice_t *wire, uint8_t sink_state) noexcept nogil
    cdef void _ask(self) noexcept nogil
    cdef void _read_answer(self, request_t *answer) noexcept nogil
    cdef void _say_once(self, const char *what) noexcept nogil
