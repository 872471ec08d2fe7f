"""See session.pxd. Journey: decode -> chain.submit -> ... -> session_stream / session_complete -> stream_write."""

from libc.errno cimport ENOMEM
from libc.limits cimport INT_MAX
from libc.stdlib cimport calloc, free
from libc.string cimport memset, strlen

from shotover._codec.codec cimport FRAMED_LZ4, MERGE_NONE, decode_t, resume_t
from shotover._core.counters cimport histogram_add, histogram_value
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_put, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport LOST, batch_clear, batch_pop, request_add_reply
from shotover._core.request cimport request_drop_reply, request_own_reply
from shotover._core.status cimport BAD, HEAD, NEED_DATA, NO_MEMORY, OK, status_t
from shotover._net.loop cimport (
    CLOSE_LOCAL,
    stash_drop,
    stash_join,
    stash_keep,
    stream_close,
    stream_finish,
    stream_ops_t,
    stream_write,
    stream_write_chunk,
)
from shotover._net.peer cimport peer_parse
from shotover._proxy.inside cimport Inside
from shotover._proxy.order cimport order_append, order_behind_first, order_insert, order_to_front
from shotover._proxy.segments cimport segments_begin, segments_read
from shotover._proxy.step cimport LOG_WARNING
from shotover._proxy.upload cimport (
    upload_abort,
    upload_begin,
    upload_close_target,
    upload_data,
    upload_detach,
    upload_end,
)

from shotover._net.tls import tls_samples
from shotover._proxy.step import assign_notes, assign_slots


cdef enum:
    STREAM_MIN = 65536              # bytes of a request that is cut, from which on it is not gathered
    RETIRE_NS = 30000000000         # what is under way when the last client of a source that leaves has gone may last so long
    BLOCKED_MORE = 65536            # requests read beyond pending_max while one blocks: who is not read cannot be seen to leave

cdef const char *TOO_BIG = b"shotover: the request takes more than half of client_memory_limit"


# ---- what the loop tells a session ------------------------------------------------------------------------------

cdef void _on_data(stream_t *stream, uint8_t *data, size_t size) noexcept nogil:
    cdef session_t *session = <session_t *>stream
    if unlikely(session.leaving) and not session_is_uploading(session):
        return
    if unlikely(stream.framing is not NULL):
        segments_read(stream, data, size)
    else:
        (<Source>session.source).decode(session, data, size)


cdef void _on_envelopes(stream_t *stream, uint8_t *data, size_t size) noexcept nogil:
    if likely(not (<session_t *>stream).leaving):
        (<Source>(<session_t *>stream).source).decode(<session_t *>stream, data, size)


cdef void _on_eof(stream_t *stream) noexcept nogil:
    """A client that has finished sending still gets its replies; the chain decides which of them may never come."""
    cdef session_t *session = <session_t *>stream
    if unlikely(session.upload is not NULL):
        upload_abort(<Source>session.source, session, b"shotover: the request was cut short")
    session_leave(session)
    if session.order_head is not NULL:
        (<Source>session.source).chain.session_eof(session)


cdef void _on_connected(stream_t *stream) noexcept nogil:
    pass


cdef void _on_drained(stream_t *stream) noexcept nogil:
    session_resume(<session_t *>stream, PAUSE_OUTPUT)
    if (<session_t *>stream).pauses & PAUSE_MEMORY:
        (<Source>(<session_t *>stream).source).check_memory(<session_t *>stream)
    (<Source>(<session_t *>stream).source).chain.session_drained(stream)


cdef void _on_close(stream_t *stream, int error) noexcept nogil:
    (<Source>(<session_t *>stream).source).end_session(<session_t *>stream)


cdef void _on_free(stream_t *stream) noexcept nogil:
    slab_give(&(<Source>(<session_t *>stream).source).session_slab, stream)


