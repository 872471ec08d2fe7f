"""See in_band.pxd."""

from libc.string cimport strlen

from shotover._codec.commands cimport CONDUCT_PLAIN, word_is
from shotover._codec.resp cimport resp_words
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport batch_append, batch_clear, batch_pop, batch_push, request_own
from shotover._core.slice cimport slice_t
from shotover._proxy.refusing cimport REPLIES_OFF, REPLY_SKIPPED, TX_OPEN
from shotover._proxy.selecting cimport selected_t

cdef extern from "unistd.h" nogil:
    ssize_t write(int fd, const void *data, size_t size)

cdef const char *NO_RIGHT = b"this client may not use SHOTOVER: see in_band of its source"
cdef const char *IN_MULTI = b"SHOTOVER cannot be part of a transaction: ask before MULTI"
cdef const char *BUSY = b"SHOTOVER: too many questions at once, ask again"
cdef const char *LEAVING = b"SHOTOVER: the proxy is about to stop"
cdef const char *TOO_LONG = b"SHOTOVER: too many words; SHOTOVER HELP lists what may be asked"


cdef class InBand(SelectingStep):

    def __init__(self, context, *, row):
        self.wake_fd = -1
        self.reads_bodies = False
        self.set_rules([row])

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            batch_t    rest
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if request.command is NULL and self._is_question(request):
                self._ask(request)
                continue
            if request.conduct != CONDUCT_PLAIN and request.queued:
                self.client_of(request.session)     # where its transaction is noted
                self.track(request)
                self.follow_login(request)
            batch_push(&rest, request)
        if likely(rest.head is not NULL):
            self.pass_down(&rest)

    cdef bint _is_question(self, request_t *request) noexcept nogil:
        cdef slice_t word
        return (request.queued and not request.streamed
                and resp_words(request.wire.data, request.wire.data + request.wire.size, &word, 1) > 0
                and word_is(&word, b"SHOTOVER", 8))

    cdef void _ask(self, request_t *request) noexcept nogil:
        cdef:
            selected_t *client = self.client_of(request.session)
            size_t      state = self.transaction(request.session)[0]
            bint        first = self.held.head is NULL
        if unlikely(state & (REPLIES_OFF | REPLY_SKIPPED)):
            request.mute = 1                # nobody counts on an answer
            if state & REPLY_SKIPPED:       # or it is not known who does: without a reply its client is closed
                request.mute = 0
                request.failed = 1
            self.reply_take(request)
        elif state & TX_OPEN:
            self.mark_broken(request)
            self.refuse_take(request, b"ERR", IN_MULTI, strlen(IN_MULTI))
        elif client is NULL or self.select(request, client) == 0:
            self.refuse_take(request, b"NOPERM", NO_RIGHT, strlen(NO_RIGHT))
        elif self.draining:
            self.refuse_take(request, b"ERR", LEAVING, strlen(LEAVING))
        elif request.argc > WORDS_MAX:
            self.refuse_take(request, b"ERR", TOO_LONG, strlen(TOO_LONG))
        elif self.held.count + self.taken.count >= HELD_MAX or not request_own(&self.loop.pool, request):
            self.refuse_take(request, b"BUSY", BUSY, strlen(BUSY))
        else:
            batch_push(&self.held, request)
            if first and self.wake_fd >= 0:
                write(self.wake_fd, b"?", 1)    # a full pipe has woken it already

    cdef void on_drain(self) noexcept nogil:
        """The main thread has other things to do from now on."""
        self.draining = True
        self._refuse_all(&self.held)
        self._refuse_all(&self.taken)

    cdef bint on_retire(self, bint force) noexcept nogil:
        """Nobody waits any more for what is held."""
        self.draining = True
        self._refuse_all(&self.held)
        self._refuse_all(&self.taken)
        return True

    cdef void _refuse_all(self, batch_t *batch) noexcept nogil:
        while batch.head is not NULL:
            self.refuse_take(batch_pop(batch), b"ERR", LEAVING, strlen(LEAVING))

    # ---- for the main thread, by Worker.call ------------------------------------------------------------------------

    @property
    def has_questions(self):
        """From any thread: a hint."""
        return self.held.head is not NULL

    def take(self):
        """The words of all questions that have no reply, in order; `give` answers as many."""
        cdef:
            request_t *request
            slice_t    words[WORDS_MAX]
            uint32_t   count, index
        found = []
        batch_append(&self.taken, &self.held)
        request = self.taken.head
        while request is not NULL:
            count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS_MAX)
            found.append([<bytes>words[index].data[:words[index].size] for index in range(min(count, <uint32_t>WORDS_MAX))])
            request = request.next
        return found

    def give(self, list replies):
        """Whole replies as bytes, to those that were taken, in order."""
        cdef:
            const char *data
            size_t      size
        for reply in replies:
            data = reply
            size = len(reply)
            if self.taken.head is NULL:
                return                  # refused meanwhile: the proxy stops
            self.answer_take(batch_pop(&self.taken), <const unsigned char *>data, size)
