"""See step.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, strncpy

from shotover._codec.codec cimport MERGE_ANY, MERGE_KIN, MERGE_NONE
from shotover._core.clock cimport clock_ns
from shotover._core.counters cimport histogram_add, histogram_value, size_histogram_add, size_histogram_value
from shotover._core.debug cimport invariant, unlikely
from shotover._core.facts cimport FACTS_NOTES
from shotover._core.memory cimport chunk_data, chunk_t, pool_take, slab_close, slab_init
from shotover._core.request cimport (
    REQUEST_TAGS,
    batch_clear,
    batch_pop,
    batch_push,
    request_drop_reply,
    request_free,
    request_new,
)


cdef class Hub:

    def __cinit__(self, Loop loop):
        self.loop = loop
        self.notes = []
        slab_init(&self.requests, sizeof(request_t))
        loop.on_wake = _on_wake
        loop.wake_owner = <void *>self

    def __dealloc__(self):
        slab_close(&self.requests)

    cdef void add_waker(self, waker_t *waker) noexcept nogil:
        """`waker.run` is called on the worker's thread after every loop.wake; it looks for itself what is new."""
        waker.next = self.wakers
        self.wakers = waker

    cdef void remove_waker(self, waker_t *waker) noexcept nogil:
        cdef waker_t **link = &self.wakers
        while link[0] is not NULL:
            if link[0] is waker:
                link[0] = waker.next
                return
            link = &link[0].next

    cdef request_t *request_new(self, Chain chain) noexcept nogil:  # no-cython-lint
        cdef request_t *request = request_new(&self.requests)
        if request is not NULL:
            request.chain = <void *>chain
            request.arrived_ns = self.loop.now
        return request

    cdef void request_free(self, request_t *request) noexcept nogil:  # no-cython-lint
        request_free(&self.requests, &self.loop.pool, request)

    cdef void log(self, int level, const char *text) noexcept nogil:
        """One line for the operator. At most 100 a second; what does not fit is counted, never waited for."""
        cdef:
            uint64_t    second = self.loop.now // 1000000000
            log_line_t *line
        if second != self.log_second:
            self.log_second = second
            self.log_tokens = 100
        if self.log_tokens == 0 or self.log_written - self.log_read >= LOG_RING:
            self.log_lost += 1
            return
        self.log_tokens -= 1
        line = &self.log_ring[self.log_written % LOG_RING]
        line.level = level
        strncpy(line.text, text, LOG_TEXT - 1)
        line.text[LOG_TEXT - 1] = 0
        self.log_written += 1

    def note(self, int level, str text, dict fields):
        """One entry with fields, from code that holds the GIL; any thread. Whoever calls bounds its rate."""
        if len(self.notes) < LOG_RING:
            self.notes.append((level, text, fields))
        else:
            self.log_lost += 1

    def log_take(self):
        """Drains the ring: a list of (level, text, fields). For the control plane's thread."""
        cdef:
            log_line_t *line
            list lines
        lines, self.notes = self.notes, []
        while self.log_read < self.log_written:
            line = &self.log_ring[self.log_read % LOG_RING]
            lines.append((line.level, (<bytes>line.text).decode("utf-8", "replace"), {}))
            self.log_read += 1
        if self.log_lost:
            lines.append((LOG_WARNING, "log lines were dropped", {"count": self.log_lost}))
            self.log_lost = 0
        return lines


cdef void _on_wake(void *hub) noexcept nogil:
    cdef waker_t *waker = (<Hub>hub).wakers
    cdef waker_t *following
    while waker is not NULL:
        following = waker.next
        waker.run(waker)
        waker = following