cdef stream_ops_t SESSION_OPS
SESSION_OPS.on_data = _on_data
SESSION_OPS.on_eof = _on_eof
SESSION_OPS.on_connected = _on_connected
SESSION_OPS.on_drained = _on_drained
SESSION_OPS.on_close = _on_close
SESSION_OPS.on_free = _on_free


# ---- pausing ----------------------------------------------------------------------------------------------------

cdef void session_pause(session_t *session, uint8_t reason) noexcept nogil:
    """Stops reading the client; TCP then slows it down. What is already decoded still runs."""
    session.pauses |= reason
    if not session.stream.closed:
        (<Source>session.source).loop.want(&session.stream.handle, False)


cdef void session_resume(session_t *session, uint8_t reason) noexcept nogil:
    if not session.pauses & reason:
        return
    session.pauses &= ~reason
    if session.pauses == 0 and not session.stream.closed:      # also when it is leaving: to hear that it has gone
        (<Source>session.source).loop.want(&session.stream.handle, True)


cdef void session_leave(session_t *session) noexcept nogil:
    """Reads no more than the rest of a request that has begun to run; answers what is pending, then closes."""
    session.leaving = 1
    if not session_is_uploading(session):
        stash_drop(&session.stream)
        if session.order_head is NULL:
            stream_finish(&session.stream)


cdef const peer_t *session_peer(session_t *session) noexcept nogil:
    """The client's address, as a proxy in front said or the system, asked once; PEER_NONE for UNIX sockets. NULL: no memory."""
    return (<Source>session.source).peer_of(&session.stream)


# ---- replies ----------------------------------------------------------------------------------------------------

cdef inline void _check_output(session_t *session, Source source) noexcept nogil:
    if unlikely(source.client_memory_max):
        source.check_memory(session)
    if likely(not session.stream.over_high):
        return
    if session.stream.out_size > source.output_max:
        source.slow_readers += 1
        stream_close(&session.stream, CLOSE_LOCAL)
    elif not session.pauses & PAUSE_OUTPUT:
        session_pause(session, PAUSE_OUTPUT)


cdef void session_stream(request_t *request, const uint8_t *data, size_t size) noexcept nogil:
    """A part of the reply of a request that no step watches. Goes out at once if it is its turn, else is kept."""
    cdef session_t *session = <session_t *>request.session
    if session is NULL or request.discard:
        return
    if unlikely((<Source>session.source).numbered) and session.order_head is not request and not session.order_head.begun:
        order_to_front(session, request)
    if likely(session.order_head is request):
        request.begun = 1
        if unlikely(request.reply.size):        # it came while a step still held the reply before it
            stream_write(&session.stream, request.reply.data, request.reply.size)
            request_drop_reply(&(<Source>session.source).loop.pool, request)
        stream_write(&session.stream, data, size)
        _check_output(session, <Source>session.source)
    elif not request_add_reply(&(<Source>session.source).loop.pool, request, data, size):
        stream_close(&session.stream, ENOMEM)
    else:
        session.bytes += size
        request.charged += size
        if unlikely((<Source>session.source).client_memory_max):
            (<Source>session.source).check_memory(session)


cdef void session_push(session_t *session, const uint8_t *data, size_t size) noexcept nogil:
    """Bytes that answer no request: a published message, an invalidation. They do not overtake replies that servers have
    given (left 0) and that wait for their turn, and do not get into the middle of one that is another server's (begun)."""
    cdef:
        request_t *before = NULL
        request_t *after = session.order_head
    while unlikely(after is not NULL and after.left == 0):
        before = after
        after = after.after
    while unlikely(after is not NULL):
        if after.begun or (after.left == 0 and after.sent_ns):
            before = after
        after = after.after
    if likely(before is NULL):
        stream_write(&session.stream, data, size)
        _check_output(session, <Source>session.source)
    else:
        _push_behind(before, session, <Source>session.source, data, size)


