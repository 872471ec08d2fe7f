"""See request.pxd."""

from libc.stdlib cimport free, malloc

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_SIZE

from shotover._codec.commands cimport (
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MULTI,
    command_at,
    command_count,
    command_find,
    command_find_sub,
    command_keys,
    KEYS_NONE,
    command_t,
)
from shotover._codec.resp cimport resp_frame_size, resp_words
from shotover._codec.resp_value cimport resp_decode, resp_encode, word_of
from shotover._core.slice cimport slice_t
from shotover._net.peer cimport PEER_NAME_MAX, PEER_NONE, peer_name
from shotover._net.tls cimport stream_identity
from shotover._proxy.session cimport session_slots

from shotover._net.address import name_of

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object)

cdef tuple KINDS = ("unknown", "read", "session", "pubsub", "write", "schema", "admin")     # in the order of KIND_*


class RequestGone(RuntimeError):
    """A view was used while its request was not in the transform's hands."""


class HeldLimit(RuntimeError):
    """As many requests are held already as the topology allows (max_held)."""


cdef bytes error_raw(Codec codec, str code, str text):
    """An error reply in the protocol's form."""
    cdef:
        uint8_t out[1024]
        bytes   code_bytes = code.encode("ascii", "replace")[:32]
        bytes   text_bytes = text.encode("utf-8", "surrogateescape")
        size_t  size = codec.error(out, sizeof(out), PyBytes_AS_STRING(code_bytes), PyBytes_AS_STRING(text_bytes),
                                   PyBytes_GET_SIZE(text_bytes))
    return PyBytes_FromStringAndSize(<const char *>out, size)


cdef class Client:

    def __cinit__(self):
        self.user = "default"
        self.protocol = 2
        self.state = {}


cdef str _address_of(session_t *session):
    """Of its client, as a proxy in front has named it, or else as the socket does."""
    cdef char named[PEER_NAME_MAX]
    if session.peer is NULL or session.peer.family == PEER_NONE:
        return name_of(session.stream.handle.fd, True)
    peer_name(session.peer, named, sizeof(named))
    return (<bytes>named).decode()


cdef class Host:

    def __init__(self, Loop loop, Codec codec, str name, int held_max):
        from collections import deque

        self.loop = loop
        self.codec = codec
        self.name = name
        self.slot = -1                  # numbered when the source is made, known with the first batch
        self.held_max = held_max
        self.mail = deque()
        self.chain_indexes = {}
        self.names = tuple([(<bytes>command_at(index).name).partition(b"|")[0] for index in range(command_count())])

    cdef Client client(self, session_t *session):
        """The Client of a session, made when first asked for. The session must be alive."""
        cdef:
            Client client
            void **slot = &session_slots(session)[self.slot]
            const char *identity
        if slot[0] is not NULL:
            return <Client>slot[0]
        client = Client.__new__(Client)
        client.id = session.id
        client.address = _address_of(session)
        identity = stream_identity(&session.stream)
        client.identity = "" if identity is NULL else (<bytes>identity).decode("utf-8", "replace")
        Py_INCREF(client)               # given back in on_session_end
        slot[0] = <void *>client
        return client

    cdef int post(self, Request view) except -1:
        """A letter to the worker: the verdict of `view` is known. From any thread."""
        self.mail.append(view)
        if not self.mail_waiting:
            self.mail_waiting = 1
            self.loop.wake()
        return 0

    cdef int chain_index(self, object name) except -1:
        """Of the named chain; ValueError: there is none of that name."""
        index = self.chain_indexes.get(name)
        if index is None:
            known = ", ".join(self.chain_indexes) or "it has none"
            raise ValueError(f"transform {self.name} has no chain {name!r} ({known})")
        return index


# ---- words ------------------------------------------------------------------------------------------------------

