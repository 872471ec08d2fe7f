"""LearningSink: what a sink does to get to know commands that no table has. Leases are its subclass's affair."""

from libc.stdint cimport uint64_t

from shotover._codec.commands cimport command_t
from shotover._core.request cimport request_t
from shotover._proxy.ordered cimport OrderedSink


cdef enum:
    QUESTION_SIZE_MAX = 128

cdef class LearningSink(OrderedSink):
    cdef:
        uint64_t learned_total
        uint64_t ask_at_ns          # not to be asked before: the last answer said nothing

    cdef size_t question(self, request_t *request, char *wire) noexcept nogil
    cdef const command_t *learn(self, request_t *answer) noexcept nogil
    cdef void not_learned(self) noexcept nogil
    cdef void forget_learned(self) noexcept nogil
