"""See _redis_protocol_converter.pxd. A session in RESP2 costs one look into its slot, and nothing on the way up."""

cimport cython

from libc.string cimport memcmp, memcpy, memset, strlen

from shotover._codec.commands cimport (
    CONDUCT_DISCARD,
    CONDUCT_EXEC,
    CONDUCT_MULTI,
    CONDUCT_PLAIN,
    CONDUCT_QUIT,
    CONDUCT_RESET,
    CONDUCT_WATCH,
    ID_HELLO,
    command_t,
)
from shotover._codec.resp cimport resp_frame_size
from shotover._codec.resp_edit cimport resp_facts
from shotover._codec.resp_hello cimport hello_auth, hello_name, hello_parse, hello_reply, hello_room, hello_t
from shotover._codec.resp_shape cimport (
    SHAPE_ANY,
    SHAPE_LAST,
    SHAPE_PUSH,
    SHAPE_SCRIPT_REFUSED,
    SHAPE_TRACKING_REFUSED,
    SHAPE_UNKNOWN,
    reply_shape,
    shape_varies,
)
from shotover._codec.resp_upgrade cimport upgrade_begin, upgrade_room, upgrade_write
from shotover._core.debug cimport likely, unlikely
from shotover._core.memory cimport chunk_data, chunk_put, pool_take, slab_close, slab_give, slab_init, slab_take
from shotover._core.request cimport (
    WATCHED_BY_PIECES,
    WATCHED_BY_STEP,
    batch_clear,
    batch_pop,
    batch_push,
    request_drop_reply,
    request_own,
)
from shotover._proxy.refusing cimport SLOT_BITS, TX_OPEN
from shotover._proxy.session cimport session_slots

cdef enum:
    STACK_ROOM = 4096           # bytes of a piece written that need no memory

cdef const char *INFO = b"*1\r\n$4\r\nINFO\r\n"
cdef const char *NO_RESP3 = b"unsupported protocol version"
cdef const char *IN_MULTI = b"shotover: HELLO cannot be converted within MULTI: say it before"
cdef const char *UNKNOWN = \
    b"shotover: what this command replies in RESP3 is not known, and its server is spoken to in RESP2: use HELLO 2, or set " \
    b"unknown_commands: pass"
cdef const char *TRACKING = \
    b"shotover: CLIENT TRACKING needs a connection in RESP3, and its server is spoken to in RESP2"
cdef const char *SCRIPT = \
    b"shotover: redis.setresp in a script needs a connection in RESP3, and its server is spoken to in RESP2"
cdef const char *TOO_LARGE = \
    b"shotover: a request this large cannot wait for a HELLO or RESET that waits for others: send it after their replies"
cdef const char *LOST = b"shotover: upstream connection lost before this was sent"
cdef const char *CANNOT = b"shotover: the reply to this cannot be converted from RESP2: use HELLO 2"


cdef inline size_t *_slot(session_t *session, int slot) noexcept nogil:
    return <size_t *>&session_slots(session)[slot]


cdef inline client_t *_client_of(size_t slot) noexcept nogil:
    return <client_t *>(slot & ~<size_t>SLOT_BITS)


