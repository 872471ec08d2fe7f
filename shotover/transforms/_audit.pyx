"""See _audit.pxd.

A record is written when its request has been answered, or cannot be any more. What it says of the request is kept until then:
of a statement of CQL its facts are there, with its text without constants as a note; of a command its name and first key are
copied. Replies go on as they come: of one that comes in pieces the first tells whether it is an error.

Where there is no room for a record, it is counted, and the next one that is written has before it a record of the gap. With
`refuse`, room is set aside before a request goes on, so that none goes on without.
"""

cimport cython

from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset, strlen

from shotover._codec.codec cimport decode_t, resume_t
from shotover._codec.commands cimport (
    CONDUCT_MONITOR,
    CONDUCT_PLAIN,
    CONDUCT_REPLY_MODE,
    CONDUCT_STATE,
    CONDUCT_SUBSCRIBE,
    CONDUCT_UNSUBSCRIBE,
    command_t,
)
from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.facts cimport cql_facts, cql_facts_t, cql_touch_t
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    OP_AUTH_RESPONSE,
    OP_BATCH,
    OP_ERROR,
    OP_EXECUTE,
    OP_OPTIONS,
    OP_PREPARE,
    OP_QUERY,
    OP_REGISTER,
    OP_RESULT,
    OP_STARTUP,
    read_int,
)
from shotover._codec.cql.messages cimport cql_prefix_read, cql_prefix_t
from shotover._codec.cql.names cimport consistency_word, object_word, statement_word
from shotover._codec.cql.reading cimport cql_consistency
from shotover._codec.cql.redact cimport cql_redact
from shotover._codec.cql.results cimport RESULT_ROWS, cql_result_read, cql_result_t
from shotover._codec.json_text cimport json_begin, json_name, json_number, json_raw, json_string, json_text, json_word
from shotover._codec.login cimport login_user
from shotover._codec.resp cimport resp_words
from shotover._core.clock cimport clock_wall_ns
from shotover._core.debug cimport likely, unlikely
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport (
    chunk_data,
    chunk_put,
    chunk_ref,
    pool_take,
    pool_take_exact,
    slab_close,
    slab_give,
    slab_init,
    slab_take,
)
from shotover._core.request cimport (
    ABANDONED,
    LOST,
    REFUSED,
    WATCHED_BY_PIECES,
    WATCHED_BY_STEP,
    batch_clear,
    batch_pop,
    batch_push,
    batch_t,
)
from shotover._core.slice cimport slice_t
from shotover._core.status cimport OK
from shotover._net.peer cimport PEER_NAME_MAX, peer_name, peer_t
from shotover._net.tls cimport stream_identity
from shotover._proxy.refusing cimport ends_or_begins
from shotover._proxy.session cimport session_peer
from shotover._proxy.step cimport put_text

cdef enum:
    BASE_MAX = 1024             # of a record without its statement
    WHO_MAX = 640
    WORDS_MAX = 16              # of a login
    STATEMENT_MAX = 4096        # as JSON
    LIMIT_FRAME = 1 << 24

cdef const char *FULL = b"shotover: the audit trail has no room for this request now (Audit, when_full: refuse)"


