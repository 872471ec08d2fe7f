"""See refusing.pxd. Commands outside of transactions cost one comparison here."""

from libc.string cimport memcmp, strlen

from shotover._codec.commands cimport (
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MULTI,
    CONDUCT_QUIT,
    CONDUCT_RESET,
    CONDUCT_UNWATCH,
    command_find,
)
from shotover._core.memory cimport chunk_put
from shotover._core.request cimport WATCHED_BY_STEP, batch_pop
from shotover._proxy.session cimport session_slots, session_t

cdef const char *DISCARD = b"*1\r\n$7\r\nDISCARD\r\n"
cdef const char *ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
cdef const char *NO_MULTI = b"-ERR EXEC without MULTI\r\n"


cdef bint ends_or_begins(request_t *request) noexcept nogil:
    """Commands that open or close something; refusing one of them would leave server and client of two minds."""
    return (
        request.conduct == CONDUCT_MULTI or request.conduct == CONDUCT_EXEC or request.conduct == CONDUCT_DISCARD
        or request.conduct == CONDUCT_UNWATCH or request.conduct == CONDUCT_RESET or request.conduct == CONDUCT_QUIT
    )


cdef class RefusingStep(Step):

    def __cinit__(self, context, *args, **kwargs):
        self.wants_slot = True
        self.wants_replies = True
        self.aborted = command_find(b"DISCARD", 7)[0]

    cdef size_t *transaction(self, void *session) noexcept nogil:
        """Where the TX_* bits of a session are kept: in the step's slot, unless a subclass needs that for more."""
        return <size_t *>&session_slots(<session_t *>session)[self.slot]

    cdef void track(self, request_t *request) noexcept nogil:
        """To be called for every request that goes on and is not plain."""
        cdef size_t *state
        if request.session is NULL:
            return
        state = self.transaction(request.session)
        if request.conduct == CONDUCT_MULTI:
            state[0] |= TX_OPEN
        elif request.conduct == CONDUCT_DISCARD or request.conduct == CONDUCT_RESET:
            state[0] = 0
        elif request.conduct == CONDUCT_EXEC:
            if state[0] & TX_BROKEN:
                self.discard_instead(request)
            state[0] = 0

    cdef void discard_instead(self, request_t *request) noexcept nogil:
        """An EXEC that must not be carried out goes on as DISCARD."""
        if request.owner is not NULL:
            chunk_put(&self.loop.pool, request.owner)
            request.owner = NULL
        request.wire.data = <unsigned char *>DISCARD
        request.wire.size = 17
        request.command = &self.aborted
        request.conduct = CONDUCT_DISCARD
        request.edited = 1
        request.watched |= WATCHED_BY_STEP

    cdef void mark_broken(self, request_t *request) noexcept nogil:
        """To be called before a request (or a part of its run) is refused."""
        cdef size_t *state
        if request.session is not NULL:
            state = self.transaction(request.session)
            if state[0] & TX_OPEN:
                state[0] |= TX_BROKEN

    cdef bint abort_answer(self, request_t *request) noexcept nogil:
        """A reply on its way up. True: it was that of an aborted EXEC, and is dealt with."""
        cdef const char *text
        if request.command is not &self.aborted:
            return False
        text = self.abort_text(request)
        if text is NULL:
            self.pass_up(request)
        else:
            self.answer_take(request, <const unsigned char *>text, strlen(text))
        return True

    cdef const char *abort_text(self, request_t *request) noexcept nogil:
        """What the client of an aborted EXEC is told; NULL: what the server has said."""
        if request.discard or request.reply.size == 0:
            return NULL
        if request.reply.data[0] == b'+':
            return ABORTED
        if request.reply.size > 26 and memcmp(request.reply.data, b"-ERR DISCARD without MULTI", 26) == 0:
            return NO_MULTI
        return NULL

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if not self.abort_answer(request):
                self.pass_up(request)