cdef class Args:
    """The words of a request, the command's name first: a list of bytes that can be edited in place.

    What is put in may be bytes, str (sent as UTF-8), int or float.
    """

    def __dealloc__(self):
        if self.spans is not NULL and self.spans is not self.inline_spans:
            PyMem_Free(self.spans)

    cdef void reset(self) noexcept:
        """Closed, and nothing is known of the words any more."""
        if self.spans is not NULL and self.spans is not self.inline_spans:
            PyMem_Free(self.spans)
        self.spans = NULL
        self.request = NULL
        self.items = None
        self.edited = False
        self.frozen = False

    cdef int cut(self) except -1:
        """Finds where each word lies."""
        cdef:
            request_t *request = self.request
            uint32_t   argc, index
            slice_t    few[SPANS_INLINE]
            slice_t   *words = few
        if self.spans is not NULL:
            return 0
        if request is NULL:
            raise RequestGone("this request has left the transform")
        argc = request.argc
        self.spans = self.inline_spans
        if argc > SPANS_INLINE:
            self.spans = <span_t *>PyMem_Malloc(argc * sizeof(span_t))
            words = <slice_t *>malloc(argc * sizeof(slice_t))
            if words is NULL or self.spans is NULL:
                free(words)
                PyMem_Free(self.spans)
                self.spans = NULL
                raise MemoryError()
        self.spans_room = min(argc, resp_words(request.wire.data, request.wire.data + request.wire.size, words, argc))
        for index in range(self.spans_room):
            self.spans[index].at = <uint32_t>(words[index].data - request.wire.data)
            self.spans[index].size = <uint32_t>words[index].size
        if words is not few:
            free(words)
        return 0

    cdef object word(self, Py_ssize_t index):
        """The word at a valid index."""
        cdef span_t *span
        if self.items is not None:
            item = (<list>self.items)[index]
            if item is not None:
                return item
        self.cut()
        if self.request is NULL:
            raise RequestGone("this request has left the transform")
        span = &self.spans[index]
        return PyBytes_FromStringAndSize(<const char *>self.request.wire.data + span.at, span.size)

    cdef int load(self) except -1:
        """Makes every word an object of the list."""
        cdef Py_ssize_t index
        if self.items is None:
            self.cut()
            self.items = [self.word(index) for index in range(self.spans_room)]
            return 0
        for index in range(len(<list>self.items)):
            if (<list>self.items)[index] is None:
                (<list>self.items)[index] = self.word(index)
        return 0

    cdef int check_edit(self) except -1:
        if self.request is NULL:
            raise RequestGone("this request has left the transform")
        if self.frozen:
            raise RuntimeError("this request has been sent already: its words can be read, but not changed")
        self.edited = True
        return 0

    def __len__(self):
        if self.items is not None:
            return len(<list>self.items)
        self.cut()
        return self.spans_room

    def __getitem__(self, index):
        cdef Py_ssize_t at, size
        if not isinstance(index, int):
            self.load()
            return self.items[index]
        at = index
        size = len(self)
        if at < 0:
            at += size
        if not 0 <= at < size:
            raise IndexError(f"this request has {size} words")
        return self.word(at)

    def __setitem__(self, index, value):
        cdef Py_ssize_t at, size
        if not isinstance(index, int):
            words = [word_of(each) for each in value]
            self.check_edit()
            self.load()
            self.items[index] = words
            return
        value = word_of(value)
        at = index
        size = len(self)
        if at < 0:
            at += size
        if not 0 <= at < size:
            raise IndexError(f"this request has {size} words")
        self.check_edit()
        if self.items is None:
            self.items = [None] * size
        (<list>self.items)[at] = value

    def __delitem__(self, index):
        self.check_edit()
        self.load()
        del self.items[index]

    def __iter__(self):
        self.load()
        return iter(self.items)

    def __contains__(self, value):
        self.load()
        return value in self.items

    def __eq__(self, other):
        self.load()
        return self.items == (list(other) if isinstance(other, (Args, tuple)) else other)

    def __add__(self, other):
        return list(self) + list(other)

    def __iadd__(self, values):
        self.extend(values)
        return self

    def __repr__(self):
        self.load()
        return repr(self.items)

    def insert(self, index, value):
        value = word_of(value)
        self.check_edit()
        self.load()
        self.items.insert(index, value)

    def append(self, value):
        self.insert(len(self), value)

    def extend(self, values):
        words = [word_of(each) for each in values]
        self.check_edit()
        self.load()
        self.items.extend(words)

    def pop(self, index=-1):
        self.check_edit()
        self.load()
        return self.items.pop(index)

    def remove(self, value):
        self.check_edit()
        self.load()
        self.items.remove(value)

    def clear(self):
        self.check_edit()
        self.items = []

    def index(self, value, *bounds):
        self.load()
        return self.items.index(value, *bounds)

    def count(self, value):
        self.load()
        return self.items.count(value)

    def reverse(self):
        self.check_edit()
        self.load()
        self.items.reverse()

    def size(self, index):
        """Bytes of one word, without copying it."""
        cdef Py_ssize_t at = index, size = len(self)
        if at < 0:
            at += size
        if not 0 <= at < size:
            raise IndexError(f"this request has {size} words")
        if self.items is not None and (<list>self.items)[at] is not None:
            return len((<list>self.items)[at])
        self.cut()
        return self.spans[at].size


