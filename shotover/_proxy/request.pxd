"""What Python transforms see of the traffic: Request, its Args and Reply, Held, and the Client they came from.

A *view* (Request) stands for one request_t while a hook of its transform runs, or while the transform holds it; then it
is open. Before and after, the request is on its way through compiled code without the GIL: the view is closed, and
whatever is asked of it raises RequestGone. Views never own bytes of traffic and never touch the worker's memory:
edits and answers are kept as Python objects, and python_step.pyx puts them into the request on the worker's thread.

Everything here needs the GIL, and is what protects it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from shotover._codec.codec cimport Codec
from shotover._core.request cimport request_t
from shotover._net.loop cimport Loop
from shotover._net.timers cimport timer_t
from shotover._proxy.session cimport session_t


cdef extern from "Python.h":
    ctypedef struct PyObject

cdef enum:
    SPANS_INLINE = 8

cdef enum stage_t:              # where a view's request is; the view is open in those marked *
    IDLE = 0                    # nowhere: the view stands for none
    IN_HOOK = 1                 # * a request hook is running
    HELD = 2                    # * held by the transform
    DECIDED = 3                 # what becomes of it is known; a letter to the worker is under way
    READY = 4                   # may go on, once those of its client that came before it may
    BELOW = 5                   # passed down, its reply is wanted
    AWAY = 6                    # in a named chain
    IN_REPLY_HOOK = 7           # * a reply hook is running
    HELD_REPLY = 8              # * its reply is held by the transform
    DECIDED_REPLY = 9           # a letter is under way

cdef enum verdict_t:
    PASS = 0
    ANSWER = 1                  # `answer_raw` is its reply
    FAIL = 2                    # the same, and it counts as failed
    HOLD = 3
    SEND = 4                    # to the chain with index `chain_index`

cdef struct span_t:             # a word, from the beginning of the request
    uint32_t at
    uint32_t size

cdef class Client:
    """One connection, as one transform sees it; lives in its session's slot."""
    cdef:
        readonly str      address       # host:port, or empty for a UNIX socket
        readonly str      identity      # whom its certificate names; empty: it has shown none
        readonly uint64_t id            # of the connection, unique in its source and worker
        readonly str      user
        readonly dict     state
        int               protocol      # RESP 2 or 3
        uint32_t          transaction   # number of the one that is open; 0: none is
        uint32_t          transactions  # so many have been opened
        set               broken        # those of which a request was refused; None: none ever was
        list              logins        # (request's address, user, protocol): sent, not yet answered
        PyObject         *line_head     # Requests whose order must be kept; references are owned
        PyObject         *line_tail

cdef class Host:
    """What the views of one transform share; its PythonStep owns it."""
    cdef:
        Loop     loop
        Codec    codec
        readonly str name
        tuple    names                  # first words of commands by id, upper case
        dict     chain_indexes
        void    *step                   # PyObject* of it
        object   mail                   # deque of Requests with a verdict, from any thread
        uint8_t  mail_waiting           # the worker has been woken and has not looked yet
        bint     closed                 # the worker has stopped
        int      slot
        uint32_t held_count             # requests and replies held
        uint32_t held_max
        uint64_t held_refused           # holds beyond held_max

    cdef Client client(self, session_t *session)
    cdef int post(self, Request view) except -1
    cdef int chain_index(self, object name) except -1

cdef class Args:
    """The words of a request. Words that nobody looked at stay where they are."""
    cdef:
        request_t *request              # NULL: closed
        list       items                # None where the word is as in the request; None as a whole: all are
        span_t    *spans                # NULL: not cut yet
        uint32_t   spans_room
        span_t     inline_spans[SPANS_INLINE]
        bint       edited
        bint       frozen               # may be read only

    cdef void reset(self) noexcept
    cdef int cut(self) except -1
    cdef object word(self, Py_ssize_t index)
    cdef int load(self) except -1
    cdef int check_edit(self) except -1

cdef class Reply:
    cdef:
        request_t *request              # NULL: closed
        int        protocol
        bytes      new_raw              # what was assigned; None: nothing
        object     parsed
        bint       is_parsed

    cdef void reset(self) noexcept
    cdef int check(self) except -1

cdef class Request:
    cdef:
        request_t *request              # NULL: none
        Host       host
        uint8_t    stage                # stage_t
        uint8_t    verdict              # verdict_t
        bint       unseen               # no hook has seen it: it only waits for its place
        bint       touched              # something of the following is set
        Args       words
        Reply      its_reply
        Client     its_client
        bytes      answer_raw
        int        chain_index
        uint32_t   transaction          # that it stands in or ends; 0: none
        object     failure              # what a coroutine raised
        Held       handle
        object     job                  # the coroutine that has it; see transforms/tasks.py
        public object note              # the transform's own, from on_request to on_reply
        timer_t    timer                # of a hold
        PyObject  *line_next            # in its client's line
        bint       in_line
        request_t *child                # in a named chain
        Request    away_next            # list of those in named chains
        Request    away_previous

    cdef int check(self) except -1
    cdef int decide(self, uint8_t verdict) except -1
    cdef int settle(self, uint8_t verdict, bytes answer_raw) except -1
    cdef Client client(self)
    cdef Args get_args(self)
    cdef void clear(self) noexcept
    # of other protocols:
    cdef Reply make_reply(self)
    cdef int put_edits(self) except -1
    cdef bint goes_by(self, frozenset names) except -1

cdef class Held:
    cdef:
        Request view

    cdef bint settle(self, uint8_t verdict, bytes answer_raw)


cdef bytes error_raw(Codec codec, str code, str text)