cdef void _push_behind(request_t *before, session_t *session, Source source, const uint8_t *data, size_t size) noexcept nogil:
    """A push takes its place in the order, as a request that is done."""
    cdef request_t *push = source.hub.request_new(source.chain)
    if push is NULL or not request_add_reply(&source.loop.pool, push, data, size):
        if push is not NULL:
            source.hub.request_free(push)
        stream_close(&session.stream, ENOMEM)
        return
    push.session = session
    push.charged = size
    session.bytes += size
    push.count = 0
    push.left = 0
    push.queued = 1
    push.done = 1
    order_insert(session, push, before)


cdef void session_complete(request_t *request) noexcept nogil:
    """Takes over a request whose reply is whole (in `reply`, or already sent); releases what may go now."""
    cdef session_t *session = <session_t *>request.session
    request.done = 1
    if unlikely(request.sampled):
        (<Inside>(<Source>session.source).within).sample_ends(session, request)
    if unlikely(request.tells) and session is not NULL and request.queued and session.talk is not NULL:
        (<Source>session.source).codec.learn(request, session.talk, &(<Source>session.source).loop.pool)
    if unlikely(request.upload is not NULL):
        upload_detach(<upload_t *>request.upload)
    if session is NULL or not request.queued:       # its client has gone; `session` may be a memory of it
        (<Chain>request.chain).hub.request_free(request)
        return
    if unlikely((<Source>session.source).numbered) and session.order_head is not request:
        if session.order_head.begun:
            order_behind_first(session, request)     # half a reply stands before it: nothing may get into the middle
        else:
            order_to_front(session, request)
    if session.order_head is request:
        _release(session, <Source>session.source)
    elif not request_own_reply(&(<Source>session.source).loop.pool, request):
        stream_close(&session.stream, ENOMEM)
    else:
        session.bytes -= request.charged
        request.charged = request.wire.size + request.reply.size
        session.bytes += request.charged
        if unlikely((<Source>session.source).client_memory_max):
            (<Source>session.source).check_memory(session)


cdef void session_answer(request_t *first, const uint8_t *data, size_t size) noexcept nogil:
    """`data` has the whole replies of the requests at the head of a session's order, from `first` on, which are done."""
    cdef session_t *session = <session_t *>first.session
    stream_write(&session.stream, data, size)
    _release(session, <Source>session.source)


cdef void _release(session_t *session, Source source) noexcept nogil:
    """Sends finished replies from the head of the order."""
    cdef:
        request_t *request
        uint64_t   waited
        uint64_t   before = source.replies_total
    while session.order_head is not NULL and session.order_head.done:
        request = session.order_head
        session.order_head = request.after
        if request.after is NULL:
            session.order_tail = NULL
        if unlikely(request.discard):
            if request.failed and not session.stream.finishing:
                stream_close(&session.stream, CLOSE_LOCAL)      # there was no memory for all of the reply
        elif request.reply.size:
            if request.begun and request.failed:
                stream_close(&session.stream, CLOSE_LOCAL)      # half a reply cannot be mended
            elif request.reply_owner is not NULL:
                stream_write_chunk(&session.stream, request.reply_owner, request.reply.data, request.reply.size)
            else:
                stream_write(&session.stream, request.reply.data, request.reply.size)
        elif request.failed == LOST and not request.mute:
            _close_here(session)
        elif request.failed and not request.mute:
            stream_close(&session.stream, CLOSE_LOCAL)          # an answer was owed and could not be made
        if unlikely(source.numbered and source.codec.framed_after(request)) and not segments_begin(
                &session.stream, source.codec.framed_after(request) == FRAMED_LZ4, _on_envelopes):
            stream_close(&session.stream, ENOMEM)
        session.pending -= request.count
        session.bytes -= request.charged
        source.replies_total += request.count
        waited = source.loop.now - request.arrived_ns
        histogram_add(source.chain.latency, waited, request.count)
        if unlikely(waited >= source.slow_ns):
            (<Inside>source.within).was_slow(session, request, waited)
        if request.sent_ns:
            histogram_add(source.kept, source.loop.now - request.sent_ns, request.count)
        if request.failed:
            source.chain.failures_total += request.count
        source.hub.request_free(request)
    source.chain.count_replies(source.replies_total - before)
    _check_output(session, <Source>session.source)
    if session.pauses & PAUSE_PENDING and session.pending <= source.pending_max // 2:
        session_resume(session, PAUSE_PENDING)
    if session.leaving and not session_is_uploading(session):
        if unlikely(session.upload is not NULL):
            upload_close_target(session.upload)
        if session.order_head is NULL:
            stream_finish(&session.stream)
        elif session.stream.ended:
            source.chain.session_eof(session)           # is the one that is the oldest now a wait without end?