@cython.final
cdef class RedisProtocolConverter(RefusingStep):

    def __init__(self, context, *, str name, str resp3, str unknown_commands):
        self.refuses_hello = resp3 == "refuse"
        self.passes_unknown = unknown_commands == "pass"
        self.tag = 0
        self.wants_kin = True
        self.wants_end = True
        self.reads_bodies = False
        slab_init(&self.clients, sizeof(client_t) + 15 & ~<size_t>15)     # their addresses have room for SLOT_BITS
        slab_init(&self.notes, sizeof(note_t))

    def __dealloc__(self):
        slab_close(&self.clients)
        slab_close(&self.notes)

    # ---- down -----------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request = batch.head
            batch_t    rest
        while request is not NULL and request.conduct == CONDUCT_PLAIN and (
            request.session is NULL or _slot(<session_t *>request.session, self.slot)[0] == 0
        ):
            request = request.next
        if likely(request is NULL):
            self.pass_down(batch)       # nobody here speaks RESP3: the batch goes on as it came
            return
        batch_clear(&rest)
        while batch.head is not NULL:
            self._take(batch_pop(batch), &rest)
        self.pass_down(&rest)

    cdef void _take(self, request_t *request, batch_t *rest) noexcept nogil:
        cdef client_t *client = NULL
        if request.session is not NULL:
            client = _client_of(_slot(<session_t *>request.session, self.slot)[0])
        if client is NULL or client.busy is NULL:
            self._one(request, client, rest)
        elif request.streamed and (<session_t *>request.session).order_head is not client.busy:
            self._refuse(request, TOO_LARGE)    # while its rest waits its client is not read: not for what may never end
        elif not request_own(&self.loop.pool, request):
            self._refuse(request, b"shotover: no memory")
        else:
            batch_push(&client.waiting, request)        # bounded by the source's max_pending_requests

    cdef void _one(self, request_t *request, client_t *client, batch_t *rest) noexcept nogil:
        """A request whose client's protocol is known; it is put into `rest`, or answered."""
        cdef:
            uint8_t conduct = request.conduct
            uint8_t role = ROLE_REPLY
            uint8_t shape
            note_t *note
        if request.command is not NULL and (<const command_t *>request.command).id == ID_HELLO and request.session is not NULL:
            self._hello(request, client, rest)
            return
        if client is not NULL and client.protocol == 3:
            if conduct == CONDUCT_MULTI:
                role = ROLE_MULTI
            elif conduct == CONDUCT_EXEC:
                role = ROLE_EXEC
            elif conduct == CONDUCT_RESET:
                role = ROLE_RESET
            elif conduct != CONDUCT_DISCARD and conduct != CONDUCT_QUIT and conduct != CONDUCT_WATCH \
                    and _slot(<session_t *>request.session, self.slot)[0] & TX_OPEN:
                role = ROLE_QUEUED
            note = self._note_new(request, client, role)
            if note is NULL:
                self._refuse(request, b"shotover: no memory")
                return
            shape = self._shapes(request, note)
            if shape > SHAPE_LAST:
                request.tags[self.tag] = NULL
                self._note_free(note)
                self._refuse(request, UNKNOWN if shape == SHAPE_UNKNOWN else TRACKING if shape == SHAPE_TRACKING_REFUSED
                             else SCRIPT if shape == SHAPE_SCRIPT_REFUSED else CANNOT)
                return
            if role == ROLE_REPLY and request.queued:
                request.watched |= WATCHED_BY_PIECES
            else:
                request.watched |= WATCHED_BY_STEP
            client.busy = request if role == ROLE_RESET else NULL
            self.converted_total += request.count
        if conduct != CONDUCT_PLAIN:
            self.track(request)
        batch_push(rest, request)

    cdef void _hello(self, request_t *request, client_t *client, batch_t *rest) noexcept nogil:
        cdef:
            hello_t  hello
            chunk_t *chunk
            note_t  *note
            uint8_t  wanted = 0
            uint8_t  speaks = 2 if client is NULL else client.protocol
        hello_parse(request.wire.data, request.wire.data + request.wire.size, &hello)   # mistakes are the server's to tell
        if hello.version.size == 1:
            wanted = hello.version.data[0] - 48
        if wanted == 3 and self.refuses_hello:
            self.refuse_take(request, b"NOPROTO", NO_RESP3, strlen(NO_RESP3))
            return
        if speaks == 2 and wanted != 3:
            batch_push(rest, request)       # the server's business, as it is
            return
        if _slot(<session_t *>request.session, self.slot)[0] & TX_OPEN:
            self._refuse(request, IN_MULTI)
            return
        if client is NULL:
            client = self._client_new(<session_t *>request.session)
        note = NULL if client is NULL else self._note_new(request, client, ROLE_HELLO)
        chunk = NULL if note is NULL else pool_take(&self.loop.pool, request.wire.size)
        if chunk is NULL:
            if note is not NULL:
                request.tags[self.tag] = NULL
                self._note_free(note)
            self._refuse(request, b"shotover: no memory")
            return
        memcpy(chunk_data(chunk), request.wire.data, request.wire.size)
        if wanted == 3:
            (chunk_data(chunk) + (hello.version.data - request.wire.data))[0] = b'2'
            request.edited = 1
        if request.owner is not NULL:
            chunk_put(&self.loop.pool, request.owner)
        request.owner = chunk
        request.wire.data = chunk_data(chunk)
        self._shapes(request, note)
        note.wanted = wanted if wanted == 2 or wanted == 3 else speaks
        client.busy = request
        request.watched |= WATCHED_BY_STEP
        self.converted_total += 1
        batch_push(rest, request)

    cdef void _refuse(self, request_t *request, const char *text) noexcept nogil:
        cdef:
            uint8_t out[400]
            size_t  size = self.codec.error(out, sizeof(out), b"ERR", text, strlen(text))
        self.refuse_with(request, out, size)

    # ---- clients and notes ----------------------------------------------------------------------------------------

    cdef client_t *_client_new(self, session_t *session) noexcept nogil:
        cdef client_t *client = <client_t *>slab_take(&self.clients)
        if client is NULL:
            return NULL
        memset(client, 0, sizeof(client_t))
        client.session = session
        client.users = 1
        client.protocol = 2
        _slot(session, self.slot)[0] |= <size_t>client
        return client

    cdef void _client_drop(self, client_t *client) noexcept nogil:
        client.users -= 1
        if client.users == 0:
            if client.queued is not NULL:
                chunk_put(&self.loop.pool, client.queued)
            slab_give(&self.clients, client)

    cdef note_t *_note_new(self, request_t *request, client_t *client, uint8_t role) noexcept nogil:
        cdef note_t *note = <note_t *>slab_take(&self.notes)
        if note is NULL:
            return NULL
        note.client = client
        client.users += 1
        note.role = role
        note.wanted = 0
        note.midway = 0
        note.at = 0
        note.count = 1
        note.kept = 0
        note.hello = NULL
        note.hello_size = 0
        note.more = NULL
        request.tags[self.tag] = note
        return note

    cdef void _note_free(self, note_t *note) noexcept nogil:
        if note.more is not NULL:
            chunk_put(&self.loop.pool, note.more)
        if note.hello is not NULL:
            chunk_put(&self.loop.pool, note.hello)
        self._client_drop(note.client)
        slab_give(&self.notes, note)

    cdef uint8_t _shape(self, request_t *request, const uint8_t *at, const uint8_t *end) noexcept nogil:
        cdef uint8_t shape = reply_shape(<const command_t *>request.command, at, end)
        return <uint8_t>SHAPE_ANY if shape == SHAPE_UNKNOWN and self.passes_unknown else shape

    cdef uint8_t _shapes(self, request_t *request, note_t *note) noexcept nogil:
        """Notes the shape of each reply to the run, which is of one command. Returns the greatest: it may be none."""
        cdef:
            const uint8_t *at = request.wire.data
            const uint8_t *end = at + request.wire.size
            uint8_t       *shapes = note.shapes
            uint8_t        shape
            uint8_t        greatest
            uint32_t       index
            size_t         size
        note.shapes[0] = self._shape(request, at, end)
        greatest = note.shapes[0]
        if likely(request.count == 1) or not shape_varies(<const command_t *>request.command):
            return greatest
        note.count = request.count
        if note.count > SHAPES_INLINE:
            note.more = pool_take(&self.loop.pool, note.count)
            if note.more is NULL:
                return SHAPE_LAST + 1
            shapes = chunk_data(note.more)
        for index in range(note.count):
            size = resp_frame_size(at, end)
            shape = self._shape(request, at, at + size)
            shapes[index] = shape
            greatest = max(greatest, shape)
            at += size
        return greatest

    # ---- up -------------------------------------------------------------------------------------------------------

    cdef void on_piece(self, request_t *request, const uint8_t *data, size_t size) noexcept nogil:
        cdef:
            note_t  *note = <note_t *>request.tags[self.tag]
            uint8_t  room[STACK_ROOM]
            uint8_t *out = room
            chunk_t *chunk = NULL
        if note is NULL:
            self.up.on_piece(request, data, size)
            return
        if upgrade_room(size) > STACK_ROOM:
            chunk = pool_take(&self.loop.pool, upgrade_room(size))
            if chunk is NULL:
                request.failed = 1          # its client is closed rather than left with a part of a reply
                request.discard = 1
                return
            out = chunk_data(chunk)
        size = <size_t>(self._write(note, data, data + size, out) - out)
        if size:
            self.up.on_piece(request, out, size)
        note.kept = request.reply.size
        if chunk is not NULL:
            chunk_put(&self.loop.pool, chunk)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            note_t    *note
        while batch.head is not NULL:
            request = batch_pop(batch)
            note = <note_t *>request.tags[self.tag]
            if note is not NULL:
                request.tags[self.tag] = NULL
                self._answered(request, note)
            elif not self.abort_answer(request):
                self.pass_up(request)

    cdef void _answered(self, request_t *request, note_t *note) noexcept nogil:
        cdef:
            client_t *client = note.client
            bint      first = request.reply.size > 0 and request.reply.data[0] == b'+'
        if note.role >= ROLE_HELLO:
            if not self._hello_answered(request, note):
                return                      # another request has gone in its place
            client.busy = NULL
        elif note.role == ROLE_RESET:
            client.busy = NULL
            if first or (request.mute and not request.failed):
                client.protocol = 2
                client.queued_count = 0
        elif note.role == ROLE_MULTI and first:
            client.queued_count = 0
        elif note.role == ROLE_MULTI and client.session is not NULL and not _is_nested(request):
            _slot(client.session, self.slot)[0] &= ~<size_t>TX_OPEN     # it has not begun
        if request.command is not &self.aborted and not self._convert(request, note):
            request_drop_reply(&self.loop.pool, request)
            request.failed = 1              # without memory for its reply the client is closed
        client.users += 1
        self._note_free(note)
        if not self.abort_answer(request):
            self.pass_up(request)
        self._go_on(client)
        self._client_drop(client)

    cdef bint _convert(self, request_t *request, note_t *note) noexcept nogil:
        """What of the reply has come whole is written anew. False: no memory."""
        cdef:
            chunk_t *chunk
            size_t   kept = note.kept
            size_t   size = request.reply.size
            uint8_t *end
        if size <= kept or note.client.protocol != 3:
            return True
        chunk = pool_take(&self.loop.pool, kept + upgrade_room(size - kept))
        if chunk is NULL:
            return False
        memcpy(chunk_data(chunk), request.reply.data, kept)
        end = self._write(note, request.reply.data + kept, request.reply.data + size, chunk_data(chunk) + kept)
        request_drop_reply(&self.loop.pool, request)
        if end is NULL:
            chunk_put(&self.loop.pool, chunk)
            return False
        request.reply.data = chunk_data(chunk)
        request.reply.size = <size_t>(end - chunk_data(chunk))
        request.reply_owner = chunk
        return True

    cdef uint8_t *_write(self, note_t *note, const uint8_t *at, const uint8_t *end, uint8_t *out) noexcept nogil:
        """As many replies as lie in [at, end), the last of them perhaps in part. NULL: no memory for a queue."""
        cdef:
            client_t *client = note.client
            uint8_t  *shapes = _shapes_of(note)
            uint8_t   shape
        while at < end:
            if not note.midway:
                shape = shapes[min(note.at, note.count - 1)]
                if note.role == ROLE_QUEUED and end - at >= 9 and memcmp(at, b"+QUEUED\r\n", 9) == 0 \
                        and not self._queue(note):
                    return NULL
                upgrade_begin(&note.upgrade, shape, NULL if client.queued is NULL else chunk_data(client.queued),
                              client.queued_count)
                note.midway = 1
            out = upgrade_write(&note.upgrade, &at, end, out)
            if note.upgrade.done:
                note.midway = 0
                note.at += 1
        return out

    cdef bint _queue(self, note_t *note) noexcept nogil:
        """The server has queued a command: one more shape for EXEC."""
        cdef:
            client_t *client = note.client
            uint8_t  *shapes = _shapes_of(note)
            chunk_t  *chunk = client.queued
        if chunk is NULL or chunk.size == client.queued_count:
            chunk = pool_take(&self.loop.pool, 2 * <size_t>client.queued_count + 64)
            if chunk is NULL:
                return False
            if client.queued is not NULL:
                memcpy(chunk_data(chunk), chunk_data(client.queued), client.queued_count)
                chunk_put(&self.loop.pool, client.queued)
            client.queued = chunk
        chunk_data(chunk)[client.queued_count] = shapes[min(note.at, note.count - 1)]
        client.queued_count += 1
        return True

    cdef void on_push(self, void *session, const uint8_t *data, size_t size) noexcept nogil:
        """A message becomes a push; a line of MONITOR stays one."""
        cdef:
            client_t      *client = _client_of(_slot(<session_t *>session, self.slot)[0])
            upgrade_t      upgrade
            uint8_t        room[STACK_ROOM]
            uint8_t       *out = room
            uint8_t       *to
            chunk_t       *chunk = NULL
            const uint8_t *end = data + size
        if client is NULL or client.protocol != 3:
            self.up.on_push(session, data, size)
            return
        if upgrade_room(size) > STACK_ROOM:
            chunk = pool_take(&self.loop.pool, upgrade_room(size))
            if chunk is NULL:
                self.up.on_leave(session)   # a message would be lost unseen
                return
            out = chunk_data(chunk)
        to = out
        while data < end:
            upgrade_begin(&upgrade, SHAPE_PUSH, NULL, 0)
            to = upgrade_write(&upgrade, &data, end, to)
        self.up.on_push(session, out, <size_t>(to - out))
        if chunk is not NULL:
            chunk_put(&self.loop.pool, chunk)

    # ---- HELLO ----------------------------------------------------------------------------------------------------

    cdef bint _hello_answered(self, request_t *request, note_t *note) noexcept nogil:
        """The reply to HELLO, or to what went in its place. False: something else has gone in its place now."""
        cdef:
            client_t *client = note.client
            bint      error = request.reply.size > 0 and request.reply.data[0] == b'-'
        if request.mute and not request.failed:
            client.protocol = note.wanted       # after CLIENT REPLY OFF or SKIP: nobody will say how it went
        if request.reply.size == 0 or request.failed:
            return True
        if note.role == ROLE_HELLO:
            if not error:
                client.protocol = note.wanted
            elif _has_no_hello(request) and self._instead(request, note):
                return False
            return True
        if error:
            return True
        if self._instead(request, note):
            return False
        if self._hello_made(request, note):
            client.protocol = note.wanted
            note.kept = request.reply.size      # it is as it must be
        return True

    cdef bint _instead(self, request_t *request, note_t *note) noexcept nogil:
        """Sends what does a part of HELLO, next after what has been answered. False: there is no more to send."""
        cdef:
            hello_t  hello
            chunk_t *chunk
            chunk_t *whole = request.owner if note.hello is NULL else note.hello
            size_t   whole_size = request.wire.size if note.hello is NULL else note.hello_size
            size_t   size
            batch_t  batch
        if note.role == ROLE_INFO or not request.queued or whole is NULL \
                or not hello_parse(chunk_data(whole), chunk_data(whole) + whole_size, &hello):
            return False
        chunk = pool_take(&self.loop.pool, hello_room(whole_size))
        if chunk is NULL:
            return False
        if note.role == ROLE_HELLO and hello.user.data is not NULL:
            note.role = ROLE_AUTH
            size = hello_auth(&hello, chunk_data(chunk))
        elif note.role <= ROLE_AUTH and hello.name.data is not NULL:
            note.role = ROLE_NAME
            size = hello_name(&hello, chunk_data(chunk))
        else:
            note.role = ROLE_INFO
            size = strlen(INFO)
            memcpy(chunk_data(chunk), INFO, size)
        if note.hello is NULL:
            note.hello = request.owner
            note.hello_size = whole_size
        else:
            chunk_put(&self.loop.pool, request.owner)
        request.owner = chunk
        request.wire.data = chunk_data(chunk)
        request.wire.size = size
        resp_facts(request)
        request_drop_reply(&self.loop.pool, request)
        request.edited = 1
        request.left = 1
        request.watched |= WATCHED_BY_STEP
        request.tags[self.tag] = note
        batch_clear(&batch)
        batch_push(&batch, request)
        self.pass_down(&batch)
        return True

    cdef bint _hello_made(self, request_t *request, note_t *note) noexcept nogil:
        """HELLO's reply out of INFO's. False: an error has taken its place."""
        cdef:
            chunk_t *chunk = pool_take(&self.loop.pool, hello_room(request.reply.size))
            size_t   size = 0
        if chunk is not NULL and note.client.session is not NULL:
            size = hello_reply(&request.reply, note.client.session.id, note.wanted, chunk_data(chunk))
        request_drop_reply(&self.loop.pool, request)
        if size == 0:
            if chunk is not NULL:
                chunk_put(&self.loop.pool, chunk)
            request.failed = 1
            return False
        request.reply.data = chunk_data(chunk)
        request.reply.size = size
        request.reply_owner = chunk
        return True

    # ---- what waited ----------------------------------------------------------------------------------------------

    cdef void _go_on(self, client_t *client) noexcept nogil:
        """HELLO or RESET has been answered: what came behind it goes on, up to the next."""
        cdef:
            batch_t    rest
            request_t *request
        if likely(client.waiting.head is NULL) or client.busy is not NULL:
            return
        batch_clear(&rest)
        while client.waiting.head is not NULL and client.busy is NULL:
            request = batch_pop(&client.waiting)
            if unlikely(client.lost):
                self._refuse(request, LOST)
            else:
                self._one(request, client, &rest)
        self.pass_down(&rest)

    cdef void on_leave(self, void *session) noexcept nogil:
        """The client must begin anew: what waits may not be carried out on a connection that knows nothing of it."""
        cdef client_t *client = _client_of(_slot(<session_t *>session, self.slot)[0])
        if client is not NULL and client.waiting.head is not NULL:
            client.lost = True
        self.up.on_leave(session)

    cdef void on_session_end(self, void *session) noexcept nogil:
        cdef:
            size_t    *slot = _slot(<session_t *>session, self.slot)
            client_t  *client = _client_of(slot[0])
            request_t *request
        slot[0] = 0
        if client is NULL:
            return
        client.session = NULL
        while client.waiting.head is not NULL:
            request = batch_pop(&client.waiting)
            request.session = NULL
            self._refuse(request, b"the client is gone")
        self._client_drop(client)

    def samples(self):
        labels = {"transform": self.type_name, "chain": self.chain.name, "name": self.name}
        return RefusingStep.samples(self) + [
            ("shotover_converted_requests_count", labels, "counter", self.converted_total),
        ]


cdef inline uint8_t *_shapes_of(note_t *note) noexcept nogil:
    if unlikely(note.more is not NULL):
        return chunk_data(note.more)
    return &note.shapes[0]


cdef bint _is_nested(request_t *request) noexcept nogil:
    """A MULTI within MULTI, or one of which nobody knows what the server has made of it."""
    return request.failed or request.reply.size < 20 or memcmp(request.reply.data, b"-ERR MULTI calls can", 20) == 0


cdef bint _has_no_hello(request_t *request) noexcept nogil:
    """An older server, or one that has it renamed or off."""
    return request.reply.size > 20 and memcmp(request.reply.data, b"-ERR unknown command", 20) == 0