cdef class Step:
    """Base of transforms and sinks. `context` (BuildContext) says for which worker and chain it is built."""

    def __cinit__(self, context, *args, **kwargs):
        self.tag = -1
        self.index = -1
        self.slot = -1
        self.note = -1
        self.notes = 1
        self.reads_bodies = True
        self.chains = []
        if context is not None:
            self.name = context.transform_name or context.transform_type
            self.type_name = context.transform_type
            self.hub = context.worker.hub
            self.loop = self.hub.loop
            self.latency = <histogram_t *>calloc(1, sizeof(histogram_t))

    def __dealloc__(self):
        free(self.latency)

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        """Borrows the batch, empties it: whatever it does not take goes to `next`. Never empty."""
        self.pass_down(batch)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        """Whole replies on their way up, in the order in which they came."""
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            self.pass_up(request)

    cdef void on_session_eof(self, void *session) noexcept nogil:
        """The client sends no more, but may still wait for replies: nothing of it may wait for more to come."""
        pass

    cdef void on_session_end(self, void *session) noexcept nogil:
        """The client is gone; its session is good until this returns. Requests of it that were in its order have
        session NULL already; for others that this step holds (children), it must see to that itself."""
        pass

    cdef void on_session_drained(self, void *session) noexcept nogil:
        """A client that was slow to read has caught up. Called where wants_end is set."""
        pass

    cdef void on_drain(self) noexcept nogil:
        """The worker stops soon: whatever this step only waits with must go on now, and nothing be held from here on."""
        pass

    cdef void on_probe(self) noexcept nogil:
        """Somebody asks whether servers can be reached, and traffic does not tell: a sink tries to connect."""
        pass

    cdef bint on_retire(self, bint force) noexcept nogil:
        """The source has no client any more and none will come: timers are to be cancelled, connections on which nothing is
        under way to be closed. Called after each turn until it says True: nothing that the loop knows leads here. `force`:
        that has lasted too long, what is under way is lost."""
        return True

    cdef void on_push(self, void *session, const uint8_t *data, size_t size) noexcept nogil:
        """A server has sent bytes that answer no request: a published message, an invalidation. On its way up."""
        self.up.on_push(session, data, size)

    cdef void on_piece(self, request_t *request, const uint8_t *data, size_t size) noexcept nogil:
        """A part of the reply of a request that is WATCHED_BY_PIECES. On its way up."""
        self.up.on_piece(request, data, size)

    cdef void on_leave(self, void *session) noexcept nogil:
        """State of this session was lost below: its client must be made to begin anew. On its way up."""
        self.up.on_leave(session)

    cdef void on_child_push(self, void *chain, void *session, const uint8_t *data, size_t size) noexcept nogil:
        """on_push out of one of its own chains."""
        self.up.on_push(session, data, size)

    cdef void on_child_leave(self, void *chain, void *session) noexcept nogil:
        """on_leave out of one of its own chains."""
        self.up.on_leave(session)

    cdef void on_child(self, request_t *child) noexcept nogil:
        """A request that this step sent into one of its own chains has its reply. Takes the child over."""
        self.hub.request_free(child)

    cdef void pass_down(self, batch_t *batch) noexcept nogil:
        """The rest of the chain runs what is left of the batch."""
        if batch.head is NULL:
            return
        self.next.batches_total += 1
        self.next.requests_total += batch.count
        if unlikely(self.hub.timing):
            self.next.run_timed(batch)
        else:
            self.next.on_requests(batch)

    cdef void run_timed(self, batch_t *batch) noexcept nogil:
        """on_requests, with the time that it takes counted; what steps below take within it is theirs."""
        cdef:
            uint64_t *before = self.hub.charged
            uint64_t  own_ns = self.own_ns          # of an outer run of the same step, if there is one
            uint64_t  now = clock_ns()
        if before is not NULL:
            before[0] += now - self.hub.mark_ns
        self.hub.charged = &self.own_ns
        self.hub.mark_ns = now
        self.own_ns = 0
        self.on_requests(batch)
        now = clock_ns()
        histogram_add(self.latency, self.own_ns + now - self.hub.mark_ns, 1)
        self.own_ns = own_ns
        self.hub.charged = before
        self.hub.mark_ns = now

    cdef void pass_up(self, request_t *request) noexcept nogil:
        """One whole reply goes to whoever is next on the way up."""
        cdef batch_t batch
        batch_clear(&batch)
        batch_push(&batch, request)
        self.up.on_replies(&batch)

    cdef void reply_take(self, request_t *request) noexcept nogil:
        """Takes over a request whose reply is whole (a sink's, or an answer); it goes up before the turn ends."""
        invariant(request.next is NULL)
        request.left = 0
        self.pass_up(request)

    cdef void answer_take(self, request_t *request, const uint8_t *reply, size_t size) noexcept nogil:
        """Answers each request of the run with the same bytes."""
        cdef:
            chunk_t *chunk
            uint8_t *to
            uint32_t _
        request_drop_reply(&self.loop.pool, request)
        if not request.mute:
            chunk = pool_take(&self.loop.pool, size * request.count)
            if chunk is not NULL:
                to = chunk_data(chunk)
                for _ in range(request.count):
                    memcpy(to, reply, size)
                    to += size
                request.reply.data = chunk_data(chunk)
                request.reply.size = size * request.count
                request.reply_owner = chunk
            else:
                request.begun = 1       # no memory for an answer: the client must be closed rather than left waiting
                request.failed = 1
        self.reply_take(request)

    cdef void refuse_take(self, request_t *request, const char *code, const char *text, size_t size) noexcept nogil:
        """Answers with an error of the protocol. `code` as in ERR, NOAUTH; NULL: none."""
        cdef:
            uint8_t out[1024]
            size_t  out_size = self.codec.error_for(request, out, sizeof(out), code, text, size)
        self.failures_total += request.count
        request.failed = 1
        self.answer_take(request, out, out_size)

    def samples(self):
        """Metrics of this step; see observability/metrics.py for the form."""
        labels = {"transform": self.type_name, "chain": self.chain.name, "name": self.name}
        return [
            ("shotover_transform_total_count", labels, "counter", self.batches_total),
            ("shotover_transform_failures_count", labels, "counter", self.failures_total),
            ("shotover_transform_latency_seconds", labels, "histogram", histogram_value(self.latency)),
        ]

    def link(self, Chain chain, int index, Step following, Step up):
        self.chain = chain
        self.codec = chain.codec
        self.index = index
        self.next = following
        self.up = up
        self.on_linked()

    def adopt(self, Chain chain):
        """Makes `chain` a sub-chain of this step: replies of what it submits there come to on_child."""
        (<SubTop>chain.top).adopt(self)
        self.chains.append(chain)

    def on_linked(self):
        """For subclasses: the chain, the codec and the neighbours are known now."""

    def owed(self):
        """How many requests servers are still to get that clients have been answered for. A chain that owes is not replaced."""
        return 0

    def close(self):
        """The worker has stopped, or the source has retired: nothing will be asked of this step any more. Called on the worker's
        thread."""