cdef void _close_here(session_t *session) noexcept nogil:
    """In place of the reply whose turn it is the connection closes, behind those that have been given."""
    cdef request_t *request = session.order_head
    while request is not NULL:
        request.discard = 1
        request = request.after
    session.leaving = 1
    stream_finish(&session.stream)


cdef class SourceTop(Step):

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        while batch.head is not NULL:
            session_complete(batch_pop(batch))

    cdef void on_piece(self, request_t *request, const uint8_t *data, size_t size) noexcept nogil:
        if unlikely(request.sampled):
            (<Inside>(<Source>(<session_t *>request.session).source).within).grew(request, size, True)
        session_stream(request, data, size)

    cdef void on_push(self, void *session, const uint8_t *data, size_t size) noexcept nogil:
        session_push(<session_t *>session, data, size)

    cdef void on_leave(self, void *session) noexcept nogil:
        session_leave(<session_t *>session)


# ---- sessions -----------------------------------------------------------------------------------------------

cdef void _on_idle(timer_t *timer) noexcept nogil:
    _check_idle(<session_t *>timer.owner, <Source>(<session_t *>timer.owner).source)


cdef void _check_idle(session_t *session, Source source) noexcept nogil:
    """Time-outs are exact without touching the timer for every request: when it fires early, it is set again."""
    cdef uint64_t due = session.idle.active_ns + source.idle_ns
    if session.order_head is not NULL and (session.upload is NULL or session.pauses):
        source.loop.set_timer(&session.idle.timer, source.idle_ns)     # waiting for the server is not idling
    elif due > source.loop.now:
        source.loop.set_timer(&session.idle.timer, due - source.loop.now)
    else:
        source.idle_closed += 1
        stream_close(&session.stream, CLOSE_LOCAL)


cdef void _on_deadline(timer_t *timer) noexcept nogil:
    if (<Source>timer.owner).retiring:
        (<Source>timer.owner).overdue = True
    else:
        (<Source>timer.owner).cut()


