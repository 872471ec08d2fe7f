"""Tee: sends requests down a second chain, its own, as well.

The client's own request goes to the chain that answers: the rest of the chain the Tee is in (*main*), or, when switched,
the Tee's own (*side*). A copy of it goes to the other one.

  Ignore     request and copy know nothing of each other
  others     a tee_item_t ties them together; the request is answered when both replies are in
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._core.memory cimport slab_t
from shotover._core.request cimport batch_t, request_t
from shotover._net.timers cimport timer_t
from shotover._proxy.company cimport Company
from shotover._proxy.step cimport Chain, Step


cdef enum:                      # behavior
    IGNORE = 0
    FAIL = 1
    LOG = 2
    SUBCHAIN = 3

cdef enum:                      # tee_session_t.transaction
    TX_NONE = 0
    TX_COPIED = 1               # its MULTI went to both chains: so must all of it
    TX_ALONE = 2                # its MULTI went to the answering chain only: so must all of it

cdef enum:                      # tee_item_t.state; bits
    REQUEST_IN = 1              # the client's own request has its reply
    COPY_IN = 2
    ASIDE = 4                   # it is down the mismatch chain

cdef struct tee_session_t:
    void        *session        # NULL: gone
    tee_batch_t *waiting_head   # batches that have no place yet, in order
    tee_batch_t *waiting_tail
    uint32_t     waiting        # how many
    uint32_t     outstanding    # batches handed over and not answered
    uint8_t      side_answers   # which chain this client's own requests go to
    uint8_t      transaction    # TX_*
    uint8_t      bound          # subscribed, or else tied to the chain that answers it now
    uint8_t      lost           # the other chain missed something it must know: it gets no more of this client
    uint8_t      vague          # this transaction's replies need not agree
    uint8_t      differed       # a reply within this transaction has differed

cdef struct tee_batch_t:        # copies of what one turn brought of one client
    tee_session_t *session
    tee_batch_t   *next         # of the session's waiting
    tee_batch_t   *later        # of all that wait with a deadline
    tee_batch_t   *earlier
    tee_item_t    *head         # while it waits; afterwards only good for comparison with NULL
    tee_item_t    *tail
    uint64_t       deadline_ns
    uint32_t       left         # copies not answered
    uint8_t        must         # holds what may not be dropped
    uint8_t        timed        # in the list of deadlines

cdef struct tee_item_t:
    tee_batch_t *batch
    tee_item_t  *next           # of a waiting batch
    request_t   *request        # the client's own; NULL: it does not wait for the copy
    request_t   *copy
    tee_item_t  *later          # of all that wait with half a handshake
    tee_item_t  *earlier
    uint64_t     deadline_ns    # 0: it is not among them
    uint32_t     bytes          # counted as held for the copy
    uint8_t      state
    uint8_t      compare        # COMPARE_*
    uint8_t      to_side        # where the copy goes
    uint8_t      in_transaction

cdef class Tee(Step):
    cdef:
        public bint switched        # clients are answered by the side; set from any thread
        bint     cql
        Chain    side
        Chain    aside              # for requests whose replies differ; or None
        int      behavior
        uint32_t buffer_size        # batches of one client that may wait for the other chain
        bint     may_wait           # for a place, timeout_ns long; 0: without end
        uint64_t timeout_ns
        slab_t   sessions, batches, items
        tee_session_t orphans       # stands for clients that are gone
        tee_batch_t  *first_timed
        tee_batch_t  *last_timed
        timer_t  timer
        Company  company            # of CQL: what the mismatch chain must have heard; or None
        uint64_t handshake_ns       # for which a client waits for the other chain to let it in
        tee_item_t *first_half      # its own chain has answered a handshake, the other has not
        tee_item_t *last_half
        timer_t  half_timer
        uint64_t late_total
        uint64_t held_bytes         # of copies not answered
        uint64_t dropped_total      # batches, or parts of one, that the other chain did not get
        uint64_t mismatches_total

    cdef tee_session_t *_session_of(self, request_t *request) noexcept nogil
    cdef void _maybe_switch(self, tee_session_t *client, request_t *request) noexcept nogil
    cdef int _fate(self, tee_session_t *client, request_t *request, bint room) noexcept nogil
    cdef tee_item_t *_copy(self, tee_session_t *client, request_t *request, bint waits) noexcept nogil
    cdef void _uncopy(self, tee_item_t *item, request_t *request) noexcept nogil
    cdef void _join(self, tee_item_t *item, tee_batch_t *batch, bint must) noexcept nogil
    cdef uint8_t _how(self, tee_session_t *client, request_t *request) noexcept nogil
    cdef tee_batch_t *_batch_for(self, tee_session_t *client, bint waits) noexcept nogil
    cdef void _spread(self, batch_t *batch) noexcept nogil
    cdef void _wait_half(self, tee_item_t *item) noexcept nogil
    cdef void _unwait_half(self, tee_item_t *item) noexcept nogil
    cdef void _expire_halves(self) noexcept nogil
    cdef void _send(self, tee_item_t *item, batch_t *main, batch_t *side) noexcept nogil
    cdef void _hand_over(self, tee_batch_t *batch) noexcept nogil
    cdef void _unwait(self, tee_batch_t *batch) noexcept nogil
    cdef void _give_up(self, tee_batch_t *batch) noexcept nogil
    cdef void _expire(self) noexcept nogil
    cdef void _copy_done(self, tee_item_t *item) noexcept nogil
    cdef void _batch_done(self, tee_batch_t *batch) noexcept nogil
    cdef void _request_back(self, tee_item_t *item) noexcept nogil
    cdef uint8_t _how_cql(self, request_t *request) noexcept nogil
    cdef void _check_joined(self, tee_item_t *item) noexcept nogil
    cdef void _settle(self, tee_item_t *item) noexcept nogil
    cdef bint _differ(self, tee_item_t *item) noexcept nogil
    cdef void _differing(self, tee_item_t *item) noexcept nogil
    cdef bint _send_aside(self, tee_item_t *item) noexcept nogil
    cdef void _returned(self, tee_item_t *item, request_t *request) noexcept nogil
    cdef bint _left_other(self, void *session, bint side) noexcept nogil
    cdef void _drop(self, tee_session_t *client) noexcept nogil
    cdef void _forget(self, tee_session_t *client) noexcept nogil
