"""See refusing.pxd. Commands outside of transactions cost one comparison here."""

from libc.string cimport memcmp, strlen

from shotover._codec.commands cimport (
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MULTI,
    CONDUCT_QUIT,
    CONDUCT_REPLY_MODE,
    CONDUCT_RESET,
    CONDUCT_UNWATCH,
    command_find,
    word_is,
)
from shotover._codec.resp cimport resp_frame_size, resp_words
from shotover._core.debug cimport unlikely
from shotover._core.memory cimport chunk_put
from shotover._core.request cimport WATCHED_BY_STEP, batch_pop, request_add_reply
from shotover._core.slice cimport slice_t
from shotover._proxy.session cimport session_slots, session_t

cdef const char *DISCARD = b"*1\r\n$7\r\nDISCARD\r\n"
cdef const char *ABORTED = b"-EXECABORT Transaction discarded because of previous errors.\r\n"
cdef const char *NO_MULTI = b"-ERR EXEC without MULTI\r\n"


cdef bint ends_or_begins(request_t *request) noexcept nogil:
    """Commands that open or close something, CLIENT REPLY too; refusing one would leave server and client of two minds."""
    return (
        request.conduct == CONDUCT_MULTI or request.conduct == CONDUCT_EXEC or request.conduct == CONDUCT_DISCARD
        or request.conduct == CONDUCT_UNWATCH or request.conduct == CONDUCT_RESET or request.conduct == CONDUCT_QUIT
        or request.conduct == CONDUCT_REPLY_MODE
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
        elif request.conduct == CONDUCT_DISCARD:
            state[0] &= ~<size_t>TX_BITS
        elif request.conduct == CONDUCT_RESET:
            state[0] &= ~<size_t>SLOT_BITS
        elif request.conduct == CONDUCT_REPLY_MODE:
            self._reply_mode(request, state)
        elif request.conduct == CONDUCT_EXEC:
            if state[0] & TX_BROKEN:
                self.discard_instead(request)
            state[0] &= ~<size_t>TX_BITS

    cdef void _reply_mode(self, request_t *request, size_t *state) noexcept nogil:
        cdef slice_t words[3]
        if resp_words(request.wire.data, request.wire.data + request.wire.size, words, 3) != 3:
            return
        if word_is(&words[2], b"SKIP", 4) or state[0] & TX_OPEN:    # within a transaction it counts only later
            state[0] |= REPLY_SKIPPED
        elif word_is(&words[2], b"OFF", 3):
            state[0] |= REPLIES_OFF
        elif word_is(&words[2], b"ON", 2):
            state[0] &= ~<size_t>REPLIES_OFF

    cdef void refuse_with(self, request_t *request, const uint8_t *error, size_t size) noexcept nogil:
        """Answers each request of the run with this error, if its client counts on an answer."""
        cdef size_t state = 0
        if request.session is not NULL:
            self.mark_broken(request)
            state = <size_t>session_slots(<session_t *>request.session)[self.slot]
        self.failures_total += request.count
        request.failed = 1
        if unlikely(state & REPLIES_OFF):
            request.mute = 1
        elif unlikely(state & REPLY_SKIPPED):
            self.reply_take(request)            # failed and without a reply: that closes its client
            return
        self.answer_take(request, error, size)

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

    cdef void shorten(self, request_t *request, uint32_t count, uint64_t note) noexcept nogil:
        """Only the first `count` requests of the run go on; how many do not is kept in its tag, with a `note` of 31 bits.

        For steps that have asked for a tag: `self.tag = 0` in __init__.
        """
        cdef:
            uint8_t *at = request.wire.data
            uint32_t _index
        for _index in range(count):
            at += resp_frame_size(at, request.wire.data + request.wire.size)
        request.tags[self.tag] = <void *><size_t>(note << 32 | (request.count - count))
        request.wire.size = <size_t>(at - request.wire.data)
        request.count = count
        request.left = count
        request.watched |= WATCHED_BY_STEP

    cdef void lengthen(self, request_t *request, const uint8_t *error, size_t size) noexcept nogil:
        """Such a run on its way up: puts the errors behind the replies."""
        cdef:
            uint32_t more = shortened_by(request, self.tag)
            uint32_t _index
        request.tags[self.tag] = NULL
        request.count += more
        self.failures_total += more
        if request.discard or request.mute:
            return
        for _index in range(more):
            if not request_add_reply(&self.loop.pool, request, error, size):
                request.failed = 1
                request.begun = 1           # too few replies must not go out: its client is closed
                return

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if not self.abort_answer(request):
                self.pass_up(request)