cdef class Source(Acceptor):
    """Made by Worker.listen and Worker.replace. All numbers are checked by the configuration."""

    def __init__(self, str name, hub, Chain chain, dict options):
        self.name = name
        self.hub = hub
        self.loop = hub.loop
        self.chain = chain
        self.codec = chain.codec
        self.connection_limit = options["connection_limit"]
        self.hard_limit = options["hard_connection_limit"]
        self.idle_ns = int((options["timeout"] or 0) * 1e9)
        self.pending_max = options["max_pending_requests"]
        self.output_max = options["client_output_buffer_bytes"]
        self.client_memory_max = options["client_memory_limit"] or 0
        self.memory = options.get("memory") or Share(options["memory_limit"] or 0)
        self.limits.frame_bytes_max = options["max_frame_bytes"]
        self.limits.arguments_max = options.get("max_arguments", 0)
        self.limits.inline_bytes_max = options.get("max_inline_bytes", 0)
        self.numbered = self.codec.numbered
        self.codec.configure(options)
        self.slot_count = assign_slots(chain, 0)
        assign_notes(chain)
        self.kept = <histogram_t *>calloc(1, sizeof(histogram_t))
        if self.kept is NULL:
            raise MemoryError()
        self.session_size = sizeof(session_t) + self.slot_count * sizeof(void *)
        self.session_size += self.codec.talk_size if chain.statements else 0
        slab_init(&self.session_slab, self.session_size)
        slab_init(&self.idle_slab, sizeof(idle_t))
        slab_init(&self.upload_slab, sizeof(upload_t))
        slab_init(&self.peer_slab, sizeof(peer_t))
        self.set_tls(options)
        self.slow_ns = <uint64_t>-1
        self._set_inside(options.get("inside"))

    def _set_inside(self, dict options):
        """What is noted of its traffic; None: nothing."""
        cdef Inside inside
        if options is None:
            return
        inside = Inside(self.hub, cql=self.numbered, **options)
        self.inside = inside
        self.within = <void *>inside
        self.samples_keys = inside.chance > 0
        self.notes_keys = bool(options.get("slow_keep"))
        self.slow_ns = inside.slow_ns

    def __dealloc__(self):
        slab_close(&self.session_slab)
        slab_close(&self.idle_slab)
        slab_close(&self.upload_slab)
        slab_close(&self.peer_slab)
        free(self.kept)

    cdef void begin(self, int fd) noexcept nogil:
        """A new session on an accepted socket."""
        cdef session_t *session = <session_t *>slab_take(&self.session_slab)
        if session is NULL:
            self.door.close_fd(fd)
            return
        memset(session, 0, self.session_size)
        if self.loop.attach(&session.stream, fd, &SESSION_OPS) != 0:
            self.door.accept_failures_total += 1
            slab_give(&self.session_slab, session)
            self.door.close_fd(fd)
            return
        if self.chain.statements and self.codec.talk_size:
            session.talk = session_slots(session) + self.slot_count
        self.loop.poller.system.tune(self.loop.poller, fd, self.door.family)
        self.session_ids += 1
        self.opened_total += 1
        session.id = self.session_ids
        session.source = <void *>self
        session.stream.sent_total = &self.sent_bytes
        session.next = self.sessions
        if self.sessions is not NULL:
            self.sessions.previous = session
        self.sessions = session
        self.session_count += 1
        self.door.connections += 1
        self.let_in(&session.stream)
        if self.idle_ns:
            session.idle = <idle_t *>slab_take(&self.idle_slab)
            if session.idle is not NULL:
                memset(session.idle, 0, sizeof(idle_t))
                session.idle.timer.fire = _on_idle
                session.idle.timer.owner = session
                session.idle.active_ns = self.loop.now
                self.loop.set_timer(&session.idle.timer, self.idle_ns)

    cdef void end_session(self, session_t *session) noexcept nogil:
        """The stream is dead: whatever waits for this client completes into nothing."""
        cdef:
            request_t *request = session.order_head
            request_t *following
        while request is not NULL:
            following = request.after
            request.after = NULL
            request.session = NULL
            request.discard = 1
            request.queued = 0
            if request.sampled:
                (<Inside>self.within).sample_lost(request)
            if request.done:
                self.hub.request_free(request)
            request = following
        session.order_head = NULL
        session.order_tail = NULL
        if session.upload is not NULL and session.upload.request is not NULL:
            session.upload.request.upload = NULL
            session.upload.request = NULL
        self.chain.session_end(session)
        if session.upload is not NULL:
            upload_end(self, session)
        if session.idle is not NULL:
            self.loop.cancel_timer(&session.idle.timer)
            slab_give(&self.idle_slab, session.idle)
            session.idle = NULL
        if session.peer is not NULL:
            if session.peer.counted:
                self.addresses.leave(session.peer)
            slab_give(&self.peer_slab, session.peer)
            session.peer = NULL
        if session.previous is not NULL:
            session.previous.next = session.next
        else:
            self.sessions = session.next
        if session.next is not NULL:
            session.next.previous = session.previous
        self.session_count -= 1
        self.door.connections -= 1
        self.door.check_limit()

    cdef void decode(self, session_t *session, uint8_t *data, size_t size) noexcept nogil:
        """New bytes of a client: cut into requests, which join this turn's batch of the chain."""
        cdef:
            decode_t   decode
            resume_t   resume
            follow_t   follow
            batch_t    batch
            uint8_t   *at
            uint8_t   *end
            request_t *request
            status_t   status
            bint       sampled = False
        if session.idle is not NULL:
            session.idle.active_ns = self.loop.now
        self.received_bytes += size
        at = stash_join(&session.stream, data, size, &end)
        if unlikely(at is NULL):
            stream_close(&session.stream, ENOMEM)
            return
        resume.offset = 0
        decode.owner = NULL
        if session.stream.stash is not NULL:
            if <size_t>(end - at) < session.stream.stash.need:
                return
            resume = (<resume_t *>session.stream.stash.note)[0]
            decode.owner = session.stream.stash.chunk
        if unlikely(session.upload is not NULL):
            at = upload_data(self, session, at, end)
            if at is NULL:
                return
        batch_clear(&batch)
        decode.at = at
        decode.end = end
        decode.slab = &self.hub.requests
        decode.pool = &self.loop.pool
        decode.batch = &batch
        decode.limits = &self.limits
        decode.resume = &resume
        decode.session = session
        decode.chain = <void *>self.chain
        decode.talk = session.talk
        decode.now = self.loop.now
        decode.merge = self.chain.merge
        if unlikely(self.samples_keys) and (<Inside>self.within).begins_sample():
            sampled = True
            decode.merge = MERGE_NONE
        decode.stream_min = STREAM_MIN if self.chain.upload_room else 0
        decode.follow = &follow
        decode.requests = 0
        decode.error_chunk = NULL
        decode.error_whole = 0
        decode.error_limit = 0
        status = self.codec.decode(&decode)
        self.requests_total += decode.requests
        if unlikely(status == HEAD):
            status = OK if upload_begin(self, session, &batch, &follow) else NO_MEMORY
        while batch.head is not NULL:
            request = batch_pop(&batch)
            self._enqueue(session, request)
            if unlikely(request.left == 0):
                session_complete(request)       # decode knows the answer
            else:
                if unlikely(self.notes_keys or sampled):
                    (<Inside>self.within).look(request, sampled)
                self.chain.submit(request)
        if status == NEED_DATA:
            if unlikely(not stash_keep(&session.stream, decode.at, decode.end, decode.need)):
                stream_close(&session.stream, ENOMEM)
            elif likely(session.stream.stash is not NULL):
                (<resume_t *>session.stream.stash.note)[0] = resume
                if unlikely(self.client_memory_max
                            and max(decode.need, session.stream.stash.chunk.size) > self.client_memory_max // 2):
                    self.over_client_memory += 1
                    self.end_with(session, b"OOM", TOO_BIG, strlen(TOO_BIG))
        elif status == OK:
            if session.stream.stash is not NULL:
                stash_drop(&session.stream)
        elif status == BAD:
            self.protocol_errors += 1
            self.over_requests += decode.error_limit
            if decode.error is NULL:
                stream_close(&session.stream, CLOSE_LOCAL)
            elif decode.error_whole:
                self.end_with_reply(session, <const uint8_t *>decode.error, decode.error_size)
            else:
                self.protocol_error(session, decode.error, decode.error_size)
            if decode.error_chunk is not NULL:
                chunk_put(&self.loop.pool, decode.error_chunk)
        else:
            stream_close(&session.stream, ENOMEM)
        if unlikely(session.upload is not NULL):
            session_resume(session, PAUSE_PENDING)      # it is pending until its rest has come
        elif unlikely(session.pending >= self.pending_max) and (
            not session.blocking or session.pending >= self.pending_max + BLOCKED_MORE
        ):
            self.over_pending += 1
            session_pause(session, PAUSE_PENDING)
        if unlikely(self.client_memory_max):
            self.check_memory(session)
        if unlikely(session.upload is not NULL and size > 0):
            self.chain.run_now()                # more may come in this turn: it should find its way open

    cdef void check_memory(self, session_t *session) noexcept nogil:
        """client_memory_limit: from half of it on a client is not read until it is down to a quarter; beyond it, it goes."""
        cdef uint64_t bytes = session.bytes + session.stream.out_size   # what can become less without its being read
        if session_bytes(session) > self.client_memory_max:
            if not session.stream.closed and not session.leaving:
                self.over_client_memory += 1
                self.hub.log(LOG_WARNING, b"client_memory_limit: a client that takes more was disconnected")
            stream_close(&session.stream, CLOSE_LOCAL)
        elif unlikely(session.upload is not NULL):
            session_resume(session, PAUSE_MEMORY)   # what it waits with waits for the rest of that request
        elif bytes > self.client_memory_max // 2:
            if session.stream.out_size:
                session.stream.over_high = 1        # so that we hear when it reads
            if not session.pauses & PAUSE_MEMORY:
                self.memory_pauses += 1
                session_pause(session, PAUSE_MEMORY)
        elif session.pauses & PAUSE_MEMORY:
            if bytes <= self.client_memory_max // 4:
                session_resume(session, PAUSE_MEMORY)
            elif session.stream.out_size:
                session.stream.over_high = 1

    cdef peer_t *peer_of(self, stream_t *stream) noexcept nogil:
        cdef:
            session_t *session = <session_t *>stream
            char       name[128]
        if session.peer is NULL:
            session.peer = <peer_t *>slab_take(&self.peer_slab)
            if session.peer is not NULL:
                self.loop.poller.system.name(self.loop.poller, stream.handle.fd, True, name, sizeof(name))
                peer_parse(session.peer, name)
        return session.peer

    cdef void turn_away(self, int fd, const char *text) noexcept nogil:
        cdef uint64_t ids = self.session_ids
        self.begin(fd)
        if self.session_ids != ids:
            self.dismiss(&self.sessions.stream, text)

    cdef void dismiss(self, stream_t *stream, const char *text) noexcept nogil:
        cdef uint8_t out[256]
        if not (<session_t *>stream).leaving:
            (<session_t *>stream).leaving = 1
            stream_write(stream, out, self.codec.error(out, sizeof(out), b"ERR", text, strlen(text)))
            stream_finish(stream)

    cdef void _enqueue(self, session_t *session, request_t *request) noexcept nogil:
        request.charged = 0 if request.streamed else request.wire.size      # its head goes on at once
        session.bytes += request.charged
        request.queued = 1
        order_append(session, request)
        session.pending += request.count

    cdef void protocol_error(self, session_t *session, const char *text, size_t size) noexcept nogil:
        self.end_with(session, b"ERR", text, size)

    cdef void end_with(self, session_t *session, const char *code, const char *text, size_t size) noexcept nogil:
        cdef uint8_t out[512]
        self.end_with_reply(session, out, self.codec.error(out, sizeof(out), code, text, size))

    cdef void end_with_reply(self, session_t *session, const uint8_t *reply, size_t size) noexcept nogil:
        """Earlier requests are answered (later, where replies may come in any order), this is said, the connection closes."""
        cdef request_t *request = self.hub.request_new(self.chain)
        if request is NULL or not request_add_reply(&self.loop.pool, request, reply, size):
            if request is not NULL:
                self.hub.request_free(request)
            stream_close(&session.stream, ENOMEM)
            return
        request.session = session
        request.left = 0
        self._enqueue(session, request)
        session.leaving = 1                 # what it sends from here on is read and forgotten: or its end would not be heard
        stash_drop(&session.stream)
        session_complete(request)

    cdef void stop(self) noexcept nogil:
        """Accepts no more."""
        if <void *>self.door is not <void *>None and self.door.is_of(self):
            self.door.stop()

    cdef void drain(self) noexcept nogil:
        """Every session answers what is pending and closes; idle ones at once."""
        self.stop()
        self.chain.drain()
        self.drain_some(INT_MAX)

    cdef int drain_some(self, int most) noexcept nogil:
        """Of at most so many sessions what is pending is answered, and then they close. Returns how many. The oldest go first:
        who has just come is about to ask something."""
        cdef:
            session_t *session = self.sessions
            session_t *following
            int        count = 0
        while session is not NULL and session.next is not NULL:
            session = session.next
        while session is not NULL and count < most:
            following = session.previous
            if not session.stream.closed and not session.leaving:
                count += 1
                if not session_is_uploading(session):
                    self.loop.want(&session.stream.handle, False)
                session_leave(session)
            session = following
        return count

    cdef uint64_t cut(self) noexcept nogil:
        """Closes what is left. Returns how many that were."""
        cdef:
            session_t *session = self.sessions
            uint64_t   count = 0
        while session is not NULL:
            stream_close(&session.stream, CLOSE_LOCAL)
            count += 1
            session = session.next
        return count

    cdef bint retire(self) noexcept nogil:
        """Of one that leaves: True when nothing of it is left with the loop, so that it may be freed."""
        if self.session_count or self.session_slab.live_count:
            return False
        if not self.retiring:
            self.retiring = True
            self._set_deadline(RETIRE_NS)
            self.chain.drain()
        if not self.chain.retire(self.overdue):
            return False
        self.loop.cancel_timer(&self.deadline)
        return True

    cdef void _set_deadline(self, uint64_t delay_ns) noexcept nogil:
        self.deadline.owner = <void *>self
        self.deadline.fire = _on_deadline
        self.loop.set_timer(&self.deadline, delay_ns)

    def leave(self, drain_ms=None):
        """Another has taken its door, or (drain_ms) nobody is to come in by it any more. In the first case its clients stay for
        as long as they like, in the other they are answered and disconnected within that time."""
        if drain_ms is not None:
            self.drain()
            self._set_deadline(<uint64_t>drain_ms * 1000000)
        self.leaving = True

    def is_over(self):
        """Of a source that has retired: also its door may be freed, if it is nobody else's."""
        return self.door is None or self.door.acceptor is not self or self.door.closed()

    def samples(self):
        labels = {"source": self.name}
        limited = "shotover_limits_hit_count"
        return Acceptor.samples(self) + [
            ("shotover_requests_count", labels, "counter", self.requests_total),
            ("shotover_replies_count", labels, "counter", self.replies_total),
            ("shotover_client_bytes_received_count", labels, "counter", self.received_bytes),
            ("shotover_client_bytes_sent_count", labels, "counter", self.sent_bytes),
            (limited, labels | {"limit": "output"}, "counter", self.slow_readers),
            (limited, labels | {"limit": "idle"}, "counter", self.idle_closed),
            ("shotover_streamed_requests_count", labels, "counter", self.uploads_total),
            (limited, labels | {"limit": "request"}, "counter", self.over_requests),
            (limited, labels | {"limit": "pending"}, "counter", self.over_pending),
            (limited, labels | {"limit": "memory"}, "counter", self.memory_pauses),
            ("shotover_source_memory_bytes", labels, "gauge", self.memory_bytes),
            ("shotover_protocol_errors_count", labels, "counter", self.protocol_errors),
            ("shotover_sink_to_source_latency_seconds", labels, "histogram", histogram_value(self.kept)),
        ] + [
            ("shotover_refusals_count", labels | {"reason": reason}, "counter", count)
            for reason, count in (
                ("memory_limit", self.refused_memory + self.over_memory),
                ("client_memory_limit", self.over_client_memory),
                ("client_output_buffer_bytes", self.slow_readers),
                ("request_size", self.over_requests),
                ("protocol_error", self.protocol_errors - self.over_requests),
                ("timeout", self.idle_closed),
            )
        ] + (
            ([] if self.inside is None else self.inside.samples(labels)) + tls_samples(self.tls, labels) + self.chain.samples()
        )
