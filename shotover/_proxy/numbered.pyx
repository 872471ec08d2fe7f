"""See numbered.pxd."""

from libc.errno cimport ENOMEM, EPROTO, ETIMEDOUT
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from shotover._codec.codec cimport FRAMED_LZ4
from shotover._core.counters cimport histogram_add
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport slab_init
from shotover._core.request cimport (
    TOOK_LONG_NS,
    WATCHED_BY_PIECES,
    WATCHED_BY_SINK,
    WATCHED_FOR_ERROR,
    request_drop_reply,
    request_own,
    took_pack,
)
from shotover._core.status cimport BAD, NEED_DATA, status_t
from shotover._net.loop cimport (
    BORROW_MIN,
    CLOSE_LOCAL,
    stash_join,
    stash_keep,
    stream_close,
    stream_t,
    stream_write,
    stream_write_chunk,
)
from shotover._proxy.segments cimport segments_begin, segments_read
from shotover._proxy.session cimport session_answer, session_complete, session_stream, session_t

cdef enum:
    ROOM_FIRST = 128            # numbers of a new connection
    GATHER_MAX = 65536          # a reply that is cut and has no more bytes is gathered first: one write for its client
    EVENT_MAX = 1048576         # bytes of what answers nothing
    HEAD_ROOM = 32
    SILENT = 3                  # read time-outs without a byte, and the connection is taken for dead

cdef char FORGOTTEN_MARK
cdef void *FORGOTTEN = <void *>(<size_t>&FORGOTTEN_MARK & ~<size_t>1)


cdef inline bint _is_free(void *entry) noexcept nogil:
    return <size_t>entry & 1


cdef void _on_envelopes(stream_t *stream, uint8_t *data, size_t size) noexcept nogil:
    (<NumberedSink>(<upstream_t *>stream).sink)._read_frames(<upstream_t *>stream, data, size)


cdef inline void _hand_on(answers_t *answers) noexcept nogil:
    if answers.first is not NULL:
        session_answer(answers.first, answers.start, answers.size)
        answers.first = NULL