cdef void _run_requests(task_t *task) noexcept nogil:
    _run_chain(task.owner)


cdef void _run_replies(task_t *task) noexcept nogil:
    _run_chain_replies(task.owner)


cdef void _count_replies(task_t *task) noexcept nogil:
    _count_chain_replies(task.owner)


cdef void _count_chain_replies(void *chain) noexcept nogil:
    size_histogram_add(&(<Chain>chain).replies_size, (<Chain>chain).turn_replies)
    (<Chain>chain).turn_replies = 0


cdef void _run_chain(void *chain) noexcept nogil:
    (<Chain>chain).run_now()


cdef void _run_chain_replies(void *chain) noexcept nogil:
    cdef batch_t batch = (<Chain>chain).replies
    batch_clear(&(<Chain>chain).replies)
    if batch.head is not NULL:
        (<Chain>chain).last.up.on_replies(&batch)


cdef class Chain:
    """Steps linked down and up; built once per worker."""

    def __init__(self, str name, Hub hub, Codec codec, list steps, Step top):
        cdef Step step, up
        self.name = name
        self.hub = hub
        self.codec = codec
        self.steps = steps
        self.top = top
        self.latency = <histogram_t *>calloc(1, sizeof(histogram_t))
        self.run_task.run = _run_requests
        self.run_task.owner = <void *>self
        self.reply_task.run = _run_replies
        self.reply_task.owner = <void *>self
        self.count_task.run = _count_replies
        self.count_task.owner = <void *>self
        self.merge = MERGE_ANY
        self.streams = not any([(<Step>step).reads_bodies for step in steps])
        top.link(self, -1, steps[0], None)
        up = top
        tags = 0
        for index, step in enumerate(steps):
            following = steps[index + 1] if index + 1 < len(steps) else None
            step.link(self, index, following, up)
            if step.wants_each:
                self.merge = MERGE_NONE
            elif step.wants_kin:
                self.merge = min(self.merge, <int>MERGE_KIN)
            for inner in step.chains:       # runs are made where requests are cut, before any sub-chain
                self.merge = min(self.merge, (<Chain>inner).merge)
            if step.wants_replies:
                up = step
                self.watched = True
            self.statements = self.statements or step.wants_statements or any(
                [(<Chain>inner).statements for inner in step.chains])
            self.errors = self.errors or step.wants_errors
            if self.errors:
                for inner in step.chains:
                    (<Chain>inner).show_errors()
            if step.tag >= 0:
                step.tag = tags
                tags += 1
        self.first = steps[0]
        self.last = steps[len(steps) - 1]
        self.shift_tags(0, tags)

    def __dealloc__(self):
        free(self.latency)

    def shift_tags(self, int own, int inner):
        """Moves the tags of its steps by `own` and those of their sub-chains by `inner`: a request may pass through both."""
        cdef Step step
        for step in self.steps:
            if step.tag >= 0:
                step.tag += own
                if step.tag >= REQUEST_TAGS:
                    raise ValueError(f"chain {self.name}: at most {REQUEST_TAGS} steps on one way can hold or fan out requests")
            for chain in step.chains:
                (<Chain>chain).shift_tags(inner, inner)

    def show_errors(self):
        """A step above wants the errors of its servers."""
        cdef Step step
        self.errors = True
        for step in self.steps:
            for chain in step.chains:
                (<Chain>chain).show_errors()

    cdef void submit(self, request_t *request) noexcept nogil:
        """Takes over a request; it runs with the others of this turn. Not for what has a session but is not in its
        order: that may end before; `run` it at once."""
        batch_push(&self.requests, request)
        self.turn_requests += request.count
        self.hub.loop.defer(&self.run_task)

    cdef void run(self, batch_t *batch) noexcept nogil:
        self.batches_total += 1
        self.requests_total += batch.count
        self.first.batches_total += 1
        self.first.requests_total += batch.count
        size_histogram_add(&self.requests_size, self.turn_requests if self.turn_requests else batch.count)
        self.turn_requests = 0
        if unlikely(self.hub.timing):
            self.first.run_timed(batch)             # of a step that is being timed
        elif unlikely(self.batches_total % SAMPLED == 1):
            self.hub.timing = True
            self.first.run_timed(batch)
            self.hub.timing = False
        else:
            self.first.on_requests(batch)

    cdef void count_replies(self, uint64_t count) noexcept nogil:
        """So many replies have left. Those of a turn are counted as one batch."""
        if count:
            self.turn_replies += count
            self.hub.loop.defer(&self.count_task)

    cdef void run_now(self) noexcept nogil:
        """Runs what was submitted so far."""
        cdef batch_t batch = self.requests
        batch_clear(&self.requests)
        if batch.head is not NULL:
            self.run(&batch)

    cdef void session_eof(self, void *session) noexcept nogil:
        _session_eof(<void *>self.first, session)

    cdef void session_end(self, void *session) noexcept nogil:
        _session_end(<void *>self.first, session)

    cdef void session_drained(self, void *session) noexcept nogil:
        _session_drained(<void *>self.first, session)

    cdef void drain(self) noexcept nogil:
        _drain(<void *>self.first)

    cdef void probe(self) noexcept nogil:
        _probe(<void *>self.first)

    cdef bint retire(self, bint force) noexcept nogil:
        """See Step.on_retire."""
        return _retire(<void *>self.first, force)

    def close(self):
        """Nothing will be asked of it any more: every step, and those of its sub-chains, may let go of what it holds."""
        for step in self.steps:
            step.close()
            for chain in step.chains:
                chain.close()

    def samples(self):
        labels = {"chain": self.name}
        gathered = [
            ("shotover_chain_total_count", labels, "counter", self.batches_total),
            ("shotover_chain_failures_count", labels, "counter", self.failures_total),
            ("shotover_chain_latency_seconds", labels, "histogram", histogram_value(self.latency)),
            ("shotover_chain_requests_batch_size", labels, "histogram", size_histogram_value(&self.requests_size)),
            ("shotover_chain_responses_batch_size", labels, "histogram", size_histogram_value(&self.replies_size)),
        ]
        for step in self.steps:
            gathered.extend(step.samples())
            for chain in step.chains:
                gathered.extend(chain.samples())
        return gathered


