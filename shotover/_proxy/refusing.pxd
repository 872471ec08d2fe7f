"""RefusingStep, base of the steps that answer some requests themselves instead of letting them through.

A transaction of which a command was refused must not be carried out without it: its EXEC goes on as DISCARD, and the
client is told EXECABORT, as the server does when it could not queue a command.

A client that has said CLIENT REPLY OFF is told of no refusal, for it would take that for the reply to something else.

A run of which only the first requests may pass is shortened on its way down; the errors for its rest are put behind its
replies on their way up. So a pipeline keeps its order without being taken apart.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.commands cimport command_t
from shotover._core.request cimport batch_t, request_t
from shotover._proxy.step cimport Step


cdef enum:                      # what such a step knows of a session, kept in its slot; bits: those above are its subclass's
    TX_OPEN = 1                 # between MULTI and EXEC
    TX_BROKEN = 2               # a command of this transaction was refused
    REPLIES_OFF = 4             # CLIENT REPLY OFF: it counts on no reply, nor on an error
    REPLY_SKIPPED = 8           # it has used CLIENT REPLY SKIP: if anything is refused, it is not known what it counts on
    TX_BITS = 3
    SLOT_BITS = 15              # all of these; the others are a subclass's: an aligned pointer fits

cdef class RefusingStep(Step):
    cdef command_t aborted      # stands for "EXEC that became DISCARD" in request_t.command

    cdef size_t *transaction(self, void *session) noexcept nogil
    cdef void track(self, request_t *request) noexcept nogil
    cdef void mark_broken(self, request_t *request) noexcept nogil
    cdef void discard_instead(self, request_t *request) noexcept nogil
    cdef const char *abort_text(self, request_t *request) noexcept nogil
    cdef void _reply_mode(self, request_t *request, size_t *state) noexcept nogil
    cdef void refuse_with(self, request_t *request, const uint8_t *error, size_t size) noexcept nogil
    cdef bint abort_answer(self, request_t *request) noexcept nogil
    cdef void shorten(self, request_t *request, uint32_t count, uint64_t note) noexcept nogil
    cdef void lengthen(self, request_t *request, const uint8_t *error, size_t size) noexcept nogil


cdef inline uint32_t shortened_by(const request_t *request, int tag) noexcept nogil:
    """How many requests of the run were refused by shorten; 0: it was not."""
    return <uint32_t><uint64_t>request.tags[tag]


cdef inline uint64_t shortened_note(const request_t *request, int tag) noexcept nogil:
    return <uint64_t>request.tags[tag] >> 32


cdef bint ends_or_begins(request_t *request) noexcept nogil