# ---- replies ----------------------------------------------------------------------------------------------------

cdef class Reply:
    """The reply of a request on its way to the client."""

    cdef void reset(self) noexcept:
        self.request = NULL
        self.new_raw = None
        self.parsed = None
        self.is_parsed = False

    cdef int check(self) except -1:
        if self.request is NULL:
            raise RequestGone("this reply has left the transform")
        return 0

    @property
    def raw(self):
        """Its bytes as the client would get them. Assignable: exactly one whole reply."""
        self.check()
        if self.new_raw is not None:
            return self.new_raw
        return PyBytes_FromStringAndSize(<const char *>self.request.reply.data, self.request.reply.size)

    @raw.setter
    def raw(self, value):
        self.check()
        self.new_raw = whole_reply(value)
        self.is_parsed = False

    @property
    def value(self):
        """It as a Python value: bytes, str, int, None, list, dict, ... or a ReplyError. Assignable."""
        self.check()
        if not self.is_parsed:
            if self.new_raw is not None:
                self.parsed = resp_decode(<const uint8_t *>PyBytes_AS_STRING(self.new_raw), PyBytes_GET_SIZE(self.new_raw))
            else:
                self.parsed = resp_decode(self.request.reply.data, self.request.reply.size)
            self.is_parsed = True
        return self.parsed

    @value.setter
    def value(self, value):
        self.check()
        self.new_raw = resp_encode(value, self.protocol)
        self.is_parsed = False

    @property
    def is_error(self):
        cdef uint8_t first
        self.check()
        if self.new_raw is not None:
            first = <uint8_t>PyBytes_AS_STRING(self.new_raw)[0]
        else:
            first = self.request.reply.data[0]
        return first == b'-' or first == b'!'

    @property
    def size(self):
        """Its bytes on the wire, without copying them."""
        self.check()
        return self.request.reply.size if self.new_raw is None else len(self.new_raw)

    def __repr__(self):
        return f"<Reply {self.raw[:60]!r}>" if self.request is not NULL else "<Reply, gone>"


cdef bytes whole_reply(object raw):
    """`raw` as bytes, if it is one whole reply: anything else would put the client out of step."""
    cdef bytes checked = bytes(raw)
    cdef const uint8_t *at = <const uint8_t *>PyBytes_AS_STRING(checked)
    if <Py_ssize_t>resp_frame_size(at, at + PyBytes_GET_SIZE(checked)) != PyBytes_GET_SIZE(checked) or not checked:
        raise ValueError(f"expected the bytes of exactly one whole reply, got {checked[:40]!r}")
    return checked


# ---- requests ---------------------------------------------------------------------------------------------------