cdef void _session_drained(void *step, void *session) noexcept nogil:
    cdef Py_ssize_t index
    if (<Step>step).wants_end:
        (<Step>step).on_session_drained(session)
    for index in range(list_size((<Step>step).chains)):
        (<Chain>list_item((<Step>step).chains, index)).session_drained(session)
    if <void *>(<Step>step).next is not <void *>None:
        _session_drained(<void *>(<Step>step).next, session)


cdef void _session_eof(void *step, void *session) noexcept nogil:
    cdef Py_ssize_t index
    if (<Step>step).wants_end:
        (<Step>step).on_session_eof(session)
    for index in range(list_size((<Step>step).chains)):
        (<Chain>list_item((<Step>step).chains, index)).session_eof(session)
    if <void *>(<Step>step).next is not <void *>None:
        _session_eof(<void *>(<Step>step).next, session)


cdef void _session_end(void *step, void *session) noexcept nogil:
    """Walks the chain by recursion: a Step may not be assigned without the GIL."""
    cdef Py_ssize_t index
    if (<Step>step).wants_end:
        (<Step>step).on_session_end(session)
    for index in range(list_size((<Step>step).chains)):
        (<Chain>list_item((<Step>step).chains, index)).session_end(session)
    if <void *>(<Step>step).next is not <void *>None:
        _session_end(<void *>(<Step>step).next, session)


