"""See python_step.pxd.

  down   on_requests -> run_requests -> hook -> judge   -> forward | put_reply | hold | send_away
  later  a letter, a time limit      -> deliver         -> the same, in the client's order
  up     on_replies  -> run_replies  -> hook -> judge_reply

Python code only ever decides; carry_out then does it without the GIL.
"""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.ref cimport Py_DECREF, Py_INCREF

from shotover._codec.commands cimport (
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MONITOR,
    CONDUCT_MULTI,
    CONDUCT_RESET,
    CONDUCT_STATE,
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
)
from shotover._core.memory cimport chunk_data, chunk_put, chunk_ref, chunk_t, pool_take
from shotover._core.request cimport (
    WATCHED_BY_STEP,
    batch_append,
    batch_clear,
    batch_pop,
    batch_push,
    request_drop_reply,
    request_like,
    request_own,
    request_own_reply,
)
from shotover._net.timers cimport timer_t
from shotover._proxy.request cimport (
    ANSWER,
    AWAY,
    BELOW,
    DECIDED,
    DECIDED_REPLY,
    FAIL,
    HELD,
    HELD_REPLY,
    HOLD,
    IDLE,
    IN_HOOK,
    IN_REPLY_HOOK,
    PASS,
    READY,
    SEND,
)
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.step cimport Chain

from shotover._proxy.request import HeldLimit

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object)

cdef void *MARKED = <void *>1   # tag of a request whose reply is wanted, and that has no view yet


cdef inline void outcome_clear(outcome_t *out) noexcept nogil:
    batch_clear(&out.down)
    batch_clear(&out.decided)
    batch_clear(&out.away)
    batch_clear(&out.up)


cdef inline bint _is_stream(request_t *request) noexcept nogil:
    """Its reply is not one reply, but the beginning of a stream: reply hooks do not see it."""
    return (
        request.conduct == CONDUCT_SUBSCRIBE
        or request.conduct == CONDUCT_UNSUBSCRIBE
        or request.conduct == CONDUCT_MONITOR
    )


cdef inline bint _is_login(request_t *request) noexcept nogil:
    return request.conduct == CONDUCT_STATE or request.conduct == CONDUCT_RESET


cdef inline bint _is_bracket(request_t *request) noexcept nogil:
    """It begins or ends a transaction."""
    return request.conduct == CONDUCT_MULTI or request.conduct == CONDUCT_EXEC or request.conduct == CONDUCT_DISCARD


cdef void _on_wake(waker_t *waker) noexcept nogil:
    (<PythonStep>waker.owner).read_mail()


cdef void _on_returned(task_t *task) noexcept nogil:
    (<PythonStep>task.owner).run_returned()


cdef void _go(void *owner, batch_t *batch) noexcept nogil:
    (<PythonStep>owner).go_down(batch)


cdef void _on_timeout(timer_t *timer) noexcept nogil:
    (<PythonStep>(<Request>timer.owner).host.step).time_out(timer.owner)


