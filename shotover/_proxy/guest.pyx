"""See guest.pxd."""

from time import monotonic

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF

from shotover._codec.commands cimport (
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MULTI,
    CONDUCT_RESET,
    ID_AUTH,
    ID_HELLO,
    ID_RESET,
    command_at,
    command_t,
)
from shotover._codec.resp_edit cimport resp_facts, resp_head_size, resp_put_bulk, resp_put_head
from shotover._core.memory cimport chunk_data, chunk_put, chunk_t, pool_take
from shotover._core.request cimport WATCHED_BY_STEP, batch_pop, batch_push, request_drop_reply
from shotover._proxy.request cimport HOLD, IDLE, IN_HOOK, PASS, Args, PyObject, error_raw
from shotover._proxy.session cimport session_slots, session_t
from shotover._proxy.step cimport LOG_ERROR, LOG_WARNING

from shotover._proxy.request import HeldLimit, Request

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object)

cdef enum:
    FREE_MAX = 1024             # views kept for the next request
    LOGGED_MAX = 64             # failures told apart
    LOG_AGAIN_S = 60            # a failure that goes on is logged again after this

SWITCH_S = 50e-6


cdef class Guest(RefusingStep):

    def __init__(self, context, *, str name, transform, config, int max_held, int hold_timeout_ms, dict chains,
                 make_tasks):
        import sys

        self.wants_each = True              # wants_replies: of logins and aborted EXECs; with a reply hook of all
        self.wants_end = True
        self.wants_statements = True
        self.view_class = Request
        self.codec_numbers = context.codec.numbered
        if context.protocol == "cassandra":
            from shotover._proxy.cql_request import CqlRequest

            self.view_class = CqlRequest
        self.hold_timeout_ns = <uint64_t>hold_timeout_ms * 1000000
        self.make_tasks = make_tasks
        self.jobs = []
        self.free = []
        self.logged = {}
        self.host = Host(self.loop, context.codec, self.name, max_held)
        self.host.step = <void *>self
        self.transform = transform.__new__(transform)
        self.transform.name = self.name
        self.transform._note = self.note
        self.transform.__init__(config)
        self.find_hooks()
        if self.has_reply_hook or chains:
            self.tag = 0
        for chain_name, chain in chains.items():
            self.adopt(chain)
            self.chain_at[self.chain_count] = <void *>chain
            self.host.chain_indexes[chain_name] = self.chain_count
            self.chain_count += 1
        if chains and context.protocol == "cassandra":
            self.company = Company(self, list(chains.values()))
        # A worker that wants the GIL from a busy Python thread waits for this long (default 5 ms).
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_S))

    def find_hooks(self):
        one, many = getattr(self.transform, "on_request", None), getattr(self.transform, "on_requests", None)
        self.request_batches = many is not None
        self.request_hook = many if self.request_batches else one
        self.has_request_hook = self.request_hook is not None
        one, many = getattr(self.transform, "on_reply", None), getattr(self.transform, "on_replies", None)
        self.reply_batches = many is not None
        self.reply_hook = many if self.reply_batches else one
        self.has_reply_hook = self.reply_hook is not None
        commands = getattr(self.transform, "commands", None)
        if commands is not None:
            self.select(commands)

    def select(self, commands):
        """Hooks see these commands alone."""
        cdef uint32_t index
        cdef bytes full
        names = frozenset([(name.encode() if isinstance(name, str) else bytes(name)).upper() for name in commands])
        self.wanted_count = len(self.host.names)
        self.wanted = <uint8_t *>calloc(self.wanted_count, 1)
        if self.wanted is NULL:
            raise MemoryError()
        known = set()
        for index in range(self.wanted_count):
            full = command_at(index).name
            if full in names or self.host.names[index] in names:
                self.wanted[index] = 1
                known.add(full if full in names else self.host.names[index])
        self.wants_unknown = names != known or self.codec_numbers
        self.commands = names

    def note(self, int level, text, dict fields):
        self.hub.note(level, str(text), {"transform": self.name, **fields})

    def close(self):
        self.host.closed = True
        if self.tasks is not None:
            self.tasks.close()
        end = getattr(self.transform, "close", None)
        if end is not None:
            try:
                end()
            except Exception as error:
                self.log_failure(error)

    def samples(self):
        labels = {"transform": self.type_name, "chain": self.chain.name, "name": self.name}
        return RefusingStep.samples(self) + [
            ("shotover_python_held", labels, "gauge", self.host.held_count),
            ("shotover_python_held_refused_count", labels, "counter", self.host.held_refused),
            ("shotover_python_held_timeouts_count", labels, "counter", self.timeouts_total),
            ("shotover_python_exceptions_count", labels, "counter", self.exceptions_total),
        ]

    def __dealloc__(self):
        free(self.wanted)

    # ---- which requests ----------------------------------------------------------------------------------------------

    cdef bint wants(self, request_t *request) noexcept nogil:
        cdef const command_t *command = <const command_t *>request.command
        if self.wanted is NULL:
            return True
        if command is NULL or command.id >= self.wanted_count:
            return self.wants_unknown
        return self.wanted[command.id]

    cdef bint is_wanted(self, request_t *request):
        """As `wants`, and unknown commands by name."""
        cdef Args    words
        cdef Request view
        cdef bint    found
        if not self.wants(request):
            return False
        if self.wanted is NULL or request.command is not NULL:
            return True
        if self.codec_numbers:
            view = self.take()
            view.request = request
            view.stage = IN_HOOK
            found = view.goes_by(self.commands)
            self.close_view(view)
            self.give(view)
            return found
        words = Args.__new__(Args)
        words.request = request
        name = words.word(0).upper() if len(words) else b""
        words.reset()
        return name in self.commands

    # ---- views -------------------------------------------------------------------------------------------------------

    cdef Request take(self):
        cdef Request view
        if self.free:
            return <Request>(<list>self.free).pop()
        view = <Request>self.view_class.__new__(self.view_class)
        view.host = self.host
        return view

    cdef void give(self, Request view) noexcept:
        """Keeps a closed view for another request if nobody else has it. The caller's variable is the one reference."""
        if Py_REFCNT(view) == 1 and len(<list>self.free) < FREE_MAX:
            (<list>self.free).append(view)

    cdef void close_view(self, Request view) noexcept:
        view.stage = IDLE
        view.request = NULL
        view.verdict = PASS
        if view.touched:
            view.clear()

    # ---- edits and answers -------------------------------------------------------------------------------------------

    cdef int rewrite(self, Request view) except -1:
        """Puts the words as edited into the request."""
        cdef:
            request_t *request = view.request
            Args       args = view.words
            list       items = args.items
            Py_ssize_t index, argc = len(items)
            size_t     size = resp_head_size(argc)
            size_t     word_size
            chunk_t   *chunk
            uint8_t   *to
            bytes      item
        if argc == 0:
            raise ValueError("a request has at least one word")
        args.cut()
        for index in range(argc):
            item = <bytes?>items[index] if items[index] is not None else None
            word_size = args.spans[index].size if item is None else PyBytes_GET_SIZE(item)
            size += resp_head_size(word_size) + word_size + 2
        chunk = pool_take(&self.loop.pool, size)
        if chunk is NULL:
            raise MemoryError()
        to = resp_put_head(chunk_data(chunk), b'*', argc)
        for index in range(argc):
            item = <bytes>items[index]
            if item is None:
                to = resp_put_bulk(to, request.wire.data + args.spans[index].at, args.spans[index].size)
            else:
                to = resp_put_bulk(to, <const uint8_t *>PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item))
        if request.owner is not NULL:
            chunk_put(&self.loop.pool, request.owner)
        request.owner = chunk
        request.wire.data = chunk_data(chunk)
        request.wire.size = size
        request.edited = 1
        resp_facts(request)
        args.reset()
        return 0

    cdef void put_reply(self, request_t *request, bytes raw, bint failed) noexcept:
        """`raw` becomes its reply. Without memory the client is closed on it, by `failed` without bytes."""
        cdef:
            Py_ssize_t size = PyBytes_GET_SIZE(raw)
            chunk_t   *chunk
        request_drop_reply(&self.loop.pool, request)
        request.failed = failed
        if failed:
            self.failures_total += 1
        if request.mute:
            return
        chunk = pool_take(&self.loop.pool, size)
        if chunk is NULL:
            request.failed = 1
            return
        memcpy(chunk_data(chunk), PyBytes_AS_STRING(raw), size)
        if self.codec_numbers and size >= <Py_ssize_t>self.codec.head_size:
            chunk_data(chunk)[0] = chunk_data(chunk)[0] & 0x80 | request.version
            self.codec.renumber(chunk_data(chunk), request.stream)
        request.reply.data = chunk_data(chunk)
        request.reply.size = size
        request.reply_owner = chunk

    # ---- failures ----------------------------------------------------------------------------------------------------

    cdef void fail_view(self, Request view, object error, outcome_t *out) noexcept:
        """The hook has failed: the request is answered with an error that says no more than that."""
        cdef request_t *request = view.request
        if view.verdict == HOLD:
            self.host.held_count -= 1
        self.break_transaction(view)
        self.put_reply(request, self.failure_raw(error), True)
        batch_push(&out.decided, request)
        self.close_view(view)

    cdef void fail_reply(self, Request view, object error, outcome_t *out) noexcept:
        cdef request_t *request = view.request
        if view.verdict == HOLD:
            self.host.held_count -= 1
        self.put_reply(request, self.failure_raw(error), True)
        batch_push(&out.up, request)
        self.close_view(view)

    cdef void fail_all(self, batch_t *batch, object error, outcome_t *out) noexcept:
        cdef request_t *request
        raw = self.failure_raw(error)
        while batch.head is not NULL:
            request = batch_pop(batch)
            self.put_reply(request, raw, True)
            batch_push(&out.decided, request)

    cdef bytes failure_raw(self, object error):
        """What the client is told; the log gets the rest."""
        self.log_failure(error)
        if isinstance(error, HeldLimit):
            return error_raw(self.codec, "ERR", f"shotover: transform {self.name} holds too many requests (max_held)")
        if isinstance(error, TimeoutError) and error.args and error.args[0] is self:
            return error_raw(self.codec, "ERR", f"shotover: transform {self.name} held the request for longer than "
                             f"{self.hold_timeout_ns // 1000000} ms (hold_timeout_ms)")
        return error_raw(self.codec, "ERR", f"shotover: transform {self.name} failed: {type(error).__name__}")

    def log_failure(self, error):
        """Once with its traceback; while it goes on, once a minute with how often it came."""
        try:
            self.exceptions_total += 1
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = (type(error), trace and trace.tb_frame.f_code.co_filename, trace and trace.tb_lineno)
            if where not in self.logged and len(self.logged) >= LOGGED_MAX:
                where = None
            now = monotonic()
            seen = self.logged.setdefault(where, [-LOG_AGAIN_S, 0])
            seen[1] += 1
            if now - seen[0] < LOG_AGAIN_S:
                return
            again = seen[1] > 1
            fields = {"times": seen[1]} if again else {}
            seen[:] = [now, 0]
            if isinstance(error, HeldLimit) or isinstance(error, TimeoutError) and error.args and error.args[0] is self:
                text = "reached max_held" if isinstance(error, HeldLimit) else "held a request for too long"
                self.note(LOG_WARNING, f"Python transform {self.name} {text}", fields)
                return
            if trace is not None:
                import traceback

                fields["traceback"] = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            self.note(LOG_ERROR, f"Python transform {self.name} failed: {type(error).__name__}: {error}", fields)
        except Exception as second:         # the user's exception cannot even be shown
            self.note(LOG_ERROR, f"Python transform {self.name} failed: {type(error).__name__}", {"while": repr(type(second))})

    # ---- what is held, and the order of a client's requests ----------------------------------------------------------

    cdef void unhold(self, Request view) noexcept:
        self.loop.cancel_timer(&view.timer)
        self.host.held_count -= 1
        Py_DECREF(view)

    cdef void unlink_away(self, Request view) noexcept:
        view.child = NULL
        if view.away_previous is not None:
            view.away_previous.away_next = view.away_next
        else:
            self.away_head = view.away_next
        if view.away_next is not None:
            view.away_next.away_previous = view.away_previous
        view.away_next = None
        view.away_previous = None

    cdef Client line_of(self, request_t *request):
        """The client of the request if earlier ones of it are still here; else None."""
        cdef void *client
        if self.line_count == 0 or request.session is NULL or not request.queued:
            return None
        client = session_slots(<session_t *>request.session)[self.slot]
        if client is NULL or (<Client>client).line_head is NULL:
            return None
        return <Client>client

    cdef void line_add(self, Client client, Request view) noexcept:
        Py_INCREF(view)
        view.line_next = NULL
        view.in_line = True
        if client.line_tail is NULL:
            client.line_head = <PyObject *>view
        else:
            (<Request>client.line_tail).line_next = <PyObject *>view
        client.line_tail = <PyObject *>view
        self.line_count += 1

    cdef Request line_pop(self, Client client):
        cdef Request view = <Request>client.line_head
        client.line_head = view.line_next
        if client.line_head is NULL:
            client.line_tail = NULL
        view.line_next = NULL
        view.in_line = False
        self.line_count -= 1
        Py_DECREF(view)
        return view

    # ---- who the client is -------------------------------------------------------------------------------------------

    cdef int note_login(self, request_t *request) except -1:
        """A request that will change the user or the protocol, if the server accepts it."""
        cdef:
            const command_t *command = <const command_t *>request.command
            Args   words
            Client client
        if not request.queued or request.session is NULL or command is NULL:
            return 0
        if command.id != ID_AUTH and command.id != ID_HELLO and command.id != ID_RESET:
            return 0
        words = Args.__new__(Args)
        words.request = request
        found = _login_of(command.id, list(words))
        words.reset()
        client = self.host.client(<session_t *>request.session)
        if client.logins is None:
            client.logins = []
        client.logins.append((<size_t>request, *found))
        self.login_count += 1
        request.watched |= WATCHED_BY_STEP
        return 0

    cdef int check_login(self, request_t *request) except -1:
        cdef:
            Client  client
            void   *slot
            uint8_t first
        if request.session is NULL or not request.queued:
            return 0
        slot = session_slots(<session_t *>request.session)[self.slot]
        if slot is NULL:
            return 0
        client = <Client>slot
        if not client.logins or client.logins[0][0] != <size_t>request:
            return 0
        _request, user, protocol = client.logins.pop(0)
        self.login_count -= 1
        first = request.reply.data[0] if request.reply.size else 0
        if first == b'-' or first == 0 or (request.reply.size >= 7 and request.reply.data[:7] == b"+QUEUED"):
            return 0
        if user is not None:
            client.user = user
        if protocol is not None:
            client.protocol = protocol
        return 0

    cdef int protocol_of(self, request_t *request):
        cdef void *client
        if request.session is NULL or not request.queued:
            return 2
        client = session_slots(<session_t *>request.session)[self.slot]
        return 2 if client is NULL else (<Client>client).protocol

    # ---- transactions ------------------------------------------------------------------------------------------------

    cdef int64_t transaction_of(self, request_t *request) except -1:
        """The number of the transaction that the request begins, stands in or ends; 0: none.

        To be asked once of every request, in the order in which they come.
        """
        cdef:
            Client   client
            void    *slot
            uint32_t number
        if not self.has_request_hook or request.session is NULL \
                or (self.open_count == 0 and request.conduct != CONDUCT_MULTI):
            return 0
        if request.conduct == CONDUCT_MULTI:
            client = self.host.client(<session_t *>request.session)
            if client.transaction == 0:
                client.transactions += 1
                client.transaction = client.transactions
                self.open_count += 1
            return client.transaction
        slot = session_slots(<session_t *>request.session)[self.slot]
        if slot is NULL:
            return 0
        client = <Client>slot
        number = client.transaction
        if number and (request.conduct == CONDUCT_EXEC or request.conduct == CONDUCT_DISCARD
                       or request.conduct == CONDUCT_RESET):
            client.transaction = 0
            self.open_count -= 1
        return number

    cdef void break_transaction(self, Request view) noexcept:
        """This request is answered with an error: the others of its transaction must not be carried out without it."""
        cdef Client client
        if view.transaction == 0 or view.request.conduct == CONDUCT_EXEC or view.request.conduct == CONDUCT_DISCARD:
            return
        client = view.client()
        if client is not None:
            if client.broken is None:
                client.broken = set()
            client.broken.add(view.transaction)

    cdef void end_transaction(self, request_t *request, int64_t transaction) noexcept:
        """A request that goes on: if it ends a transaction that is broken, it must not be carried out."""
        cdef:
            Client client
            void  *slot = NULL
        if transaction == 0 or request.session is NULL or (
            request.conduct != CONDUCT_EXEC and request.conduct != CONDUCT_DISCARD and request.conduct != CONDUCT_RESET
        ):
            return
        slot = session_slots(<session_t *>request.session)[self.slot]
        client = None if slot is NULL else <Client>slot
        if client is not None and client.broken is not None and transaction in client.broken:
            client.broken.discard(transaction)
            if request.conduct == CONDUCT_EXEC:
                self.discard_instead(request)


def _login_of(command_id, list words):
    """(user, protocol) that AUTH, HELLO or RESET asks for; None: as it was."""
    cdef Py_ssize_t index
    if command_id == ID_RESET:
        return "default", 2
    if command_id == ID_AUTH:
        return (words[1].decode("utf-8", "replace") if len(words) == 3 else "default"), None
    user = None
    protocol = None
    if len(words) > 1:
        protocol = 3 if words[1] == b"3" else 2
    for index in range(2, len(words) - 2):
        if words[index].upper() == b"AUTH":
            user = words[index + 1].decode("utf-8", "replace")
            break
    return user, protocol