cdef void _drain(void *step) noexcept nogil:
    cdef Py_ssize_t index
    (<Step>step).on_drain()
    for index in range(list_size((<Step>step).chains)):
        (<Chain>list_item((<Step>step).chains, index)).drain()
    if <void *>(<Step>step).next is not <void *>None:
        _drain(<void *>(<Step>step).next)


cdef void _probe(void *step) noexcept nogil:
    cdef Py_ssize_t index
    (<Step>step).on_probe()
    for index in range(list_size((<Step>step).chains)):
        (<Chain>list_item((<Step>step).chains, index)).probe()
    if <void *>(<Step>step).next is not <void *>None:
        _probe(<void *>(<Step>step).next)


cdef bint _retire(void *step, bint force) noexcept nogil:
    cdef Py_ssize_t index
    cdef bint done = (<Step>step).on_retire(force)
    for index in range(list_size((<Step>step).chains)):
        if not (<Chain>list_item((<Step>step).chains, index)).retire(force):
            done = False
    if <void *>(<Step>step).next is not <void *>None and not _retire(<void *>(<Step>step).next, force):
        done = False
    return done


cdef class SubTop(Step):

    def adopt(self, Step owner):
        """Called by the step that owns the chain, in its __init__ (see Step.adopt)."""
        self.owner = owner

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *child
        while batch.head is not NULL:
            child = batch_pop(batch)
            self.owner.on_child(child)

    cdef void on_piece(self, request_t *request, const uint8_t *data, size_t size) noexcept nogil:
        self.owner.on_piece(request, data, size)

    cdef void on_push(self, void *session, const uint8_t *data, size_t size) noexcept nogil:
        self.owner.on_child_push(<void *>self.chain, session, data, size)

    cdef void on_leave(self, void *session) noexcept nogil:
        self.owner.on_child_leave(<void *>self.chain, session)


cdef int put_text(char *out, size_t room, str text) except -1:
    """For code that runs without the GIL: `text` as C, cut to fit."""
    cdef bytes encoded = text.encode()[:room - 1]
    memcpy(out, <const char *>encoded, len(encoded) + 1)
    return 0


def assign_slots(Chain chain, int used):
    """Numbers the pointers that steps of this chain and of its sub-chains keep in every session."""
    cdef Step step
    for step in chain.steps:
        if step.wants_slot:
            step.slot = used
            used += 1
        for inner in step.chains:
            used = assign_slots(inner, used)
    return used


def assign_notes(Chain chain, int used=0):
    """Numbers the notes that steps of this chain and of its sub-chains keep with statements."""
    cdef Step step
    for step in chain.steps:
        if step.note >= 0:
            if used + step.notes > FACTS_NOTES:
                raise ValueError(f"chain {chain.name}: steps below one source can keep at most {FACTS_NOTES} notes of statements")
            step.note = used
            used += step.notes
        for inner in step.chains:
            used = assign_notes(inner, used)
    return used