cdef class PythonStep(Guest):

    def __init__(self, context, **options):
        Guest.__init__(self, context, **options)
        if self.company is not None:
            self.company.go = _go
        self.returned_task.run = _on_returned
        self.returned_task.owner = <void *>self
        self.waker.run = _on_wake
        self.waker.owner = <void *>self
        self.hub.add_waker(&self.waker)

    def close(self):
        self.hub.remove_waker(&self.waker)
        Guest.close(self)

    cdef bint on_retire(self, bint force) noexcept nogil:
        return self.host.held_count == 0 and (<void *>self.company is <void *>None or self.company.retire())

    # ---- without the GIL ---------------------------------------------------------------------------------------------

    cdef bint needs_look(self, batch_t *batch) noexcept nogil:
        """Something in the batch concerns Python."""
        cdef request_t *request = batch.head
        if self.line_count or (self.has_request_hook and self.wanted is NULL):
            return True
        while request is not NULL:
            if _is_login(request) or (self.has_request_hook and (_is_bracket(request) or self.wants(request))):
                return True
            request = request.next
        return False

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef outcome_t out
        outcome_clear(&out)
        if self.needs_look(batch):
            with gil:
                self.host.slot = self.slot
                if self.request_batches:
                    self.run_request_list(batch, &out)
                else:
                    self.run_requests(batch, &out)
        else:
            batch_append(&out.down, batch)
        self.carry_out(&out)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            outcome_t  out
            request_t *request = batch.head
            bint       look = self.login_count > 0
        outcome_clear(&out)
        while request is not NULL and not look:
            look = request.command is &self.aborted or (self.tag >= 0 and request.tags[self.tag] is not NULL)
            request = request.next
        if look:
            with gil:
                self.host.slot = self.slot
                if self.reply_batches:
                    self.run_reply_list(batch, &out)
                else:
                    self.run_replies(batch, &out)
            self.carry_out(&out)
        else:
            self.up.on_replies(batch)

    cdef void carry_out(self, outcome_t *out) noexcept nogil:
        cdef request_t *request
        while out.decided.head is not NULL:
            request = batch_pop(&out.decided)
            self.reply_take(request)
        while out.away.head is not NULL:
            request = batch_pop(&out.away)
            (<Chain>request.chain).submit(request)
        if out.down.head is not NULL:
            if self.company is not None:
                self.tell_company(&out.down)
            self.go_down(&out.down)
        if out.up.head is not NULL:
            self.up.on_replies(&out.up)

    cdef void go_down(self, batch_t *batch) noexcept nogil:
        if batch.head is not NULL:
            if self.has_reply_hook:
                self.watch(batch)
            self.pass_down(batch)

    cdef void tell_company(self, batch_t *batch) noexcept nogil:
        """Takes out of it what the named chains must hear first."""
        cdef:
            batch_t    rest
            request_t *request
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if not self.company.take(request):
                batch_push(&rest, request)
        batch[0] = rest

    cdef void watch(self, batch_t *batch) noexcept nogil:
        """Marks what the reply hook wants to see, and keeps its bytes until then: in one chunk for all small ones."""
        cdef:
            request_t *request = batch.head
            size_t     total = 0
            chunk_t   *chunk = NULL
            uint8_t   *to = NULL
        while request is not NULL:
            if request.owner is NULL and request.wire.size < 16384:
                total += request.wire.size
            request = request.next
        if total:
            chunk = pool_take(&self.loop.pool, total)
            to = NULL if chunk is NULL else chunk_data(chunk)
        request = batch.head
        while request is not NULL:
            if not _is_stream(request) and (request.tags[self.tag] is not NULL or self.wants(request)):
                if request.tags[self.tag] is NULL:
                    request.tags[self.tag] = MARKED
                request.watched |= WATCHED_BY_STEP
                if request.owner is NULL and chunk is not NULL and request.wire.size < 16384:
                    memcpy(to, request.wire.data, request.wire.size)
                    request.wire.data = to
                    request.owner = chunk_ref(chunk)
                    to += request.wire.size
                elif not request_own(&self.loop.pool, request):
                    request.discard = 1     # no memory: its reply cannot be shown; the client is closed on it
                    request.failed = 1
            request = request.next
        if chunk is not NULL:
            chunk_put(&self.loop.pool, chunk)

    cdef void on_child(self, request_t *child) noexcept nogil:
        """A named chain has answered."""
        cdef request_t *request = child.parent
        if self.company is not None and self.company.back(child):
            return
        if not request_own_reply(&self.loop.pool, child):
            request_drop_reply(&self.loop.pool, child)
            child.failed = 1
        request_drop_reply(&self.loop.pool, request)
        request.reply = child.reply
        request.reply_owner = child.reply_owner
        request.failed = child.failed
        request.left = 0
        child.reply_owner = NULL
        child.reply.size = 0
        self.hub.request_free(child)
        batch_push(&self.returned, request)
        self.loop.defer(&self.returned_task)

    cdef void run_returned(self) noexcept nogil:
        cdef batch_t batch = self.returned
        batch_clear(&self.returned)
        if batch.head is not NULL:
            self.on_replies(&batch)

    cdef void on_session_end(self, void *session) noexcept nogil:
        cdef outcome_t out
        if session_slots(<session_t *>session)[self.slot] is not NULL or <void *>self.away_head is not <void *>None:
            outcome_clear(&out)
            with gil:
                self.end_client(session, &out)
            self.carry_out(&out)

    cdef void on_push(self, void *session, const uint8_t *data, size_t size) noexcept nogil:
        """Replies that came before it go first: what invalidates a cached value must not overtake that value."""
        cdef batch_t batch = self.chain.replies
        batch_clear(&self.chain.replies)
        if batch.head is not NULL:
            self.chain.last.up.on_replies(&batch)
        self.up.on_push(session, data, size)

    cdef void read_mail(self) noexcept nogil:
        """Another thread has called loop.wake: for us?"""
        cdef outcome_t out
        if not self.host.mail_waiting:
            return
        outcome_clear(&out)
        with gil:
            self.host.mail_waiting = 0          # first: what is posted from here on wakes again
            while self.host.mail:
                self.deliver(<Request>self.host.mail.popleft(), &out)
        self.carry_out(&out)

    cdef void time_out(self, void *at) noexcept nogil:
        cdef outcome_t out
        outcome_clear(&out)
        with gil:
            self.expire(<Request>at, &out)
        self.carry_out(&out)

    # ---- down --------------------------------------------------------------------------------------------------------

    cdef void run_requests(self, batch_t *batch, outcome_t *out) noexcept:
        cdef:
            Request    view = None
            request_t *request = NULL
            bint       all_wanted = self.has_request_hook and self.wanted is NULL
            object     hook = self.request_hook
            object     result
        while batch.head is not NULL:
            try:
                if view is None:
                    view = self.take()
                while batch.head is not NULL:
                    request = batch.head
                    if not all_wanted and not (self.has_request_hook and self.is_wanted(request)):
                        self.pass_unseen(batch_pop(batch), out)
                        continue
                    batch_pop(batch)
                    view.request = request
                    view.stage = IN_HOOK
                    if self.open_count or request.conduct == CONDUCT_MULTI:
                        view.transaction = <uint32_t>self.transaction_of(request)
                        view.touched = True
                    result = hook(view)
                    if result is not None:
                        self.returned_value([view], result)
                        result = None
                    self.judge(view, out)
                    if view.stage != IDLE or Py_REFCNT(view) != 1:
                        view = self.take()
            except BaseException as error:
                if view is None or view.request is NULL:
                    self.fail_all(batch, error, out)
                else:
                    self.fail_view(view, error, out)
                view = None
        if view is not None:
            self.give(view)
        if self.jobs:
            self.start_jobs()

    cdef void run_request_list(self, batch_t *batch, outcome_t *out) noexcept:
        """As run_requests, for a hook that takes all requests at once."""
        cdef:
            list       views = []
            Request    view
            request_t *request
            object     result, failure = None
        try:
            while batch.head is not NULL:
                request = batch_pop(batch)
                if not self.is_wanted(request):
                    self.pass_unseen(request, out)
                    continue
                view = self.take()
                view.request = request
                view.stage = IN_HOOK
                views.append(view)
                view.transaction = <uint32_t>self.transaction_of(request)
                view.touched = True
            if views:
                result = self.request_hook(list(views))
                if result is not None:
                    self.returned_value(views, result)
        except BaseException as error:
            failure = error
        for view in views:
            try:
                if failure is not None and view.verdict == PASS:
                    raise failure
                self.judge(view, out)
            except BaseException as error:
                self.fail_view(view, error, out)
        if batch.head is not NULL:
            self.fail_all(batch, failure, out)
        view = None
        while views:
            view = <Request>views.pop()
            if view.stage == IDLE:
                self.give(view)
        if self.jobs:
            self.start_jobs()

    cdef void pass_unseen(self, request_t *request, outcome_t *out) noexcept:
        """A request that no hook wants to see; it keeps its place all the same."""
        cdef:
            Client  client = self.line_of(request)
            Request view
            int64_t transaction
        try:
            transaction = self.transaction_of(request)
            if client is None:
                if _is_login(request):
                    self.note_login(request)
                self.end_transaction(request, transaction)
                batch_push(&out.down, request)
                return
            view = self.take()
            if not request_own(&self.loop.pool, request):
                raise MemoryError()
            view.request = request
            view.stage = READY
            view.its_client = client
            view.transaction = <uint32_t>transaction
            view.unseen = True
            view.touched = True
            self.line_add(client, view)
        except MemoryError as error:
            self.put_reply(request, self.failure_raw(error), True)
            batch_push(&out.decided, request)

    cdef int judge(self, Request view, outcome_t *out) except -1:
        """Does what the hook has decided of the request. An exception: nothing has been done."""
        cdef:
            request_t *request = view.request
            uint8_t    verdict = view.verdict
            Client     client
        if view.touched:
            if verdict == ANSWER or verdict == FAIL:
                if verdict == FAIL:
                    self.break_transaction(view)
                self.put_reply(request, view.answer_raw, verdict == FAIL)
                batch_push(&out.decided, request)
                self.close_view(view)
                return 0
            if verdict == HOLD:
                return self.hold(view, HELD)
            if view.words is not None and view.words.edited:
                self.rewrite(view)
            view.put_edits()
        if self.line_count:
            client = self.line_of(request)
            if client is not None:
                if not request_own(&self.loop.pool, request):
                    raise MemoryError()
                view.its_client = client
                view.touched = True
                view.stage = READY
                if view.words is not None:
                    view.words.reset()
                self.line_add(client, view)
                return 0
        if verdict == SEND:
            return self.send_away(view, out)
        return self.forward(view, out)

    cdef int forward(self, Request view, outcome_t *out) except -1:
        """The request goes on."""
        cdef request_t *request = view.request
        if _is_login(request):
            self.note_login(request)
        if view.transaction:
            self.end_transaction(request, view.transaction)
        batch_push(&out.down, request)
        if self.has_reply_hook and not _is_stream(request) and not view.unseen:
            view.stage = BELOW
            if view.words is not None:
                view.words.reset()
            request.tags[self.tag] = <void *>view
            Py_INCREF(view)                 # given back when its reply comes
        else:
            self.close_view(view)
        return 0

    cdef int send_away(self, Request view, outcome_t *out) except -1:
        """The request waits here while a child of it goes through the named chain."""
        cdef:
            request_t *request = view.request
            request_t *child
            Chain      chain = <Chain>self.chain_at[view.chain_index]
        if not request_own(&self.loop.pool, request):
            raise MemoryError()
        child = self.hub.request_new(chain)
        if child is NULL:
            raise MemoryError()
        request_like(child, request)
        child.arrived_ns = request.arrived_ns
        child.parent = request
        if request.queued:
            child.session = request.session     # until end_client takes it away
        batch_push(&out.away, child)
        view.child = child
        view.stage = AWAY
        if view.words is not None:
            view.words.reset()
        request.tags[self.tag] = <void *>view
        Py_INCREF(view)
        view.away_previous = None
        view.away_next = self.away_head
        if self.away_head is not None:
            self.away_head.away_previous = view
        self.away_head = view
        return 0

    # ---- up ----------------------------------------------------------------------------------------------------------

    cdef Request open_reply(self, request_t *request, outcome_t *out):
        """The view for a reply hook; None: there is nothing to show, and the request has gone up."""
        cdef:
            Request view
            void   *tag = request.tags[self.tag] if self.tag >= 0 else NULL
        if self.login_count:
            self.check_login(request)
        if request.command is &self.aborted:
            self.say_aborted(request)
        if tag is NULL:
            batch_push(&out.up, request)
            return None
        request.tags[self.tag] = NULL
        if tag is MARKED:
            if not self.is_wanted(request):
                batch_push(&out.up, request)
                return None
            view = self.take()
            view.request = request
        else:
            view = <Request>tag
            Py_DECREF(view)
            if view.stage == AWAY:
                self.unlink_away(view)
                view.verdict = PASS
        if not self.has_reply_hook or request.discard or request.mute or request.reply.size == 0 \
                or _is_stream(request):
            self.close_view(view)
            batch_push(&out.up, request)
            self.give(view)
            return None
        view.stage = IN_REPLY_HOOK
        view.touched = True
        if view.its_reply is None:
            view.its_reply = view.make_reply()
        view.its_reply.request = request
        view.its_reply.protocol = self.protocol_of(request)
        return view

    cdef int say_aborted(self, request_t *request) except -1:
        """The reply of a DISCARD that was an EXEC: the client is told so."""
        cdef const char *text = self.abort_text(request)
        if text is not NULL:
            self.put_reply(request, <bytes>text, False)
        return 0

    cdef void run_replies(self, batch_t *batch, outcome_t *out) noexcept:
        cdef:
            Request    view = None
            request_t *request
            object     result
        while batch.head is not NULL:
            request = batch_pop(batch)
            try:
                view = self.open_reply(request, out)
                if view is None:
                    continue
                result = self.reply_hook(view, view.its_reply)
                if result is not None:
                    self.returned_value([view], result)
                self.judge_reply(view, out)
            except BaseException as error:
                if view is None:
                    self.put_reply(request, self.failure_raw(error), True)
                    batch_push(&out.up, request)
                else:
                    self.fail_reply(view, error, out)
            if view is not None and view.stage == IDLE:
                self.give(view)
        if self.jobs:
            self.start_jobs()

    cdef void run_reply_list(self, batch_t *batch, outcome_t *out) noexcept:
        cdef:
            list       views = []
            Request    view = None
            request_t *request
            object     result, failure = None
        while batch.head is not NULL:
            request = batch_pop(batch)
            try:
                view = self.open_reply(request, out)
                if view is not None:
                    views.append(view)
            except BaseException as error:
                self.put_reply(request, self.failure_raw(error), True)
                batch_push(&out.up, request)
        try:
            if views:
                result = self.reply_hook(list(views))
                if result is not None:
                    self.returned_value(views, result)
        except BaseException as error:
            failure = error
        for view in views:
            try:
                if failure is not None and view.verdict == PASS:
                    raise failure
                self.judge_reply(view, out)
            except BaseException as error:
                self.fail_reply(view, error, out)
        view = None
        while views:
            view = <Request>views.pop()
            if view.stage == IDLE:
                self.give(view)
        if self.jobs:
            self.start_jobs()

    cdef int judge_reply(self, Request view, outcome_t *out) except -1:
        cdef:
            request_t *request = view.request
            bytes      raw
        if view.verdict == HOLD:
            return self.hold(view, HELD_REPLY)
        raw = view.its_reply.new_raw
        if raw is not None:
            self.put_reply(request, raw, PyBytes_AS_STRING(raw)[0] == b'-')
        batch_push(&out.up, request)
        self.close_view(view)
        return 0

    # ---- holding -----------------------------------------------------------------------------------------------------

    cdef int hold(self, Request view, uint8_t stage) except -1:
        """The hook wants it held; its count has been taken already."""
        cdef:
            request_t *request = view.request
            Client     client
        if not request_own(&self.loop.pool, request):
            raise MemoryError()
        if stage == HELD_REPLY and not request_own_reply(&self.loop.pool, request):
            raise MemoryError()
        client = view.client()
        if view.job is not None:
            view.verdict = PASS             # until the coroutine says otherwise
        view.stage = stage
        Py_INCREF(view)                     # given back in unhold
        view.timer.fire = _on_timeout
        view.timer.owner = <void *>view
        self.loop.set_timer(&view.timer, self.hold_timeout_ns)
        if stage == HELD and client is not None and request.queued:
            self.line_add(client, view)
        return 0

    cdef void deliver(self, Request view, outcome_t *out) noexcept:
        """A held request or reply has its verdict."""
        cdef:
            request_t *request = view.request
            Client     client
            object     failure
        if view.stage != DECIDED and view.stage != DECIDED_REPLY:
            return                          # its client is gone, or time was up
        self.unhold(view)
        failure = view.failure
        if view.stage == DECIDED_REPLY:
            view.verdict = PASS
            try:
                if failure is not None:
                    raise failure
                self.judge_reply(view, out)
            except BaseException as error:
                self.fail_reply(view, error, out)
            return
        client = view.its_client if view.in_line else None
        try:
            if failure is not None:
                raise failure
            if view.verdict == ANSWER or view.verdict == FAIL:
                if view.verdict == FAIL:
                    self.break_transaction(view)
                self.put_reply(request, view.answer_raw, view.verdict == FAIL)
                batch_push(&out.decided, request)
                self.close_view(view)
            else:
                if view.words is not None and view.words.edited:
                    self.rewrite(view)
                view.put_edits()
                view.stage = READY
                if client is None:
                    self.let_go(view, out)
        except BaseException as error:
            view.verdict = PASS             # its count is given back already
            self.fail_view(view, error, out)
        if client is not None:
            self.line_advance(client, out)

    cdef int let_go(self, Request view, outcome_t *out) except -1:
        """A ready request goes where it belongs."""
        try:
            if view.verdict == SEND:
                self.send_away(view, out)
            else:
                view.verdict = PASS
                self.forward(view, out)
        except BaseException as error:
            view.verdict = PASS
            self.fail_view(view, error, out)
        return 0

    cdef void expire(self, Request view, outcome_t *out) noexcept:
        """Time is up. A letter that is under way is not waited for: it will find the view closed."""
        if view.stage == HELD or view.stage == HELD_REPLY:
            self.timeouts_total += 1
            if view.job is not None:
                self.tasks.cancel(view.job)
            view.failure = TimeoutError(self)
            view.stage = DECIDED if view.stage == HELD else DECIDED_REPLY
            self.deliver(view, out)

    # ---- the order of a client's requests ----------------------------------------------------------------------------

    cdef void line_advance(self, Client client, outcome_t *out) noexcept:
        """Lets go of what is ready at the head of the line; what was answered falls out of it."""
        cdef Request view
        while client.line_head is not NULL:
            view = <Request>client.line_head
            if view.stage != READY and view.stage != IDLE:
                return
            view = self.line_pop(client)
            if view.stage == READY:
                self.let_go(view, out)

    cdef void end_client(self, void *session, outcome_t *out) noexcept:
        """A connection has ended: what is here of it completes into nothing, and its state goes."""
        cdef:
            void     **slot = &session_slots(<session_t *>session)[self.slot]
            Client     client
            Request    view = self.away_head
            request_t *request
        while view is not None:
            if view.child is not NULL and view.child.session is session:
                view.child.session = NULL
                view.child.discard = 1
            view = view.away_next
        if slot[0] is NULL:
            return
        client = <Client>slot[0]
        slot[0] = NULL
        Py_DECREF(client)
        self.login_count -= 0 if client.logins is None else len(client.logins)
        if client.transaction:
            self.open_count -= 1
        while client.line_head is not NULL:
            view = self.line_pop(client)
            request = view.request
            if view.stage == HELD or view.stage == DECIDED:
                if view.job is not None:
                    self.tasks.cancel(view.job)
                self.unhold(view)
            elif view.stage != READY:
                continue
            self.close_view(view)
            batch_push(&out.decided, request)

    # ---- coroutines --------------------------------------------------------------------------------------------------

    cdef int returned_value(self, list views, object result) except -1:
        """A hook returns nothing, unless it is `async`: then its requests are held until it has run."""
        cdef Request view
        if not hasattr(result, "__await__"):
            raise TypeError(f"a hook returns nothing, this one returned {type(result).__name__}")
        if self.host.closed or self.host.held_count + len(views) > self.host.held_max or (
            self.tasks is not None and self.tasks.count >= self.host.held_max
        ):
            result.close()
            self.host.held_refused += len(views)
            raise HeldLimit(self.name)
        if self.tasks is None:
            self.tasks = self.make_tasks(self.name, self.finish_job)
        job = self.tasks.job(list(views), result)
        for view in views:
            view.client()                   # while its session is surely there
            view.job = job
            view.verdict = HOLD
            view.touched = True
            self.host.held_count += 1
        self.jobs.append(job)
        return 0

    cdef void start_jobs(self) noexcept:
        jobs, self.jobs = self.jobs, []
        try:
            self.tasks.start(jobs)
        except BaseException as error:
            for job in jobs:
                self.finish_job(job, error)

    def finish_job(self, job, error):
        """Called on the coroutines' thread when one has ended; `error` is what it raised, or None."""
        cdef Request view
        for view in job.views:
            if view.job is job and (view.stage == HELD or view.stage == HELD_REPLY):
                view.failure = error
                view.settle(view.verdict, view.answer_raw)
