"""See company.pxd."""

from libc.string cimport memset

from shotover._codec.cql.facts cimport cql_facts, cql_facts_t
from shotover._codec.cql.frame cimport OP_AUTH_RESPONSE, OP_PREPARE, OP_STARTUP
from shotover._codec.cql.statement cimport STATEMENT_USE
from shotover._core.debug cimport likely
from shotover._core.memory cimport slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport batch_clear, batch_push, request_like, request_own
from shotover._proxy.step cimport Chain, list_item, list_size


cdef void _on_timer(timer_t *timer) noexcept nogil:
    (<Company>timer.owner).expire()


cdef class Company:

    def __init__(self, Step owner, list chains):
        """`owner` has a tag, and has adopted `chains`; it sets `go`."""
        self.owner = owner
        self.chains = chains
        slab_init(&self.visits, sizeof(visit_t))
        self.timer.fire = _on_timer
        self.timer.owner = <void *>self

    def __dealloc__(self):
        slab_close(&self.visits)

    cdef bint take(self, request_t *request) noexcept nogil:
        """Whether it is dealt with here: `go` gets it in time. If not it may go on at once."""
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            visit_t   *visit
            request_t *child
            batch_t    batch
            Py_ssize_t index
        if likely(request.opcode != OP_STARTUP and request.opcode != OP_AUTH_RESPONSE and request.opcode != OP_PREPARE and not (
                request.tells and facts is not NULL and facts.type == STATEMENT_USE)):
            return False
        visit = <visit_t *>slab_take(&self.visits)
        if visit is NULL or not request_own(&self.owner.loop.pool, request):
            if visit is not NULL:
                slab_give(&self.visits, visit)
            return False
        memset(visit, 0, sizeof(visit_t))
        visit.request = request
        visit.left = 1                          # until all are on their way
        visit.deadline_ns = self.owner.loop.now + COMPANY_NS
        visit.earlier = self.last
        if self.last is NULL:
            self.first = visit
            self.owner.loop.set_timer(&self.timer, COMPANY_NS)
        else:
            self.last.later = visit
        self.last = visit
        for index in range(list_size(self.chains)):
            child = self.owner.hub.request_new(<Chain>list_item(self.chains, index))
            if child is NULL:
                continue
            request_like(child, request)
            child.session = request.session
            child.tags[self.owner.tag] = visit
            visit.left += 1
            batch_clear(&batch)
            batch_push(&batch, child)
            (<Chain>list_item(self.chains, index)).run(&batch)
        visit.left -= 1
        if visit.left == 0:
            self._go_on(visit)
            slab_give(&self.visits, visit)
        return True

    cdef bint back(self, request_t *child) noexcept nogil:
        """Takes a child of ours that its chain has answered, whatever it said. False: it is none."""
        cdef visit_t *visit = <visit_t *>child.tags[self.owner.tag]
        if visit is NULL:
            return False
        self.owner.hub.request_free(child)
        visit.left -= 1
        if visit.left == 0:
            if visit.request is not NULL:
                self._go_on(visit)
            slab_give(&self.visits, visit)
        return True

    cdef void _go_on(self, visit_t *visit) noexcept nogil:
        cdef batch_t batch
        if visit.earlier is NULL:
            self.first = visit.later
        else:
            visit.earlier.later = visit.later
        if visit.later is NULL:
            self.last = visit.earlier
        else:
            visit.later.earlier = visit.earlier
        batch_clear(&batch)
        batch_push(&batch, visit.request)
        visit.request = NULL
        self.go(<void *>self.owner, &batch)

    cdef bint retire(self) noexcept nogil:
        """See Step.on_retire."""
        if self.first is not NULL or self.visits.live_count:
            return False
        self.owner.loop.cancel_timer(&self.timer)
        return True

    cdef void expire(self) noexcept nogil:
        """The timer: who has waited long enough."""
        while self.first is not NULL and self.first.deadline_ns <= self.owner.loop.now:
            self.late_total += 1
            self._go_on(self.first)
        if self.first is not NULL:
            self.owner.loop.set_timer(&self.timer, self.first.deadline_ns - self.owner.loop.now)