cdef class Request:
    """One request in the hands of a transform.

    It can be used while the hook runs that it was given to, and while it is held. Afterwards it is on its way through
    the proxy, and using it raises RequestGone.
    """

    cdef int check(self) except -1:
        cdef uint8_t stage = self.stage
        if stage == IN_HOOK or stage == IN_REPLY_HOOK or stage == HELD or stage == HELD_REPLY:
            return 0
        raise RequestGone("this request has left the transform: use a request in its hook, or hold() it")

    cdef int decide(self, uint8_t verdict) except -1:
        """The hook says what becomes of the request; once."""
        self.check()
        if self.stage == IN_REPLY_HOOK or self.stage == HELD_REPLY:
            raise RuntimeError("this request has its reply already: change reply.value or reply.raw")
        if self.verdict != PASS:
            raise RuntimeError("this request was answered, refused, held or sent already")
        self.verdict = verdict
        self.touched = True
        return 0

    cdef int settle(self, uint8_t verdict, bytes answer_raw) except -1:
        """A held request (or reply) gets its verdict; the caller has checked that it has none."""
        if self.words is not None:
            self.words.frozen = True
        if self.stage == HELD_REPLY:
            if answer_raw is not None:
                self.its_reply.new_raw = answer_raw
            self.stage = DECIDED_REPLY
        else:
            self.verdict = verdict
            self.answer_raw = answer_raw
            self.stage = DECIDED
        self.host.post(self)
        return 0

    cdef Client client(self):
        """Whose request it is; None: nobody's that is known (a copy made by another transform)."""
        cdef request_t *request = self.request
        if self.its_client is None and request.session is not NULL and (request.queued or self.stage == IN_HOOK):
            self.its_client = self.host.client(<session_t *>request.session)
            self.touched = True
        return self.its_client

    cdef Args get_args(self):
        if self.words is None:
            self.words = Args.__new__(Args)
            self.touched = True
        if self.words.request is NULL:
            self.words.request = self.request
            self.words.frozen = self.stage == IN_REPLY_HOOK or self.stage == HELD_REPLY
            self.touched = True
        return self.words

    cdef void clear(self) noexcept:
        """Forgets all that belongs to one request. What user code keeps of it is closed and not used again."""
        if self.words is not None:
            self.words.reset()
            if Py_REFCNT(self.words) != 1:
                self.words = None
        if self.its_reply is not None:
            self.its_reply.reset()
            if Py_REFCNT(self.its_reply) != 1:
                self.its_reply = None
        self.its_client = None
        self.answer_raw = None
        self.failure = None
        self.handle = None
        self.job = None
        self.note = None
        self.transaction = 0
        self.verdict = PASS
        self.unseen = False
        self.touched = False

    cdef Reply make_reply(self):
        return Reply.__new__(Reply)

    cdef int put_edits(self) except -1:
        return 0

    cdef bint goes_by(self, frozenset names) except -1:
        return False

    # what it is

    @property
    def command(self):
        """Its first word in upper case, as bytes."""
        cdef const command_t *command
        if self.stage != IN_HOOK:
            self.check()
        if self.words is None or not self.words.edited:
            command = <const command_t *>self.request.command
            if command is not NULL and command.id < PyTuple_GET_SIZE(self.host.names):
                return self.host.names[command.id]
        return (<bytes>self.get_args()[0]).upper()

    @property
    def key(self):
        """Its first key; None: it has none."""
        cdef request_t *request
        if self.stage != IN_HOOK:
            self.check()
        request = self.request
        if self.words is None or not self.words.edited:
            if request.key_at != 0:
                return PyBytes_FromStringAndSize(<const char *>request.wire.data + request.key_at, request.key_size)
            if request.command is NULL or (<const command_t *>request.command).key_rule == KEYS_NONE:
                return None
        indexes = self.key_indexes
        return self.get_args().word(indexes[0]) if indexes else None

    @property
    def key_indexes(self):
        """Where in `args` its keys stand."""
        cdef:
            Args             args
            Py_ssize_t       argc, index
            slice_t         *words
            uint32_t        *found
            const command_t *command
            const command_t *sub
            int              count = 0
        self.check()
        args = self.get_args()
        args.load()
        argc = len(args.items)
        if argc == 0:
            return []
        words = <slice_t *>malloc(argc * (sizeof(slice_t) + sizeof(uint32_t)))
        if words is NULL:
            raise MemoryError()
        found = <uint32_t *>(words + argc)
        for index in range(argc):
            words[index].data = <uint8_t *>PyBytes_AS_STRING(args.items[index])
            words[index].size = PyBytes_GET_SIZE(args.items[index])
        command = command_find(words[0].data, words[0].size)
        if command is not NULL:
            if command.has_subcommands and argc > 1:
                sub = command_find_sub(command, words[1].data, words[1].size)
                if sub is not NULL:
                    command = sub
            count = command_keys(command, words, <uint32_t>argc, found, <uint32_t>argc)
        try:
            return [found[index] for index in range(max(count, 0))]
        finally:
            free(words)

    @property
    def keys(self):
        """All its keys."""
        return [self.get_args().word(index) for index in self.key_indexes]

    @property
    def args(self):
        """All its words, the command's name first. Editable, and assignable as a whole."""
        if self.stage != IN_HOOK:
            self.check()
        return self.get_args()

    @args.setter
    def args(self, value):
        words = [word_of(each) for each in value]
        self.check()
        if not words:
            raise ValueError("a request has at least one word")
        args = self.get_args()
        args.check_edit()
        args.items = words

    @property
    def kind(self):
        """"read", "write", "session", "pubsub", "schema", "admin" or "unknown", as the server's command table says."""
        if self.stage != IN_HOOK:
            self.check()
        return KINDS[self.request.kind if self.request.kind < PyTuple_GET_SIZE(KINDS) else 0]

    @property
    def raw(self):
        """The request as it came, edits not included."""
        self.check()
        return PyBytes_FromStringAndSize(<const char *>self.request.wire.data, self.request.wire.size)

    @property
    def size(self):
        """Bytes of the request on the wire, without copying them."""
        if self.stage != IN_HOOK:
            self.check()
        return self.request.wire.size

    @property
    def reply(self):
        """Its reply in a reply hook; None before."""
        self.check()
        return self.its_reply

    # whose it is

    @property
    def client_address(self):
        """host:port of the client; empty for a UNIX socket."""
        cdef Client client
        self.check()
        client = self.client()
        return "" if client is None else client.address

    @property
    def client_identity(self):
        """Whom the client's TLS certificate names (its first URI, else its common name); empty: it has shown none."""
        cdef Client client
        self.check()
        client = self.client()
        return "" if client is None else client.identity

    @property
    def client_id(self):
        """A number that no other connection of this source and worker has had; 0: unknown."""
        cdef Client client
        self.check()
        client = self.client()
        return 0 if client is None else client.id

    @property
    def user(self):
        """Whom the server has authenticated the client as; "default" until then."""
        cdef Client client
        self.check()
        client = self.client()
        return "default" if client is None else client.user

    @property
    def state(self):
        """A dict of the transform's own for this connection; it goes when the connection does."""
        cdef Client client
        self.check()
        client = self.client()
        if client is None:
            self.its_client = client = Client.__new__(Client)       # nobody's: good for this request
            client.address = ""
            client.identity = ""
            self.touched = True
        return client.state

    @property
    def in_transaction(self):
        """Whether it stands between MULTI and EXEC, and the server only queues it."""
        self.check()
        return self.transaction != 0 and self.request.conduct not in (CONDUCT_MULTI, CONDUCT_EXEC, CONDUCT_DISCARD)

    # what becomes of it

    def answer(self, value=None, *, reply_raw=None):
        """Answers it without asking the server: with a Python value, or with the bytes of a reply."""
        cdef Client client
        self.check()
        if reply_raw is not None:
            if value is not None:
                raise TypeError("answer() takes a value or reply_raw, not both")
            raw = whole_reply(reply_raw)
        else:
            client = self.client() if self.request.session is not NULL else None
            raw = resp_encode(value, 2 if client is None else client.protocol)
        self.decide(ANSWER)
        self.answer_raw = raw

    def refuse(self, text, code="ERR"):
        """Answers it with an error."""
        raw = error_raw(self.host.codec, code, text)
        self.decide(FAIL)
        self.answer_raw = raw

    def hold(self):
        """Keeps it (or its reply) from going on until the returned handle says so; from any thread."""
        self.check()
        self.client()                   # while its session is surely there
        if self.job is not None:
            raise RuntimeError("a request of an async hook is held already: it goes on when the hook returns")
        if self.handle is not None or self.verdict != PASS:
            raise RuntimeError("this request was answered, refused, held or sent already")
        if self.host.held_count >= self.host.held_max:
            self.host.held_refused += 1
            raise HeldLimit(f"transform {self.host.name} holds {self.host.held_max} requests already (max_held)")
        self.host.held_count += 1
        self.verdict = HOLD
        self.touched = True
        self.handle = Held.__new__(Held)
        self.handle.view = self
        return self.handle

    def send(self, chain):
        """Sends it into one of the transform's own chains; the reply of that chain becomes its reply."""
        cdef int index = self.host.chain_index(chain)
        self.decide(SEND)
        self.chain_index = index

    def __repr__(self):
        if self.stage in (IN_HOOK, IN_REPLY_HOOK, HELD, HELD_REPLY):
            return f"<Request {self.raw[:60]!r}>"
        return "<Request, gone>"