cdef class NumberedSink(Sink):

    def __cinit__(self, context, *args, **kwargs):
        slab_init(&self.upstreams, sizeof(numbered_t))

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef bint numbered_send(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """Takes over a request. False: no number is free, or no memory; it is still the caller's."""
        cdef numbered_t *numbered = <numbered_t *>upstream
        request.sent_ns = self.loop.now
        if likely(upstream.ready):
            return self._send(numbered, request)
        if upstream.pending >= self.numbers_max or not request_own(&self.loop.pool, request):
            return False
        upstream.pending += 1                   # what waits will need a number
        request.next = NULL
        if upstream.tail is NULL:
            upstream.head = request
        else:
            upstream.tail.next = request
        upstream.tail = request
        return True

    cdef bint _send(self, numbered_t *numbered, request_t *request) noexcept nogil:
        cdef:
            stream_t *stream = &numbered.upstream.stream
            uint32_t  number = numbered.free
            uint32_t  head_size
            uint8_t   head[HEAD_ROOM]
        if unlikely(number == numbered.room):
            if not self._grow(numbered):
                return False
            number = numbered.free
        numbered.free = <uint32_t>(<size_t>numbered.waiting[number] >> 1)
        numbered.waiting[number] = request
        numbered.upstream.pending += 1
        if likely(request.wire.size < BORROW_MIN):      # it is copied at once, so what it holds may be changed by the next
            self.codec.renumber(request.wire.data, number)
            stream_write(stream, request.wire.data, request.wire.size)
        else:
            head_size = self.codec.head_size
            memcpy(head, request.wire.data, head_size)
            self.codec.renumber(head, number)
            stream_write(stream, head, head_size)
            if request.owner is not NULL:
                stream_write_chunk(stream, request.owner, request.wire.data + head_size, request.wire.size - head_size)
            else:
                stream_write(stream, request.wire.data + head_size, request.wire.size - head_size)
        if unlikely(self.read_timeout_ns) and numbered.upstream.timer.home is NULL:
            numbered.upstream.progress_ns = self.loop.now
            self.loop.set_timer(&numbered.upstream.timer, self.read_timeout_ns)
        return True

    cdef bint _grow(self, numbered_t *numbered) noexcept nogil:
        """More numbers. False: there may be no more, or no memory."""
        cdef:
            uint32_t room = min(max(2 * numbered.room, <uint32_t>ROOM_FIRST), self.numbers_max)
            uint32_t number
            void   **grown
        if room <= numbered.room:
            return False
        grown = <void **>realloc(numbered.waiting, room * sizeof(void *))
        if grown is NULL:
            return False
        for number in range(numbered.room, room):
            grown[number] = <void *>(<size_t>(number + 1) << 1 | 1)
        numbered.waiting = grown
        numbered.free = numbered.room
        numbered.room = room
        return True

    cdef void numbered_greet(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """Takes over a request that goes out before what waits for the connection to be ready; its sink_state is not 0."""
        request.sent_ns = self.loop.now
        if not self._send(<numbered_t *>upstream, request):
            self._give_up(upstream, request, ENOMEM)
            stream_close(&upstream.stream, ENOMEM)
        elif self.connect_timeout_ns:
            self.loop.cancel_timer(&upstream.timer)
            self.loop.set_timer(&upstream.timer, self.connect_timeout_ns)

    cdef void numbered_ready(self, upstream_t *upstream) noexcept nogil:
        """Greeting done: what was queued goes out."""
        cdef request_t *request
        self.loop.cancel_timer(&upstream.timer)
        upstream.ready = 1
        while upstream.head is not NULL:
            request = upstream.head
            upstream.head = request.next
            if upstream.head is NULL:
                upstream.tail = NULL
            request.next = NULL
            upstream.pending -= 1
            if not self._send(<numbered_t *>upstream, request):
                self._give_up(upstream, request, ENOMEM)

    cdef void numbered_retire(self, upstream_t *upstream) noexcept nogil:
        """Nothing more will be sent on it (the caller sees to that); it closes when all is answered."""
        (<numbered_t *>upstream).retired = 1
        self._close_if_done(<numbered_t *>upstream)

    cdef void _close_if_done(self, numbered_t *numbered) noexcept nogil:
        if numbered.upstream.pending == numbered.forgotten and numbered.rest == 0:
            stream_close(&numbered.upstream.stream, CLOSE_LOCAL)

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void read(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil:
        if unlikely(upstream.stream.framing is not NULL):
            segments_read(&upstream.stream, data, size)
        else:
            self._read_frames(upstream, data, size)

    cdef void numbered_frame(self, upstream_t *upstream, int framed) noexcept nogil:
        """From here on frames travel in something: FRAMED_*."""
        if framed and not segments_begin(&upstream.stream, framed == FRAMED_LZ4, _on_envelopes):
            stream_close(&upstream.stream, ENOMEM)

    cdef void _read_frames(self, upstream_t *upstream, uint8_t *data, size_t size) noexcept nogil:
        cdef:
            numbered_t *numbered = <numbered_t *>upstream
            head_t      head
            uint8_t    *end
            uint8_t    *at = stash_join(&upstream.stream, data, size, &end)
            size_t      need
            status_t    status
            answers_t   answers
        answers.first = NULL
        if at is NULL:
            stream_close(&upstream.stream, ENOMEM)
            return
        if unlikely(upstream.stream.stash is not NULL and <size_t>(end - at) < upstream.stream.stash.need):
            return
        if unlikely(numbered.rest):
            at = self._go_on(numbered, at, end)
        need = 0
        while at < end and not upstream.stream.closed:
            status = self.codec.head(at, end, &head)
            if unlikely(status == NEED_DATA):
                need = self.codec.head_size
                break
            if unlikely(status == BAD or (head.push and head.size > EVENT_MAX)):
                self.garbage_total += 1
                _hand_on(&answers)
                stream_close(&upstream.stream, EPROTO)
                return
            if unlikely(<uint64_t>(end - at) < head.size and (head.push or head.size <= GATHER_MAX)):
                need = <size_t>head.size
                break
            if unlikely(head.push):
                _hand_on(&answers)
                self.on_event(upstream, at, <size_t>head.size)
                at += head.size
            elif likely(<uint64_t>(end - at) >= head.size):
                self._begin_reply(numbered, at, <size_t>head.size, &head, &answers)
                at += head.size
            else:
                self._begin_reply(numbered, at, <size_t>(end - at), &head, &answers)
                at = end
        _hand_on(&answers)
        if unlikely(upstream.stream.stash is not NULL or at < end) and not upstream.stream.closed:
            if not stash_keep(&upstream.stream, at, end, need):
                stream_close(&upstream.stream, ENOMEM)
        if unlikely(numbered.retired):
            self._close_if_done(numbered)

    cdef void _begin_reply(
        self, numbered_t *numbered, uint8_t *frame, size_t have, head_t *head, answers_t *answers
    ) noexcept nogil:
        """A reply of which the first `have` bytes are here."""
        cdef:
            uint32_t   number = head.number
            void      *entry
            request_t *request
        if unlikely(number >= numbered.room or _is_free(numbered.waiting[number])):
            self.garbage_total += 1             # it answers nothing that was asked
            numbered.current = NULL
            numbered.rest = head.size - have
            return
        entry = numbered.waiting[number]
        numbered.waiting[number] = <void *>(<size_t>numbered.free << 1 | 1)
        numbered.free = number
        numbered.upstream.pending -= 1
        if unlikely(entry is FORGOTTEN):
            numbered.forgotten -= 1
            numbered.current = NULL
            numbered.rest = head.size - have
            return
        request = <request_t *>entry
        self.codec.renumber(frame, request.stream)
        if unlikely(head.error):
            self.error_replies_total += 1
            if self.chain.errors:
                request.watched |= WATCHED_FOR_ERROR
            if request.sink_state:              # it may not be the last word: on_finished looks at it first
                request.watched |= WATCHED_BY_SINK
        if likely(have == head.size and request.queued and not request.watched and not request.sink_state):
            self._note(request)
            self._gather(answers, request, frame, have)
            return
        _hand_on(answers)
        self._deliver(request, frame, have)
        if likely(have == head.size):
            self._finish(numbered, request)
        else:
            numbered.current = request
            numbered.rest = head.size - have

    cdef void _gather(self, answers_t *answers, request_t *request, uint8_t *frame, size_t size) noexcept nogil:
        """A whole reply that no step watches: it goes to its client with its neighbours, in one piece."""
        cdef bint plain = not request.discard and request.reply.size == 0 and request.upload is NULL
        if answers.first is not NULL:
            if likely(plain and request is answers.last.after and frame is answers.start + answers.size
                      and answers.size + size < BORROW_MIN):
                request.done = 1
                answers.last = request
                answers.size += size
                return
            _hand_on(answers)
        if likely(plain and (<session_t *>request.session).order_head is request):
            request.done = 1
            answers.first = request
            answers.last = request
            answers.start = frame
            answers.size = size
        else:
            session_stream(request, frame, size)
            session_complete(request)

    cdef uint8_t *_go_on(self, numbered_t *numbered, uint8_t *at, uint8_t *end) noexcept nogil:
        """More of a reply that has begun. Returns what follows it."""
        cdef:
            size_t     size = <size_t>min(numbered.rest, <uint64_t>(end - at))
            request_t *request = numbered.current
        numbered.rest -= size
        if request is not NULL:
            self._deliver(request, at, size)
            if numbered.rest == 0:
                numbered.current = NULL
                self._finish(numbered, request)
        return at + size

    cdef inline void _note(self, request_t *request) noexcept nogil:
        """It has been answered: how long that took."""
        request.left = 0
        histogram_add(self.wait, self.loop.now - request.sent_ns, 1)
        histogram_add(self.held, request.sent_ns - request.arrived_ns, 1)
        if unlikely(self.loop.now - request.arrived_ns >= TOOK_LONG_NS):
            request.took = took_pack(self.loop.now - request.sent_ns)
        request.sent_ns = self.loop.now

    cdef void _finish(self, numbered_t *numbered, request_t *request) noexcept nogil:
        """Its reply is whole."""
        self._note(request)
        if unlikely(request.sink_state):
            self.on_finished(&numbered.upstream, request)
        else:
            self.complete(request)

    # ---- what does not come -------------------------------------------------------------------------------------

    cdef void abandon(self, upstream_t *upstream, int error) noexcept nogil:
        cdef:
            numbered_t *numbered = <numbered_t *>upstream
            request_t  *request = numbered.current
            uint32_t    number
            void       *entry
        numbered.current = NULL
        if request is not NULL:                 # the client has half of its reply, or this has been gathered
            if request.queued and request.begun and (not request.watched or request.watched == WATCHED_BY_PIECES):
                request.failed = 1
                request.left = 0
                request_drop_reply(&self.loop.pool, request)
                self.complete(request)
            else:
                request_drop_reply(&self.loop.pool, request)
                self._give_up(upstream, request, error)
        for number in range(numbered.room):
            entry = numbered.waiting[number]
            if not _is_free(entry) and entry is not FORGOTTEN:
                self._give_up(upstream, <request_t *>entry, error)
        free(numbered.waiting)
        numbered.waiting = NULL
        numbered.room = 0
        numbered.free = 0
        while upstream.head is not NULL:
            request = upstream.head
            upstream.head = request.next
            request.next = NULL
            self._give_up(upstream, request, error)
        upstream.tail = NULL
        upstream.pending = 0

    cdef void _give_up(self, upstream_t *upstream, request_t *request, int error) noexcept nogil:
        if request.sink_state and self.on_request_lost(upstream, request, error):
            return
        if upstream.ready:
            self.fail_errno(request, b"upstream connection lost", error)
        else:
            self.unreachable(request, error)

    cdef void check_timeout(self, upstream_t *upstream) noexcept nogil:
        """Looks for the oldest request, and sets the timer to when that is due: so sending one costs nothing."""
        cdef:
            numbered_t *numbered = <numbered_t *>upstream
            uint64_t    now = self.loop.now
            uint64_t    oldest = now
            uint32_t    number
            void       *entry
            uint64_t    before = self.timeouts_total
            bint        left = False
        if not upstream.ready:
            self.timeouts_total += 1
            if upstream.connected:
                self.timed_out()                # its greeting was not answered
            stream_close(&upstream.stream, ETIMEDOUT)
            return
        for number in range(numbered.room):
            entry = numbered.waiting[number]
            if _is_free(entry) or entry is FORGOTTEN:
                continue
            if (<request_t *>entry).sent_ns + self.read_timeout_ns <= now:
                self._expire(numbered, number)
            else:
                left = True
                oldest = min(oldest, (<request_t *>entry).sent_ns)
        if self.timeouts_total != before:
            self.timed_out()                    # once, however many were due
        if upstream.stream.closed or self.read_timeout_ns == 0:
            return
        if (numbered.forgotten and now - upstream.progress_ns >= SILENT * self.read_timeout_ns) or (
            numbered.rest and now - upstream.progress_ns >= self.read_timeout_ns     # a reply has stopped in the middle
        ):
            stream_close(&upstream.stream, ETIMEDOUT)
            return
        if numbered.forgotten * 2 >= self.numbers_max and not numbered.retired:
            self.on_retired(upstream)
            self.numbered_retire(upstream)
        if upstream.stream.closed:
            return
        if left:
            self.loop.set_timer(&upstream.timer, oldest + self.read_timeout_ns - now)
        elif numbered.forgotten or numbered.rest:
            self.loop.set_timer(&upstream.timer, self.read_timeout_ns)

    cdef void _expire(self, numbered_t *numbered, uint32_t number) noexcept nogil:
        """Nobody waits for it any longer; its number stays taken until the reply comes."""
        cdef request_t *request = <request_t *>numbered.waiting[number]
        self.timeouts_total += 1
        numbered.waiting[number] = FORGOTTEN
        numbered.forgotten += 1
        if request.sink_state and self.on_request_lost(&numbered.upstream, request, ETIMEDOUT):
            return
        self.fail(request, b"the server has not answered in time (read_timeout)")

    cdef void numbered_overdue(self, upstream_t *upstream, uint64_t before_ns) noexcept nogil:
        """Shows `on_overdue` what was sent by then and has no reply. All are looked at, so that sending costs nothing."""
        cdef:
            numbered_t *numbered = <numbered_t *>upstream
            request_t  *instead
            uint32_t    number
            void       *entry
        for number in range(numbered.room):
            entry = numbered.waiting[number]
            if _is_free(entry) or entry is FORGOTTEN or (<request_t *>entry).sent_ns > before_ns:
                continue
            instead = self.on_overdue(upstream, <request_t *>entry)
            if instead is not NULL:
                numbered.waiting[number] = instead

    # ---- for subclasses -----------------------------------------------------------------------------------------

    cdef request_t *on_overdue(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """Called by `numbered_overdue`; it may send on other connections. Another request that gets the reply instead, and
        `request` has been taken over; or NULL."""
        return NULL

    cdef void on_finished(self, upstream_t *upstream, request_t *request) noexcept nogil:
        """A request with sink_state != 0 has its reply, gathered where it is watched. Takes it over."""
        self.complete(request)

    cdef bint on_request_lost(self, upstream_t *upstream, request_t *request, int error) noexcept nogil:
        """A request with sink_state != 0 will not be answered. True: it was the sink's own, and is dealt with."""
        return False

    cdef void on_event(self, upstream_t *upstream, uint8_t *frame, size_t size) noexcept nogil:
        """A whole frame that answers nothing."""
        pass

    cdef void on_retired(self, upstream_t *upstream) noexcept nogil:
        """Too many of its numbers are stuck: nothing more may be sent on it."""
        pass
