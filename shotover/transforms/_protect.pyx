"""See _protect.pxd."""

from collections import deque

cimport cython

from libc.stdio cimport snprintf
from libc.string cimport memcmp, memcpy

from shotover._codec.cql.attach cimport talk_t
from shotover._codec.cql.compression cimport frame_unpack
from shotover._codec.cql.facts cimport cql_facts_in
from shotover._codec.cql.frame cimport (
    FLAG_COMPRESSED,
    HEADER_SIZE,
    OP_BATCH,
    OP_PREPARE,
    OP_RESULT,
    frame_error,
    put_int,
    read_short,
)
from shotover._codec.cql.messages cimport cql_prefix_read, cql_prefix_t
from shotover._codec.cql.results cimport (
    METADATA_NONE,
    RESULT_PREPARED,
    RESULT_ROWS,
    TYPE_BLOB,
    TYPE_LIST,
    cql_column_next,
    cql_column_t,
    cql_result_read,
    cql_result_t,
)
from shotover._codec.cql.wire cimport WIRE_NULL, wire_bytes, wire_read, wire_reader_t
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport chunk_data, chunk_put, pool_take
from shotover._core.request cimport (
    batch_clear,
    batch_pop,
    batch_push,
    request_drop_reply,
    request_own_reply,
)
from shotover._core.status cimport OK
from shotover._proxy.session cimport session_t
from shotover.transforms._protect_keys cimport NOT_SEALED, OPENED, OPENED_NULL, UNKNOWN_KEY
from shotover.transforms._protect_plan cimport (
    EDIT_HASH,
    EDIT_LISTED,
    NO_COLUMN,
    PROTECT_PASS,
    protect_added_before,
    protect_bound,
    protected_find,
)
from shotover.transforms._protect_values cimport protect_copy, protect_put

cdef enum:
    ERROR_SERVER = 0x0000
    PLAIN_MAX = 67108864        # of a compressed reply, decompressed
    COLUMNS_MAX = 1024          # of a reply with protected ones

cdef uint64_t WAIT_NS = 10000000000


cdef void _on_wake(waker_t *waker) noexcept nogil:
    (<Protect>waker.owner)._wake()


cdef void _on_timer(timer_t *timer) noexcept nogil:
    (<Protect>timer.owner)._expire()


