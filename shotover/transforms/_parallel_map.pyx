"""See _parallel_map.pxd. Copies answer at their own pace, so what may overtake what is decided here:

  one key         to the copy that its key belongs to: requests on a key keep their order
  no key, a read  to whoever is next
  anything else   (several keys, scripts, FLUSHALL) to the client's home copy, after all before it is answered, and
                  before all that comes after it
  session state   (transactions, SELECT, subscriptions ...) as before, and the client stays at home from then on

Replies leave in the order of requests in any case: the session sees to that.
"""

cimport cython

from shotover._codec.commands cimport CONDUCT_PLAIN, KEYS_NONE, KEYS_RANGE, KIND_READ, KIND_SESSION, command_t
from shotover._core.debug cimport invariant, likely, unlikely
from shotover._core.memory cimport slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport WATCHED_BY_STEP, batch_clear, batch_pop, batch_push, request_own
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.step cimport list_item

from libc.string cimport memset

cdef enum:
    AFTER_ALL = 0xffffffff      # instead of a copy


@cython.final
cdef class ParallelMap(Step):

    def __init__(self, context, *, str name, int parallelism, bint ordered_results, list chains):
        self.parallelism = parallelism
        self.tag = 0
        self.wants_each = True
        self.wants_end = True
        self.wants_slot = True
        slab_init(&self.sessions, sizeof(map_session_t))
        for chain in chains:
            self.adopt(chain)

    def __dealloc__(self):
        slab_close(&self.sessions)

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t     *request
            map_session_t *spread
        while batch.head is not NULL:
            request = batch_pop(batch)
            if unlikely(request.session is NULL):
                self._send(request, 0)
                continue
            spread = self._session_of(request)
            if unlikely(spread is NULL):
                self.refuse_take(request, b"ERR", b"shotover: no memory", 19)
            elif spread.waiting.head is not NULL or not self._dispatch(request, spread):
                if request_own(&self.loop.pool, request):
                    batch_push(&spread.waiting, request)
                else:
                    self.refuse_take(request, b"ERR", b"shotover: no memory", 19)

    cdef map_session_t *_session_of(self, request_t *request) noexcept nogil:
        cdef:
            void         **slot = session_slots(<session_t *>request.session) + self.slot
            map_session_t *spread = <map_session_t *>slot[0]
        if spread is NULL:
            spread = <map_session_t *>slab_take(&self.sessions)
            if spread is not NULL:
                memset(spread, 0, sizeof(map_session_t))
                spread.session = request.session
                slot[0] = spread
        return spread

    cdef void _forget(self, map_session_t *spread) noexcept nogil:
        """Of a client that is gone and has nothing under way."""
        if spread.session is NULL and spread.under_way == 0:
            slab_give(&self.sessions, spread)

    cdef inline uint32_t _copy_for(self, request_t *request) noexcept nogil:
        """The copy that a plain request goes to, or AFTER_ALL."""
        cdef:
            const command_t *command = <const command_t *>request.command
            uint64_t hash = 14695981039346656037u
            uint8_t *key
            uint32_t index
        if command is NULL or request.conduct != CONDUCT_PLAIN:
            return AFTER_ALL
        if command.key_rule == KEYS_RANGE and command.first_key == 1 and command.last_key == 1 and request.key_at:
            key = request.wire.data + request.key_at
            for index in range(request.key_size):
                hash = (hash ^ key[index]) * 1099511628211u
            return <uint32_t>(((hash ^ hash >> 32) * 0x9E3779B97F4A7C15u >> 32) % self.parallelism)
        if command.key_rule == KEYS_NONE and (request.kind == KIND_READ or request.kind == KIND_SESSION):
            self.turn = (self.turn + 1) % self.parallelism
            return self.turn
        return AFTER_ALL

    cdef bint _dispatch(self, request_t *request, map_session_t *spread) noexcept nogil:
        """Sends the request where it belongs. False: it must wait."""
        cdef:
            uint32_t copy
            uint32_t home = <uint32_t>((<session_t *>request.session).id % self.parallelism)
        if spread.settled:
            self._send(request, home)
            return True
        if spread.alone:
            return False
        copy = self._copy_for(request)
        if likely(copy != AFTER_ALL):
            self._spread(request, spread, copy)
            return True
        if spread.under_way:
            return False
        if request.conduct == CONDUCT_PLAIN and request.command is not NULL:
            spread.alone = 1
            self._spread(request, spread, home)
        else:
            spread.settled = 1
            self._send(request, home)
        return True

    cdef void _spread(self, request_t *request, map_session_t *spread, uint32_t copy) noexcept nogil:
        spread.under_way += 1
        request.tags[self.tag] = spread
        request.watched |= WATCHED_BY_STEP
        self._send(request, copy)

    cdef void _send(self, request_t *request, uint32_t copy) noexcept nogil:
        """At once: later in the turn the session may be gone."""
        cdef batch_t batch
        batch_clear(&batch)
        batch_push(&batch, request)
        (<Chain>list_item(self.chains, copy)).run(&batch)

    cdef void on_child(self, request_t *child) noexcept nogil:
        """A copy has answered: the client's own request, no child was made of it."""
        cdef map_session_t *spread = <map_session_t *>child.tags[self.tag]
        child.tags[self.tag] = NULL
        self.pass_up(child)
        if spread is NULL:
            return
        invariant(spread.under_way > 0)
        spread.under_way -= 1
        if spread.under_way == 0:
            spread.alone = 0
            if spread.session is NULL:
                self._forget(spread)
            elif spread.waiting.head is not NULL:
                self._go_on(spread)

    cdef void _go_on(self, map_session_t *spread) noexcept nogil:
        """What had to wait goes, up to the next request that must."""
        cdef:
            batch_t    waiting = spread.waiting
            request_t *request
        batch_clear(&spread.waiting)
        while waiting.head is not NULL:
            request = batch_pop(&waiting)
            request.session = spread.session
            if spread.waiting.head is not NULL or not self._dispatch(request, spread):
                batch_push(&spread.waiting, request)

    cdef void on_session_end(self, void *session) noexcept nogil:
        """What still waits is sent home while the session lasts, as its state goes with it."""
        cdef:
            map_session_t *spread = <map_session_t *>session_slots(<session_t *>session)[self.slot]
            request_t     *request
            batch_t        batch
            uint32_t       home = <uint32_t>((<session_t *>session).id % self.parallelism)
        if spread is NULL:
            return
        session_slots(<session_t *>session)[self.slot] = NULL
        batch = spread.waiting
        batch_clear(&spread.waiting)
        spread.session = NULL
        request = batch.head
        while request is not NULL:
            request.session = session
            request = request.next
        self._forget(spread)
        if batch.head is not NULL:
            (<Chain>list_item(self.chains, home)).run(&batch)