@cython.final
cdef class Audit(SelectingStep):

    def __init__(self, context, *, str name, rows, AuditRing ring, writer, Chain chain, words, uint64_t chain_most,
                 bint refuses, size_t statement_max):
        self.tag = 0
        self.notes = 2          # what follows from the rules, and the text that is shown
        self.wants_each = True
        self.reads_bodies = False
        self.client_size = sizeof(audit_client_t)
        self.set_rules(rows)
        self.all_of_them = not rows
        self.knows_users = True
        self.ring = ring
        self.writer = writer
        self.refuses = refuses
        self.statement_max = statement_max
        put_text(self.source, sizeof(self.source), context.source_name)
        slab_init(&self.items, sizeof(audited_t))
        if chain is not None:
            self.aside = chain
            self.adopt(chain)
            head = [b"*%d\r\n" % (len(words) + 1)] + [b"$%d\r\n%b\r\n" % (len(word), word) for word in words]
            self.aside_head = b"".join(head)
            self.aside_data = <const uint8_t *><const char *>self.aside_head
            self.aside_size = len(self.aside_head)
            self.aside_most = chain_most
            self.aside_limits.frame_bytes_max = LIMIT_FRAME
            self.aside_limits.arguments_max = 1024

    def __dealloc__(self):
        slab_close(&self.items)

    def close(self):
        if self.writer is not None:
            self.writer.end(self.ring)

    # ---- down -------------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t      *request
            audit_client_t *client
            audited_t      *item
            batch_t         rest
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            client = NULL if request.session is NULL else <audit_client_t *>self.client_of(request.session)
            request.tags[self.tag] = NULL
            if self._wants(request, client):
                item = self._begin(request, client)
                if unlikely(item is NULL):
                    self.refused_total += 1
                    self.mark_broken(request)
                    self.refuse_take(request, b"BUSY", FULL, strlen(FULL))
                    continue
                request.tags[self.tag] = item
                if request.mute or request.conduct == CONDUCT_SUBSCRIBE or request.conduct == CONDUCT_UNSUBSCRIBE \
                        or request.conduct == CONDUCT_MONITOR or request.conduct == CONDUCT_REPLY_MODE:
                    item.gathered = 1           # its replies must stay in step with what is pushed: said as it is sent
                    self._end(request, item)
                elif request.queued and request.watched == 0:
                    request.watched = WATCHED_BY_PIECES
                else:
                    request.watched |= WATCHED_BY_STEP
            if request.conduct != CONDUCT_PLAIN:
                self.track(request)
                self.follow_login(request)
            batch_push(&rest, request)
        self.pass_down(&rest)

    cdef bint _wants(self, request_t *request, audit_client_t *client) noexcept nogil:
        if self.cql and (request.opcode == OP_OPTIONS or request.opcode == OP_STARTUP or request.opcode == OP_REGISTER):
            return False
        return self.all_of_them or self.select(request, &client.base if client is not NULL else NULL) != 0

    cdef audited_t *_begin(self, request_t *request, audit_client_t *client) noexcept nogil:
        """What must be known of it later. NULL: it may not go on without a record, and there is no room for one."""
        cdef:
            uint64_t       size = BASE_MAX
            const chunk_t *text
            audited_t     *item
        if self.cql and request.facts is not NULL:
            text = self._statement(request)
            size += self.statement_max if text is NULL else text.size
        if self.refuses and not self._has_room(size) and not ends_or_begins(request):
            return NULL
        item = <audited_t *>slab_take(&self.items)
        if item is NULL:
            return NULL
        memset(item, 0, sizeof(audited_t))
        item.reserved = size
        item.level = cql_consistency(request) if self.cql else -1
        self.reserved += size
        item.who = self._who(client) if client is not NULL else NULL
        if not self.cql:
            self._note_command(item, request)
        elif request.opcode == OP_AUTH_RESPONSE and client is not NULL and client.base.session.talk is not NULL:
            item.login = 1
            item.key_size = min((<talk_t *>client.base.session.talk).claimed_size, <uint8_t>KEY_MAX)
            memcpy(item.key, (<talk_t *>client.base.session.talk).claimed, item.key_size)
        return item

    cdef bint _has_room(self, uint64_t size) noexcept nogil:
        if self.ring is not None and self.ring.room() < self.reserved + size:
            return False
        return self.aside is None or self.aside_pending < self.aside_most

    cdef void _note_command(self, audited_t *item, request_t *request) noexcept nogil:
        """Name and first key of a command, or whom it logs in. Nothing else of its words."""
        cdef:
            const command_t *command = <const command_t *>request.command
            slice_t  words[WORDS_MAX]
            slice_t  user
            uint32_t count
        if likely(command is not NULL):
            item.word_size = min(command.name_size, <uint8_t>WORD_MAX)
            memcpy(item.word, command.name, item.word_size)
        elif resp_words(request.wire.data, request.wire.data + request.wire.size, words, 1) > 0:
            item.word_size = <uint8_t>min(words[0].size, <size_t>WORD_MAX)
            memcpy(item.word, words[0].data, item.word_size)
        if request.conduct == CONDUCT_STATE:
            count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, WORDS_MAX)
            if 0 < count <= WORDS_MAX and login_user(words, count, &user):
                item.login = 1
                item.key_size = <uint8_t>min(user.size, <size_t>KEY_MAX)
                memcpy(item.key, user.data, item.key_size)
        elif request.key_at:
            item.key_size = <uint8_t>min(<size_t>request.key_size, <size_t>KEY_MAX)
            item.cut = request.key_size > KEY_MAX
            memcpy(item.key, request.wire.data + request.key_at, item.key_size)

    cdef const chunk_t *_statement(self, request_t *request) noexcept nogil:
        """The text of its statement without constants, as JSON, noted with its facts. NULL: it has none, or no memory."""
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            uint8_t  plain[STATEMENT_MAX]
            uint8_t  escaped[STATEMENT_MAX]
            json_t   json
            size_t   size
            chunk_t *note
        if facts.text.data is NULL:
            return NULL
        note = facts.head.notes[self.note + 1]
        if likely(note is not NULL):
            return note
        size = cql_redact(plain, min(self.statement_max, sizeof(plain)), facts.text.data, facts.text.size)
        json_begin(&json, escaped, sizeof(escaped))
        json_text(&json, plain, size)
        size = <size_t>(json.at - escaped)
        note = pool_take_exact(&self.loop.pool, size)
        if note is not NULL:
            memcpy(chunk_data(note), escaped, size)
            facts_of(request.facts).notes[self.note + 1] = note
        return note

    # ---- who --------------------------------------------------------------------------------------------------------

    cdef chunk_t *_who(self, audit_client_t *client) noexcept nogil:
        """The fields that say who it is: a reference for the caller. NULL: no memory."""
        cdef:
            uint8_t       room[WHO_MAX]
            char          address[PEER_NAME_MAX]
            json_t        json
            slice_t       text
            const peer_t *peer
            const char   *identity
        if client.who is NULL:
            json_begin(&json, room, sizeof(room))
            json.comma = True
            json_number(&json, b"client", client.base.session.id)
            if client.base.user is not NULL:
                text.data = client.base.user
                text.size = client.base.user_size
                json_string(&json, b"user", text, KEY_MAX)
            peer = session_peer(client.base.session)
            if peer is not NULL:
                peer_name(peer, address, sizeof(address))
                if address[0]:
                    json_word(&json, b"address", address)
            identity = stream_identity(&client.base.session.stream)
            if identity is not NULL:
                text.data = <uint8_t *>identity
                text.size = strlen(identity)
                json_string(&json, b"certificate", text, KEY_MAX)
            client.who = pool_take_exact(&self.loop.pool, <size_t>(json.at - room))
            if client.who is NULL:
                return NULL
            memcpy(chunk_data(client.who), room, client.who.size)
        return chunk_ref(client.who)

    cdef void client_ends(self, selected_t *base) noexcept nogil:
        cdef audit_client_t *client = <audit_client_t *>base
        if client.who is not NULL:
            chunk_put(&self.loop.pool, client.who)
            client.who = NULL

    # ---- up ---------------------------------------------------------------------------------------------------------

    cdef void on_piece(self, request_t *request, const uint8_t *data, size_t size) noexcept nogil:
        cdef audited_t *item = <audited_t *>request.tags[self.tag]
        if item is not NULL:
            self._look(item, data, size)
        self.up.on_piece(request, data, size)

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t      *request
            audited_t      *item
            audit_client_t *client
            uint8_t        *user
        while batch.head is not NULL:
            request = batch_pop(batch)
            client = NULL
            user = NULL
            if request.queued and request.session is not NULL and request.conduct != CONDUCT_PLAIN:
                client = <audit_client_t *>self.client_of(request.session)
                user = client.base.user if client is not NULL else NULL
            self.see_login(request)
            if client is not NULL and client.base.user is not user:
                self.client_ends(&client.base)      # what was said of it no longer holds
            item = <audited_t *>request.tags[self.tag]
            if item is not NULL:
                if request.reply.size:
                    self._look(item, request.reply.data, request.reply.size)
                self._end(request, item)
            if not self.abort_answer(request):
                self.pass_up(request)

    cdef void _look(self, audited_t *item, const uint8_t *data, size_t size) noexcept nogil:
        """The next bytes of its reply."""
        cdef:
            size_t       more = min(size, <size_t>(HEAD_MAX - item.head_size))
            cql_prefix_t prefix
            cql_result_t result
        memcpy(item.head + item.head_size, data, more)
        item.head_size += <uint8_t>more
        if self.cql and item.reply_size == 0 and size > HEADER_SIZE and data[4] == OP_RESULT \
                and size == HEADER_SIZE + <size_t>read_int(data + 5) and not data[1] & FLAG_COMPRESSED \
                and cql_prefix_read(data + HEADER_SIZE, size - HEADER_SIZE, data[1], True, &prefix) \
                and prefix.body.size >= 4 and read_int(prefix.body.data) == RESULT_ROWS \
                and cql_result_read(prefix.body.data, prefix.body.size, data[0] & 0x7f, &result):
            item.has_rows = 1                       # it is whole, so that it costs little
            item.rows = result.row_count
        item.reply_size += size

    cdef void _end(self, request_t *request, audited_t *item) noexcept nogil:
        """Its record is written."""
        cdef:
            uint8_t  room[RECORD_MAX]
            json_t   json
            uint64_t took = self.loop.now - request.arrived_ns
        request.tags[self.tag] = NULL
        self.reserved -= item.reserved
        json_begin(&json, room, sizeof(room) - 2)
        json_raw(&json, b"{", 1)
        self._put_time(&json, clock_wall_ns() - took)
        json_word(&json, b"source", self.source)
        if item.who is not NULL:
            json_raw(&json, chunk_data(item.who), item.who.size)
            chunk_put(&self.loop.pool, item.who)
        self._put_what(&json, request, item)
        self._put_outcome(&json, request, item)
        json_number(&json, b"took_us", took // 1000)
        slab_give(&self.items, item)
        if unlikely(json.full):                     # no more than who, when, and that it was too much to say
            json.full = False
            json.at = room + 1
            json.comma = False
            self._put_time(&json, clock_wall_ns() - took)
            json_word(&json, b"source", self.source)
            json_word(&json, b"request", b"too long to be recorded")
        json_raw(&json, b"}", 1)
        self._record(room, <size_t>(json.at - room))

    # ---- what it says -----------------------------------------------------------------------------------------------

    cdef void _put_time(self, json_t *json, uint64_t wall_ns) noexcept nogil:
        """RFC 3339, to the microsecond."""
        cdef:
            char     text[48]
            uint64_t second = wall_ns // 1000000000
            uint64_t day, era, of_era, year_of_era, of_year, month
        if second != self.second:
            self.second = second
            day = second // 86400 + 719468          # since the first of March of the year 0
            era = day // 146097
            of_era = day - era * 146097
            year_of_era = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
            of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
            month = (5 * of_year + 2) // 153
            snprintf(self.date, sizeof(self.date), b"%04d-%02d-%02dT%02d:%02d:%02d",
                     <int>(year_of_era + era * 400 + (month >= 10)), <int>(month + 3 if month < 10 else month - 9),
                     <int>(of_year - (153 * month + 2) // 5 + 1),
                     <int>(second // 3600 % 24), <int>(second // 60 % 60), <int>(second % 60))
        snprintf(text, sizeof(text), b"%s.%06dZ", self.date, <int>(wall_ns // 1000 % 1000000))
        json_word(json, b"time", text)

    cdef void _put_what(self, json_t *json, request_t *request, audited_t *item) noexcept nogil:
        cdef slice_t text
        if self.cql:
            self._put_statement(json, request, item)
        else:
            text.data = item.word
            text.size = item.word_size
            json_string(json, b"command", text, WORD_MAX)
        if item.login or item.key_size:
            text.data = item.key
            text.size = item.key_size
            json_string(json, b"login" if item.login else b"key", text, KEY_MAX)
            if item.cut:
                json.at -= 1
                json_raw(json, b'..."', 4)

    cdef void _put_statement(self, json_t *json, request_t *request, audited_t *item) noexcept nogil:
        cdef:
            const cql_facts_t *facts = cql_facts(request)
            const cql_touch_t *touch
            const chunk_t     *text
            uint32_t           index
        json_word(json, b"request", _request_word(request.opcode))
        if facts is NULL:
            return
        if facts.text.data is not NULL:
            text = self._statement(request)
            json_name(json, b"statement")
            json_raw(json, b'"', 1)
            if text is not NULL:
                json_raw(json, chunk_data(<chunk_t *>text), text.size)
            json_raw(json, b'"', 1)
        json_word(json, b"type", statement_word(facts.type))
        if object_word(facts.object)[0]:
            json_word(json, b"object", object_word(facts.object))
        if facts.keyspace.size:
            json_string(json, b"keyspace", facts.keyspace, KEY_MAX)
        if facts.table.size:
            json_string(json, b"table", facts.table, KEY_MAX)
        if facts.other.size:
            json_string(json, b"name", facts.other, KEY_MAX)
        if facts.touch_count > 1 or facts.text.data is NULL:
            json_name(json, b"statements")
            json_raw(json, b"[", 1)
            for index in range(facts.touch_count):
                touch = &facts.touches[index]
                json_raw(json, b",{" if index else b"{", 2 if index else 1)
                json.comma = False
                json_word(json, b"type", statement_word(touch.type))
                if touch.keyspace.size:
                    json_string(json, b"keyspace", touch.keyspace, KEY_MAX)
                if touch.table.size:
                    json_string(json, b"table", touch.table, KEY_MAX)
                json_number(json, b"count", touch.count)
                json_raw(json, b"}", 1)
            json_raw(json, b"]", 1)
            if facts.more:
                json_name(json, b"more")
                json_raw(json, b"true", 4)
        if item.level >= 0:
            json_word(json, b"consistency", consistency_word(item.level))

    cdef void _put_outcome(self, json_t *json, request_t *request, audited_t *item) noexcept nogil:
        cdef:
            char    code[16]
            slice_t word
            bint    error = False
            size_t  at = HEADER_SIZE
        if item.gathered:
            json_word(json, b"outcome", b"sent")
            return
        if item.head_size == 0:
            if request.failed or not request.discard:
                json_word(json, b"outcome", b"lost" if request.failed else b"ok")
            else:
                json_word(json, b"outcome", b"client gone")
            return
        if self.cql:
            error = item.head_size > 4 and item.head[4] == OP_ERROR
        else:
            error = item.head[0] == b'-' or item.head[0] == b'!'
        if not error:
            json_word(json, b"outcome", b"ok")
        elif request.failed == REFUSED:
            json_word(json, b"outcome", b"refused")
        elif request.failed == LOST or request.failed == ABANDONED:
            json_word(json, b"outcome", b"lost")
        else:
            json_word(json, b"outcome", b"error")
        if error and self.cql:
            if not item.head[1] & FLAG_COMPRESSED and item.head_size >= at + 4 and not item.head[1] & 0x0e:
                snprintf(code, sizeof(code), b"0x%04X", <int>read_int(item.head + at))
                json_word(json, b"code", code)
        elif error and item.head[0] == b'-':
            word.data = item.head + 1
            word.size = 0
            while word.size < item.head_size - 1 and word.size < 32 and (
                    65 <= word.data[word.size] <= 90 or word.data[word.size] == b'_'):
                word.size += 1
            json_string(json, b"code", word, 32)
        if item.has_rows:
            json_number(json, b"rows", item.rows)

    # ---- where it goes ----------------------------------------------------------------------------------------------

    cdef void _record(self, const uint8_t *data, size_t size) noexcept nogil:
        """One record, without the end of its line, for which there is room behind it. It is written, or counted as lost."""
        cdef bint lost = False
        if unlikely(self.gap_count):
            self._put_gap()
        if self.ring is not None:
            (<uint8_t *>data)[size] = b'\n'
            lost = self.gap_count or not self.ring.put(data, size + 1)
        if self.aside is not None:
            if self.aside_pending < self.aside_most:
                self._send_aside(data, size)
            else:
                lost = True
        if not lost:
            self.records_total += 1
            return
        self.lost_total += 1
        if self.gap_count == 0:
            self.gap_ns = clock_wall_ns()
        self.gap_count += 1

    cdef void _put_gap(self) noexcept nogil:
        """Records were lost: how many, and since when, is a record of its own as soon as there is room for one."""
        cdef:
            uint8_t room[256]
            json_t  json
            size_t  size
        json_begin(&json, room, sizeof(room) - 1)
        json_raw(&json, b"{", 1)
        self._put_time(&json, clock_wall_ns())
        json_word(&json, b"source", self.source)
        json_number(&json, b"lost", self.gap_count)
        json_number(&json, b"lost_for_us", (clock_wall_ns() - self.gap_ns) // 1000)
        json_raw(&json, b"}", 1)
        size = <size_t>(json.at - room)
        if self.aside is not None and self.aside_pending >= self.aside_most:
            return
        if self.ring is not None:
            room[size] = b'\n'
            if not self.ring.put(room, size + 1):
                return
        if self.aside is not None:
            self._send_aside(room, size)
        self.gap_count = 0

    cdef void _send_aside(self, const uint8_t *data, size_t size) noexcept nogil:
        """A record as the last word of a command, down the chain of its own."""
        cdef:
            char       head[32]
            size_t     head_size = <size_t>snprintf(head, sizeof(head), b"$%zu\r\n", size)
            chunk_t   *chunk = pool_take(&self.loop.pool, self.aside_size + head_size + size + 2)
            uint8_t   *at
            batch_t    batch
            decode_t   decode
            resume_t   resume
            request_t *request
        if chunk is NULL:
            self.lost_total += 1
            return
        at = chunk_data(chunk)
        memcpy(at, self.aside_data, self.aside_size)
        at += self.aside_size
        memcpy(at, head, head_size)
        at += head_size
        memcpy(at, data, size)
        at += size
        at[0] = b'\r'
        at[1] = b'\n'
        batch_clear(&batch)
        memset(&decode, 0, sizeof(decode))
        resume.offset = 0
        decode.at = chunk_data(chunk)
        decode.end = at + 2
        decode.owner = chunk
        decode.slab = &self.hub.requests
        decode.pool = &self.loop.pool
        decode.batch = &batch
        decode.limits = &self.aside_limits
        decode.resume = &resume
        decode.chain = <void *>self.aside
        decode.now = self.loop.now
        if self.aside.codec.decode(&decode) != OK or batch.head is NULL:
            self.lost_total += 1
        else:
            self.aside_pending += 1
            self.aside_total += 1
            request = batch.head
            request.watched |= WATCHED_BY_STEP
            self.aside.run(&batch)
        chunk_put(&self.loop.pool, chunk)

    cdef void on_child(self, request_t *child) noexcept nogil:
        """A record has been taken, or not."""
        self.aside_pending -= 1
        if child.failed or child.reply.size == 0 or child.reply.data[0] == b'-':
            self.lost_total += 1
            if self.gap_count == 0:
                self.gap_ns = clock_wall_ns()
            self.gap_count += 1
        self.hub.request_free(child)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        found = SelectingStep.samples(self) + [
            ("shotover_audit_records_count", labels | {"outcome": "written"}, "counter", self.records_total),
            ("shotover_audit_records_count", labels | {"outcome": "lost"}, "counter", self.lost_total),
            ("shotover_audit_records_count", labels | {"outcome": "refused"}, "counter", self.refused_total),
            ("shotover_refusals_count", labels | {"reason": "audit"}, "counter", self.refused_total),
        ]
        if self.ring is not None:
            found.append(("shotover_audit_waiting_bytes", labels, "gauge", len(self.ring)))
        return found


cdef const char *_request_word(uint8_t opcode) noexcept nogil:
    if opcode == OP_QUERY:
        return b"QUERY"
    if opcode == OP_EXECUTE:
        return b"EXECUTE"
    if opcode == OP_PREPARE:
        return b"PREPARE"
    if opcode == OP_BATCH:
        return b"BATCH"
    return b"AUTH_RESPONSE" if opcode == OP_AUTH_RESPONSE else b"OTHER"
