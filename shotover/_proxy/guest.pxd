"""Guest: what PythonStep (python_step.pxd) does with views, replies, failures and clients. Its methods need the GIL."""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from shotover._core.request cimport batch_t, request_t
from shotover._proxy.company cimport Company
from shotover._proxy.refusing cimport RefusingStep
from shotover._proxy.request cimport Client, Host, Request


cdef enum:
    CHAINS_MAX = 32             # named chains of one transform

cdef struct outcome_t:          # what a call into Python has decided; carried out without the GIL
    batch_t down                # go on
    batch_t decided             # have their reply
    batch_t away                # children, for named chains
    batch_t up                  # replies that go on

cdef class Guest(RefusingStep):
    cdef:
        Host      host
        object    view_class            # Request, or its subclass for the protocol
        bint      codec_numbers         # replies bear the numbers of their requests
        readonly object transform
        object    request_hook
        object    reply_hook
        bint      request_batches       # the hook takes lists
        bint      reply_batches
        bint      has_request_hook
        bint      has_reply_hook
        uint8_t  *wanted                # by command id; NULL: every command
        uint32_t  wanted_count
        bint      wants_unknown
        frozenset commands              # names, when `wanted`
        uint64_t  hold_timeout_ns
        object    make_tasks            # makes the thread for coroutines, when there is the first
        object    tasks
        list      jobs                  # coroutines to be started once the batch has been judged
        list      free                  # views, closed
        uint32_t  line_count            # views in lines
        uint32_t  login_count           # logins under way
        uint32_t  open_count            # clients amid a transaction
        Request   away_head             # views whose request is in a named chain
        void     *chain_at[CHAINS_MAX]  # Chains; Step.chains keeps them
        int       chain_count
        Company   company               # of CQL with named chains: what they must have heard; else None
        dict      logged                # failures seen: where -> [when logged, how often since]
        uint64_t  exceptions_total, timeouts_total

    cdef bint wants(self, request_t *request) noexcept nogil
    cdef bint is_wanted(self, request_t *request)
    cdef Request take(self)
    cdef void give(self, Request view) noexcept
    cdef void close_view(self, Request view) noexcept
    cdef int rewrite(self, Request view) except -1
    cdef void put_reply(self, request_t *request, bytes raw, bint failed) noexcept
    cdef void fail_view(self, Request view, object error, outcome_t *out) noexcept
    cdef void fail_reply(self, Request view, object error, outcome_t *out) noexcept
    cdef void fail_all(self, batch_t *batch, object error, outcome_t *out) noexcept
    cdef bytes failure_raw(self, object error)
    cdef void unhold(self, Request view) noexcept
    cdef void unlink_away(self, Request view) noexcept
    cdef Client line_of(self, request_t *request)
    cdef void line_add(self, Client client, Request view) noexcept
    cdef Request line_pop(self, Client client)
    cdef int note_login(self, request_t *request) except -1
    cdef int check_login(self, request_t *request) except -1
    cdef int protocol_of(self, request_t *request)
    cdef int64_t transaction_of(self, request_t *request) except -1
    cdef void break_transaction(self, Request view) noexcept
    cdef void end_transaction(self, request_t *request, int64_t transaction) noexcept