@cython.final
cdef class Protect(ProtectSeals):

    def __init__(self, context, *, str name, columns, keyring, bint refuses_unsealed,
                 bytes lookup_key=None, bint opens_rust=False):
        ProtectSeals.__init__(self, context, name=name, columns=columns, lookup_key=lookup_key, opens_rust=opens_rust)
        self.keyring = keyring
        self.refuses_unsealed = refuses_unsealed
        self.mail = deque()
        self.waker.run = _on_wake
        self.waker.owner = <void *>self
        self.timer.fire = _on_timer
        self.timer.owner = <void *>self
        keyring.join(self)
        self.hub.add_waker(&self.waker)         # behind all that may fail: who cannot be made is not to be woken
        self._read_mail()

    def close(self):
        self.keyring.leave(self)
        self.hub.remove_waker(&self.waker)

    cdef bint on_retire(self, bint force) noexcept nogil:
        if self.waiting.head is not NULL:
            return False
        self.loop.cancel_timer(&self.timer)
        return True

    # ---- keys ---------------------------------------------------------------------------------------------------

    def take_key(self, bytes key_id, bytes wrapped, plain, bint current):
        """From any thread: a data key, or word that it cannot be had (plain None)."""
        self.mail.append((key_id, wrapped, plain, current))
        self.has_mail = True
        self.loop.wake()

    def _read_mail(self):
        """Returns the keys that cannot be had."""
        lost = set()
        self.has_mail = False           # before the first is taken: what comes meanwhile is seen now or at the next turn
        while self.mail:
            key_id, wrapped, plain, current = self.mail.popleft()
            if plain is None:
                lost.add((key_id, wrapped))
            else:
                self.data_keys.put(key_id, wrapped, plain, current)
        return lost

    cdef void _wake(self) noexcept nogil:
        cdef:
            batch_t    batch
            request_t *request
        if not self.has_mail:
            return
        with gil:
            try:
                self._fail_lost(self._read_mail())
            except Exception as error:
                self.hub.note(40, f"Protect {self.name}: {type(error).__name__}: {error}", {})
        batch = self.waiting
        batch_clear(&self.waiting)
        while batch.head is not NULL:
            request = batch_pop(&batch)
            if self._up(request):
                request.stamp = 0
                self.pass_up(request)

    def _fail_lost(self, lost):
        """Replies whose key cannot be had are answered with an error."""
        cdef:
            batch_t    batch = self.waiting
            request_t *request
        if not lost:
            return
        batch_clear(&self.waiting)
        while batch.head is not NULL:
            request = batch_pop(&batch)
            wanted = self._wanted_by(<size_t>request)
            if wanted is not None and wanted not in lost:
                batch_push(&self.waiting, request)
                continue
            if wanted is not None:
                self._cannot(request, b"its data key cannot be had", NO_COLUMN)
            request.stamp = 0
            self.pass_up(request)

    def _wanted_by(self, size_t address):
        """(key id, wrapped) that a waiting reply still wants; None: it is open now."""
        cdef:
            request_t *request = <request_t *>address
            const protect_plan_t *plan = self._plan(request.facts)
        if self._open_rows(request, plan, request.facts):
            return None
        return (
            (<const char *>self.data_keys.wanted_id.data)[:self.data_keys.wanted_id.size],
            (<const char *>self.data_keys.wanted_wrapped.data)[:self.data_keys.wanted_wrapped.size],
        )

    cdef bint _ask(self) noexcept nogil:
        """The key that was wanted last: True if it is there now."""
        with gil:
            try:
                key_id = (<const char *>self.data_keys.wanted_id.data)[:self.data_keys.wanted_id.size]
                wrapped = (<const char *>self.data_keys.wanted_wrapped.data)[:self.data_keys.wanted_wrapped.size]
                plain = self.keyring.ask(key_id, wrapped)
                if plain is not None:
                    self.data_keys.put(key_id, wrapped, plain, False)
                    return True
                return False
            except Exception as error:
                self.mail.append((key_id, wrapped, None, False))
                self.has_mail = True
                self.loop.wake()
                return False

    cdef void _expire(self) noexcept nogil:
        """Replies have waited for a data key for too long."""
        cdef:
            batch_t    batch = self.waiting
            request_t *request
        batch_clear(&self.waiting)
        while batch.head is not NULL:
            request = batch_pop(&batch)
            if request.stamp <= self.loop.now:
                self._cannot(request, b"its data key could not be had in time", NO_COLUMN)
                request.stamp = 0
                self.pass_up(request)
            else:
                batch_push(&self.waiting, request)
        if self.waiting.head is not NULL:
            self.loop.set_timer(&self.timer, self.waiting.head.stamp - self.loop.now)

    # ---- up -----------------------------------------------------------------------------------------------------

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef request_t *request
        while batch.head is not NULL:
            request = batch_pop(batch)
            if request.facts is NULL or request.failed or self._up(request):
                self.pass_up(request)

    cdef bint _up(self, request_t *request) noexcept nogil:
        """False: its reply waits for a data key."""
        cdef:
            const protect_plan_t *plan
            chunk_t *facts = request.facts
            uint32_t index
        if request.reply.size < HEADER_SIZE or request.reply.data[4] != OP_RESULT:
            return True
        if request.opcode == OP_BATCH:          # rows come of a lightweight one, whose statements are all on one table
            for index in range(facts_of(facts).part_count):
                plan = self._plan(facts_of(facts).parts[index])
                if plan is not NULL and plan.answers:
                    facts = facts_of(facts).parts[index]
                    break
        plan = self._plan(facts)
        if plan is NULL:
            return self._cannot(request, b"no memory", NO_COLUMN)
        if plan.what == PROTECT_PASS:
            return True
        if request.opcode == OP_PREPARE:
            return self._show_types(request, plan)
        if not plan.answers or self._open_rows(request, plan, facts):
            return True
        if self._ask():
            return self._up(request)
        if request_own_reply(&self.loop.pool, request):
            if request.stamp == 0:
                self.waits += 1
                request.stamp = self.loop.now + WAIT_NS
                if self.waiting.head is NULL:
                    self.loop.set_timer(&self.timer, WAIT_NS)
            batch_push(&self.waiting, request)
            return False
        return self._cannot(request, b"no memory", NO_COLUMN)

    cdef bint _plain(self, request_t *request, slice_t *frame, chunk_t **held) noexcept nogil:
        """The reply without compression. *held: to be given back, unless NULL."""
        cdef:
            talk_t *talk = NULL
        frame[0] = request.reply
        held[0] = NULL
        if not frame.data[1] & FLAG_COMPRESSED:
            return True
        if request.queued and request.session is not NULL:
            talk = <talk_t *>(<session_t *>request.session).talk
        if talk is NULL or frame_unpack(
                &self.loop.pool, talk.compression, frame.data, frame.size, PLAIN_MAX, held, &frame.size) != OK:
            return False
        frame.data = chunk_data(held[0])
        return True

    cdef int _column_of(
            self, const protect_plan_t *plan, slice_t keyspace, slice_t table, slice_t name, uint32_t index) noexcept nogil:
        """Which protected column a column of a reply is."""
        if plan.selects:
            return plan.outputs[index] if index < plan.output_count else <int>NO_COLUMN
        return protected_find(&self.all, keyspace, table, name)

    cdef void _put_type(self, copier_t *to, const cql_column_t *column, int found) noexcept nogil:
        """The declared type of a column in place of blob."""
        if self.all.columns[found].option.size == 0 or column.type_id != TYPE_BLOB:
            return
        protect_copy(to, column.type.data)
        protect_put(to, self.all.columns[found].option.data, self.all.columns[found].option.size)
        to.at = column.type.data + column.type.size

    cdef void _types_in(self, copier_t *to, const cql_metadata_t *metadata, const protect_plan_t *plan) noexcept nogil:
        """Copies metadata of rows with declared types in place of blob."""
        cdef:
            wire_reader_t reader
            cql_column_t  column
            uint32_t      index
            int           found
        if metadata.flags & METADATA_NONE:
            return
        wire_read(&reader, metadata.columns.data, metadata.columns.size)
        for index in range(metadata.column_count):
            if not cql_column_next(&reader, metadata, &column):
                return
            found = self._column_of(plan, column.keyspace, column.table, column.name, index)
            if found != NO_COLUMN:
                self._put_type(to, &column, found)

    cdef void _bound_in(self, copier_t *to, const cql_result_t *result, const protect_plan_t *plan) noexcept nogil:
        """Copies metadata of bound values: declared types in place of blob, columns in place of their look-up columns; those
        that were added are left out."""
        cdef:
            const cql_metadata_t *metadata = &result.bound
            wire_reader_t  reader
            cql_column_t   column
            const uint8_t *at = result.id.data + result.id.size
            uint32_t       index, number, added = 0, key = 0
            const sealing_t *sealing
        if result.metadata_id.data is not NULL:
            at = result.metadata_id.data + result.metadata_id.size
        if plan.adds > metadata.column_count or metadata.flags & METADATA_NONE:
            return
        protect_copy(to, at + 4)                    # behind the flags
        put_int(to.out, metadata.column_count - plan.adds)
        to.out += 4
        to.at += 4
        while key < metadata.key_count:
            protect_copy(to, metadata.keys.data + 2 * key)
            number = read_short(metadata.keys.data + 2 * key)
            number -= protect_added_before(plan, number)
            to.out[0] = <uint8_t>(number >> 8)
            to.out[1] = <uint8_t>number
            to.out += 2
            to.at += 2
            key += 1
        wire_read(&reader, metadata.columns.data, metadata.columns.size)
        for index in range(metadata.column_count):
            at = reader.at
            if not cql_column_next(&reader, metadata, &column):
                return
            if protect_added_before(plan, index + 1) > added:
                added += 1
                protect_copy(to, at)
                to.at = reader.at
                continue
            sealing = protect_bound(plan, index - added)
            if sealing is not NULL:
                self._put_bound(to, &column, sealing)

    cdef void _put_bound(self, copier_t *to, cql_column_t *column, const sealing_t *sealing) noexcept nogil:
        cdef:
            const protected_column_t *ours = &self.all.columns[sealing.column]
            slice_t name = column.name
            size_t  around = 0                      # "in(" and ")"
            size_t  size
        if sealing.what & EDIT_HASH:
            if name.size == ours.lookup.size + 4 and memcmp(name.data, b"in(", 3) == 0:
                around = 3
                name.data += 3
                name.size -= 4
            if name.size == ours.lookup.size and memcmp(name.data, ours.lookup.data, name.size) == 0:
                protect_copy(to, column.name.data - 2)
                size = ours.name.size + (4 if around else 0)
                to.out[0] = <uint8_t>(size >> 8)
                to.out[1] = <uint8_t>size
                to.out += 2
                protect_put(to, column.name.data, around)
                protect_put(to, ours.name.data, ours.name.size)
                to.at = name.data + name.size
        if sealing.what & EDIT_LISTED:
            protect_copy(to, column.type.data)
            to.out[0] = 0
            to.out[1] = TYPE_LIST
            to.out += 2
            protect_put(to, ours.option.data, ours.option.size)
            to.at = column.type.data + column.type.size
        else:
            self._put_type(to, column, sealing.column)

    cdef bint _show_types(self, request_t *request, const protect_plan_t *plan) noexcept nogil:
        """PREPARED: the client is told the declared types."""
        cdef:
            slice_t      frame
            chunk_t     *held
            chunk_t     *chunk
            cql_prefix_t prefix
            cql_result_t result
            copier_t     to
        if not self._plain(request, &frame, &held):
            return self._cannot(request, b"a reply that cannot be read", NO_COLUMN)
        if cql_prefix_read(frame.data + HEADER_SIZE, frame.size - HEADER_SIZE, frame.data[1], True, &prefix) \
                and cql_result_read(prefix.body.data, prefix.body.size, request.version, &result) \
                and result.kind == RESULT_PREPARED:
            chunk = pool_take(
                &self.loop.pool, frame.size + self.type_room * (result.bound.column_count + result.metadata.column_count))
            if chunk is NULL:
                if held is not NULL:
                    chunk_put(&self.loop.pool, held)
                return self._cannot(request, b"no memory", NO_COLUMN)
            to.at = frame.data
            to.end = frame.data + frame.size
            to.out = chunk_data(chunk)
            self._bound_in(&to, &result, plan)
            self._types_in(&to, &result.metadata, plan)
            protect_copy(&to, to.end)
            self._set_reply(request, chunk, to.out)
        if held is not NULL:
            chunk_put(&self.loop.pool, held)
        return True

    cdef void _set_reply(self, request_t *request, chunk_t *chunk, uint8_t *end) noexcept nogil:
        """Takes the chunk over: a whole frame."""
        request_drop_reply(&self.loop.pool, request)
        request.reply.data = chunk_data(chunk)
        request.reply.size = <size_t>(end - request.reply.data)
        request.reply_owner = chunk
        put_int(request.reply.data + 5, <uint32_t>(request.reply.size - HEADER_SIZE))

    cdef bint _open_rows(self, request_t *request, const protect_plan_t *plan, chunk_t *facts) noexcept nogil:
        """Opens what is sealed in rows. False: a data key is wanted; the reply is as it was."""
        cdef:
            slice_t       frame, cell
            chunk_t      *held
            chunk_t      *chunk = NULL
            cql_prefix_t  prefix
            cql_result_t  result
            cql_column_t  column
            wire_reader_t reader
            copier_t      to
            int           columns[COLUMNS_MAX]
            const cql_metadata_t *metadata
            uint32_t      _, index, ours = 0
            size_t        size
            int           said = OPENED
            int           bad = NO_COLUMN
        if not self._plain(request, &frame, &held):
            return self._cannot(request, b"a reply that cannot be read", NO_COLUMN)
        if not cql_prefix_read(frame.data + HEADER_SIZE, frame.size - HEADER_SIZE, frame.data[1], True, &prefix) \
                or not cql_result_read(prefix.body.data, prefix.body.size, request.version, &result) \
                or result.kind != RESULT_ROWS:
            if held is not NULL:
                chunk_put(&self.loop.pool, held)
            return True
        metadata = &result.metadata
        if metadata.flags & METADATA_NONE:
            metadata = &cql_facts_in(facts).metadata
        if result.metadata.column_count > COLUMNS_MAX or metadata.column_count != result.metadata.column_count:
            if held is not NULL:
                chunk_put(&self.loop.pool, held)
            return self._cannot(request, b"a reply whose columns are not known", NO_COLUMN)
        wire_read(&reader, metadata.columns.data, metadata.columns.size)
        for index in range(metadata.column_count):
            columns[index] = NO_COLUMN
            if cql_column_next(&reader, metadata, &column):
                columns[index] = self._column_of(plan, column.keyspace, column.table, column.name, index)
            ours += columns[index] != NO_COLUMN
        if ours:
            chunk = pool_take(&self.loop.pool, frame.size + self.type_room * result.metadata.column_count)
            if chunk is NULL:
                said = self._cannot(request, b"no memory", NO_COLUMN)
        if chunk is not NULL:
            to.at = frame.data
            to.end = frame.data + frame.size
            to.out = chunk_data(chunk)
            self._types_in(&to, &result.metadata, plan)
            wire_read(&reader, result.rows.data, result.rows.size)
            for _ in range(result.row_count):
                for index in range(result.metadata.column_count):
                    if wire_bytes(&reader, &cell) <= 0 or cell.data is NULL or columns[index] == NO_COLUMN:
                        continue
                    protect_copy(&to, cell.data - 4)
                    said = self._open_cell(&self.all.columns[columns[index]], cell, to.out + 4, &size)
                    if said == NOT_SEALED and not self.refuses_unsealed:
                        self.passed_plain += 1
                        said = OPENED
                        continue
                    if said == OPENED_NULL:
                        size = 0
                        said = OPENED
                        put_int(to.out, <uint32_t>WIRE_NULL)
                    elif said == OPENED:
                        put_int(to.out, <uint32_t>size)
                    else:
                        bad = columns[index]
                        break
                    to.out += 4 + size
                    to.at = cell.data + cell.size
                    self.opened += 1
                if said != OPENED:
                    break
            if said == OPENED:
                protect_copy(&to, to.end)
                self._set_reply(request, chunk, to.out)
            else:
                chunk_put(&self.loop.pool, chunk)
                if said == UNKNOWN_KEY and held is NULL:
                    return False
                if said == UNKNOWN_KEY:         # what is wanted lies in `held`: make it the reply
                    self._set_reply(request, held, frame.data + frame.size)
                    return False
                self._cannot(request, b"it is not sealed" if said == NOT_SEALED
                             else b"it was not sealed for this column, or by another key", bad)
        if held is not NULL:
            chunk_put(&self.loop.pool, held)
        return True

    cdef bint _cannot(self, request_t *request, const char *why, int column) noexcept nogil:
        """An error in place of the reply. Always True."""
        cdef:
            uint8_t out[512]
            char    text[400]
            size_t  size
        if column == NO_COLUMN:
            size = <size_t>snprintf(text, sizeof(text), b"shotover: Protect cannot open a value: %s", why)
        else:
            size = <size_t>snprintf(
                text, sizeof(text), b"shotover: Protect cannot open a value of %.*s.%.*s.%.*s: %s",
                <int>self.all.columns[column].keyspace.size, <const char *>self.all.columns[column].keyspace.data,
                <int>self.all.columns[column].table.size, <const char *>self.all.columns[column].table.data,
                <int>self.all.columns[column].name.size, <const char *>self.all.columns[column].name.data, why)
        self.failures += 1
        self.put_error(request, out, frame_error(
            out, sizeof(out), request.version, request.stream, ERROR_SERVER, text, min(size, sizeof(text) - 1)))
        return True

    cdef void put_error(self, request_t *request, const uint8_t *frame, size_t size) noexcept nogil:
        cdef chunk_t *chunk = pool_take(&self.loop.pool, size)
        request_drop_reply(&self.loop.pool, request)
        request.failed = 1
        if chunk is not NULL:
            memcpy(chunk_data(chunk), frame, size)
            self._set_reply(request, chunk, chunk_data(chunk) + size)

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        return ProtectSeals.samples(self) + [
            ("shotover_protect_sealed_count", labels, "counter", self.sealed),
            ("shotover_protect_opened_count", labels, "counter", self.opened),
            ("shotover_protect_unsealed_count", labels, "counter", self.passed_plain),
            ("shotover_protect_failures_count", labels, "counter", self.failures),
            ("shotover_protect_waits_count", labels, "counter", self.waits),
            ("shotover_refusals_count", labels | {"reason": "protected"}, "counter", self.refused),
        ]