cdef class Held:
    """A request that is held. The first call of release, answer, refuse or send decides, from whatever thread.

    Each returns whether it has decided: False says that another call, the time limit or the client's end came first.
    """

    cdef bint settle(self, uint8_t verdict, bytes answer_raw):
        cdef Request view = self.view
        if view is None or view.host.closed or view.handle is not self:
            return False
        if view.stage == IN_HOOK or view.stage == IN_REPLY_HOOK:
            # still in the hook, or another thread was faster than the hook: the hold ends with it
            if view.verdict != HOLD:
                return False
            view.host.held_count -= 1
            if view.stage == IN_REPLY_HOOK:
                verdict = PASS
                if answer_raw is not None:
                    view.its_reply.new_raw = answer_raw
            view.verdict = verdict
            view.answer_raw = answer_raw
            self.view = None
            return True
        if view.stage != HELD and view.stage != HELD_REPLY:
            return False
        view.settle(verdict, answer_raw)
        self.view = None
        return True

    @property
    def done(self):
        """Whether it is decided what becomes of the request."""
        return self.view is None or self.view.handle is not self or self.view.stage not in (
            IN_HOOK, IN_REPLY_HOOK, HELD, HELD_REPLY)

    def release(self):
        """The request (or the reply) goes on, as edited."""
        return self.settle(PASS, None)

    def answer(self, value=None, *, reply_raw=None):
        """The request is answered instead; of a held reply: this is the reply."""
        cdef Request view = self.view
        if view is None or view.handle is not self:
            return False
        if reply_raw is not None:
            return self.settle(ANSWER, whole_reply(reply_raw))
        return self.settle(ANSWER, resp_encode(value, 2 if view.its_client is None else view.its_client.protocol))

    def refuse(self, text, code="ERR"):
        """The request is answered with an error."""
        cdef Request view = self.view
        if view is None or view.handle is not self:
            return False
        return self.settle(FAIL, error_raw(view.host.codec, code, text))

    def send(self, chain):
        """The request goes into one of the transform's own chains."""
        cdef:
            Request view = self.view
            int     index
        if view is None or view.handle is not self:
            return False
        index = view.host.chain_index(chain)
        if view.stage == IN_REPLY_HOOK or view.stage == HELD_REPLY:
            raise RuntimeError("this request has its reply already: it cannot be sent")
        if self.done:
            return False
        view.chain_index = index
        return self.settle(SEND, None)
