"""See _protect_seals.pxd."""

from libc.stdint cimport int32_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy, memset, strlen

from shotover._codec.cql.facts cimport cql_facts, cql_facts_in
from shotover._codec.cql.frame cimport (
    HEADER_SIZE,
    OP_BATCH,
    OP_PREPARE,
    OP_QUERY,
    put_int,
    read_int,
)
from shotover._codec.cql.lexer cimport cql_name_is, cql_span_t, cql_string_put
from shotover._codec.cql.literals cimport LITERAL_FINE, LITERAL_NULL, cql_literal_put
from shotover._codec.cql.messages cimport (
    PARAM_NAMES,
    cql_batch_item_t,
    cql_batch_next,
    cql_batch_read,
    cql_batch_t,
    cql_value_next,
    cql_value_t,
)
from shotover._codec.cql.reading cimport cql_body, cql_params_of
from shotover._codec.cql.types cimport cql_type_t
from shotover._codec.cql.wire cimport (
    WIRE_NULL,
    WIRE_UNSET,
    wire_bytes,
    wire_int,
    wire_left,
    wire_read,
    wire_reader_t,
    wire_write,
    wire_writer_t,
)
from shotover._core.debug cimport likely, unlikely
from shotover._core.facts cimport facts_of
from shotover._core.memory cimport chunk_data, chunk_put, pool_take
from shotover._core.request cimport WATCHED_BY_STEP, batch_clear, batch_pop, batch_push
from shotover.transforms._protect_keys cimport NO_KEY
from shotover.transforms._protect_lookup cimport LOOKUP_SIZE
from shotover.transforms._protect_plan cimport (
    EDIT_ADD_NAME,
    EDIT_ADD_SET,
    EDIT_ADDS,
    EDIT_HASH,
    EDIT_JSON,
    EDIT_LISTED,
    EDIT_NAME,
    EDIT_SEAL,
    PROTECT_PASS,
    PROTECT_REFUSE,
    SEALINGS_MAX,
    protect_plan_make,
)
from shotover.transforms._protect_values cimport (
    NOT_A_VALUE,
    protect_copy,
    protect_put,
    protect_put_hex,
    protect_type_of_literal,
)

cdef const char *NO_MEMORY = b"shotover: no memory"
cdef const char *NO_DATA_KEY = b"shotover: Protect has no data key: its key manager cannot be reached"

cdef enum:
    ADDED_NAME_MAX = 24         # of a mark that is added, :shotover_1
    EDIT_EXTRA = 128            # bytes that an edit takes besides a sealed value and the name of a column


cdef class ProtectSeals(ProtectValues):

    def __init__(self, context, *, str name, columns, bytes lookup_key=None, bint opens_rust=False):
        """`columns`: (keyspace, table, name, type or None, its [option], its look-up column or None) of each protected column."""
        ProtectValues.__init__(self, context, name=name, columns=columns, lookup_key=lookup_key, opens_rust=opens_rust)
        self.note = 0
        self.wants_statements = True
        self.wants_replies = True

    # ---- down ---------------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            batch_t    rest
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if likely(request.facts is NULL) or self._down(request):
                batch_push(&rest, request)
        self.pass_down(&rest)

    cdef const protect_plan_t *_plan(self, chunk_t *facts) noexcept nogil:
        """NULL: no memory."""
        cdef chunk_t *plan = facts_of(facts).notes[self.note]
        if unlikely(plan is NULL):
            plan = protect_plan_make(&self.loop.pool, &self.all, cql_facts_in(facts))
            if plan is NULL:
                return NULL
            facts_of(facts).notes[self.note] = plan
        return <const protect_plan_t *>chunk_data(plan)

    cdef bint _refuse(self, request_t *request, const char *why) noexcept nogil:
        self.refused += 1
        self.refuse_take(request, b"INVALID", why, strlen(why))
        return False

    cdef bint _take_part(self, chunk_t *facts, const protect_plan_t **plan, request_t *request) noexcept nogil:
        """The plan of a statement. False: the request was answered."""
        plan[0] = self._plan(facts)
        if plan[0] is NULL:
            self.refuse_take(request, b"OOM", NO_MEMORY, strlen(NO_MEMORY))
            return False
        if plan[0].what == PROTECT_REFUSE:
            return self._refuse(request, plan[0].why)
        if plan[0].seals and self.data_keys.current == NO_KEY:
            self.refused += 1
            self.refuse_take(request, b"BUSY", NO_DATA_KEY, strlen(NO_DATA_KEY))
            return False
        return True

    cdef bint _down(self, request_t *request) noexcept nogil:
        """False: it has been answered."""
        cdef:
            const protect_plan_t *plan
            uint32_t index
            bint     seals = False
        if request.opcode == OP_BATCH:
            for index in range(facts_of(request.facts).part_count):
                if not self._take_part(facts_of(request.facts).parts[index], &plan, request):
                    return False
                seals = seals or plan.sealing_count > 0
                if plan.answers:
                    request.watched |= WATCHED_BY_STEP
            return not seals or self._rewrite(request, NULL)
        if not self._take_part(request.facts, &plan, request):
            return False
        if plan.what == PROTECT_PASS:
            return True
        if plan.answers or request.opcode == OP_PREPARE:
            request.watched |= WATCHED_BY_STEP
        return plan.sealing_count == 0 or self._rewrite(request, plan)

    cdef size_t _growth(self, const protect_plan_t *plan, const uint8_t *text, size_t frame_size) noexcept nogil:
        """By how many bytes the frame grows at most."""
        cdef:
            wire_writer_t    writer
            const sealing_t *sealing
            const protected_column_t *column
            size_t           size = 0
            uint32_t         index
        for index in range(plan.sealing_count):
            sealing = &plan.sealings[index]
            column = &self.all.columns[sealing.column]
            size += EDIT_EXTRA + column.lookup_quoted.size
            if sealing.what & EDIT_LISTED:      # four bytes or more become twenty
                size += 4 * frame_size
            if not sealing.what & EDIT_SEAL:
                continue
            wire_write(&writer, NULL, 0)
            if sealing.bind < 0:
                cql_literal_put(column.type if column.type is not NULL else protect_type_of_literal(sealing.literal),
                                text, sealing.value, &writer)
                size += self.data_keys.sealed_size(writer.size)
            size += self.data_keys.sealed_size(writer.size)
        return size

    cdef bint _rewrite(self, request_t *request, const protect_plan_t *plan) noexcept nogil:
        """The frame with its values sealed. False: it has been answered."""
        cdef:
            copier_t     to
            slice_t      body
            cql_params_t params
            chunk_t     *part
            size_t       room = request.wire.size
            uint32_t     index
            bint         fine
        if not cql_body(request, &body) or body.size < 4:
            return self._refuse(request, b"shotover: a message that cannot be read")
        if plan is not NULL:
            room += self._growth(plan, cql_facts(request).text.data, request.wire.size)
        else:
            for index in range(facts_of(request.facts).part_count):
                part = facts_of(request.facts).parts[index]
                room += self._growth(self._plan(part), cql_facts_in(part).text.data, request.wire.size)
        self.why = NOT_A_VALUE
        to.growth = room - request.wire.size
        to.chunk = pool_take(&self.loop.pool, room)
        if to.chunk is NULL:
            self.refuse_take(request, b"OOM", NO_MEMORY, strlen(NO_MEMORY))
            return False
        to.at = request.wire.data
        to.end = to.at + request.wire.size
        to.out = chunk_data(to.chunk)
        if request.opcode == OP_BATCH:
            fine = self._seal_batch(&to, request, body)
        else:
            fine = True
            if request.opcode == OP_QUERY or request.opcode == OP_PREPARE:
                protect_copy(&to, body.data)
                fine = self._seal_text(&to, plan, cql_facts(request).text.data)
            if fine and request.opcode != OP_PREPARE:
                fine = cql_params_of(request, &params) and self._seal_values(
                    &to, plan, &params, cql_facts(request).text.data)
        if not fine:
            chunk_put(&self.loop.pool, to.chunk)
            return self._refuse(request, self.why)
        protect_copy(&to, to.end)
        if request.owner is not NULL:
            chunk_put(&self.loop.pool, request.owner)
        request.owner = to.chunk
        request.wire.data = chunk_data(to.chunk)
        request.wire.size = <size_t>(to.out - request.wire.data)
        put_int(request.wire.data + 5, <uint32_t>(request.wire.size - HEADER_SIZE))
        request.edited = 1
        return True

    cdef bint _seal_text(self, copier_t *to, const protect_plan_t *plan, const uint8_t *text) noexcept nogil:
        """to.at is at a [long string], the statement `text`. Copies it, edited."""
        cdef:
            size_t           size_at = <size_t>(to.out - chunk_data(to.chunk))
            const uint8_t   *here = to.at + 4   # the statement, in the frame
            const uint8_t   *end
            const sealing_t *sealing
            slice_t          name
            uint32_t         index
        protect_copy(to, here)
        for index in range(plan.sealing_count):
            sealing = &plan.sealings[index]
            name = self.all.columns[sealing.column].lookup_quoted
            end = here + sealing.value.at + sealing.value.size
            if sealing.what & EDIT_ADD_NAME:
                protect_copy(to, end)
                protect_put(to, b", ", 2)
                protect_put(to, name.data, name.size)
            elif sealing.what & EDIT_NAME:
                protect_copy(to, here + sealing.value.at)
                protect_put(to, name.data, name.size)
                to.at = end
            elif sealing.bind >= 0:
                protect_copy(to, end)
                if sealing.what & EDIT_ADDS:
                    self._add_hash(to, sealing)
                    to.out += snprintf(<char *>to.out, ADDED_NAME_MAX, b":shotover_%u", index)
            else:
                protect_copy(to, here + sealing.value.at)
                if sealing.what & EDIT_JSON:
                    if not self._seal_json_text(to, sealing, text):
                        return False
                elif not self._seal_literal(to, sealing, text):
                    return False
                to.at = end
        here = here + read_int(here - 4)
        protect_copy(to, here)
        put_int(chunk_data(to.chunk) + size_at, <uint32_t>(to.out - chunk_data(to.chunk) - size_at - 4))
        return True

    cdef void _add_hash(self, copier_t *to, const sealing_t *sealing) noexcept nogil:
        """Writes what stands before a hash that is added."""
        cdef const protected_column_t *column = &self.all.columns[sealing.column]
        protect_put(to, b", ", 2)
        if sealing.what & EDIT_ADD_SET:
            protect_put(to, column.lookup_quoted.data, column.lookup_quoted.size)
            protect_put(to, b" = ", 3)

    cdef bint _seal_literal(self, copier_t *to, const sealing_t *sealing, const uint8_t *text) noexcept nogil:
        """Writes what takes the place of a literal; null stays. False: it is no value of the column's type."""
        cdef:
            const cql_type_t *type = self.all.columns[sealing.column].type
            wire_writer_t     writer
            chunk_t          *chunk
            slice_t           plain
            int               said
        if type is NULL:
            type = protect_type_of_literal(sealing.literal)
        wire_write(&writer, NULL, 0)
        said = cql_literal_put(type, text, sealing.value, &writer)
        if said == LITERAL_NULL:
            protect_put(to, b"null", 4)
            if sealing.what & EDIT_ADDS:
                self._add_hash(to, sealing)
                protect_put(to, b"null", 4)
            return True
        if said != LITERAL_FINE:
            return False
        plain.size = writer.size
        chunk = pool_take(
            &self.loop.pool, plain.size + (self.data_keys.sealed_size(plain.size) if sealing.what & EDIT_SEAL else LOOKUP_SIZE))
        if chunk is NULL:
            return False
        plain.data = chunk_data(chunk)
        wire_write(&writer, plain.data, plain.size)
        said = cql_literal_put(type, text, sealing.value, &writer)
        plain.size = min(plain.size, writer.size)           # measured was what it takes at most
        if said == LITERAL_FINE and not self._put_literal(to, sealing, plain, plain.data + plain.size):
            said = LITERAL_NULL
        chunk_put(&self.loop.pool, chunk)
        return said == LITERAL_FINE

    cdef bint _put_literal(self, copier_t *to, const sealing_t *sealing, slice_t plain, uint8_t *room) noexcept nogil:
        """Writes a value sealed, its hash, or both, as 0x... `room`: for one of them."""
        cdef const protected_column_t *column = &self.all.columns[sealing.column]
        if sealing.what & EDIT_SEAL:
            if not self.data_keys.seal_value(column.about, plain, room):
                return False
            protect_put_hex(to, room, self.data_keys.sealed_size(plain.size))
            self.sealed += 1
        if sealing.what & EDIT_ADDS:
            self._add_hash(to, sealing)
        if sealing.what & (EDIT_ADDS | EDIT_HASH):
            if not self.lookup.put(column.about, plain, room):
                return False
            protect_put_hex(to, room, LOOKUP_SIZE)
        return True

    cdef bint _seal_values(
            self, copier_t *to, const protect_plan_t *plan, const cql_params_t *params, const uint8_t *text) noexcept nogil:
        """Copies up to behind the values, those of protected columns sealed."""
        cdef:
            wire_reader_t    reader
            cql_value_t      value
            const sealing_t *sealing
            size_t           count_at
            const uint8_t   *start
            uint32_t         number, index, count
            cql_span_t       name
            bint             ours, named = params.flags & PARAM_NAMES != 0
            uint8_t          done[SEALINGS_MAX]     # there is room for each once
        if params.value_count == 0:
            return True
        protect_copy(to, params.values.data)
        if named:
            memset(done, 0, plan.sealing_count)
        count_at = <size_t>(to.out - chunk_data(to.chunk)) - 2
        count = params.value_count
        wire_read(&reader, params.values.data, params.values.size)
        for number in range(params.value_count):
            start = reader.at
            if not cql_value_next(&reader, params, &value):
                return False
            if named:
                start = value.name.data + value.name.size
            for index in range(plan.sealing_count):
                sealing = &plan.sealings[index]
                if sealing.bind < 0:
                    continue
                ours = <uint32_t>sealing.bind == number
                if named:
                    name = sealing.value
                    if name.size < 2 or text[name.at] != b':' or sealing.shared:
                        return False
                    name.at += 1
                    name.size -= 1
                    ours = cql_name_is(text, name, value.name.data, value.name.size)
                if not ours:
                    continue
                if named:
                    if done[index]:         # a name that is given twice
                        return False
                    done[index] = 1
                protect_copy(to, start)
                if not self._put_value(to, sealing, index, &value, named):
                    return False
                count += sealing.what & EDIT_ADDS != 0
                to.at = reader.at
                break
        if count > 0xffff:
            return False
        chunk_data(to.chunk)[count_at] = <uint8_t>(count >> 8)
        chunk_data(to.chunk)[count_at + 1] = <uint8_t>count
        return True

    cdef bint _put_value(self, copier_t *to, const sealing_t *sealing, uint32_t place, const cql_value_t *value,
                         bint named) noexcept nogil:
        """Writes a bound value as the server gets it, and behind it the one that is added. place: the edit's number."""
        cdef:
            const protected_column_t *column = &self.all.columns[sealing.column]
            size_t size
            int    name_size
        if value.value.data is NULL:
            put_int(to.out, <uint32_t>(WIRE_UNSET if value.unset else WIRE_NULL))
            to.out += 4
        elif sealing.what & EDIT_SEAL:
            size = self.data_keys.sealed_size(value.value.size)
            put_int(to.out, <uint32_t>size)
            if not self.data_keys.seal_value(column.about, value.value, to.out + 4):
                return False
            to.out += 4 + size
            self.sealed += 1
        elif sealing.what & EDIT_JSON:
            return self._put_json(to, sealing, value.value, False)
        elif sealing.what & EDIT_LISTED:
            return self._put_hashes(to, column, value.value)
        if sealing.what & EDIT_ADDS and named:
            name_size = snprintf(<char *>to.out + 2, ADDED_NAME_MAX, b"shotover_%u", place)
            to.out[0] = 0
            to.out[1] = <uint8_t>name_size
            to.out += 2 + name_size
        if not sealing.what & (EDIT_ADDS | EDIT_HASH) or (sealing.what & EDIT_HASH and value.value.data is NULL):
            return True
        if value.value.data is NULL:
            put_int(to.out, <uint32_t>(WIRE_UNSET if value.unset else WIRE_NULL))
            to.out += 4
            return True
        put_int(to.out, LOOKUP_SIZE)
        to.out += 4 + LOOKUP_SIZE
        return self.lookup.put(column.about, value.value, to.out - LOOKUP_SIZE)

    cdef bint _make_room(self, copier_t *to, size_t more) noexcept nogil:
        """For `more` bytes than were foreseen. False: there is no memory."""
        cdef:
            size_t   done = <size_t>(to.out - chunk_data(to.chunk))
            chunk_t *chunk = pool_take(&self.loop.pool, done + more + <size_t>(to.end - to.at) + to.growth)
        if chunk is NULL:
            self.why = NO_MEMORY
            return False
        memcpy(chunk_data(chunk), chunk_data(to.chunk), done)
        chunk_put(&self.loop.pool, to.chunk)
        to.chunk = chunk
        to.out = chunk_data(chunk) + done
        return True

    cdef bint _seal_json_text(self, copier_t *to, const sealing_t *sealing, const uint8_t *text) noexcept nogil:
        """JSON within a literal."""
        cdef:
            chunk_t *chunk = pool_take(&self.loop.pool, sealing.value.size)
            slice_t  json
            bint     fine
        if chunk is NULL:
            self.why = NO_MEMORY
            return False
        json.data = chunk_data(chunk)
        json.size = cql_string_put(json.data, text, sealing.value)
        fine = self._put_json(to, sealing, json, True)
        chunk_put(&self.loop.pool, chunk)
        return fine

    cdef bint _put_json(self, copier_t *to, const sealing_t *sealing, slice_t json, bint literal) noexcept nogil:
        """Writes a row that is JSON with its values sealed, as a literal or a bound value."""
        cdef:
            chunk_t *chunk
            size_t   size, index
        if not self._seal_json(&self.all.columns[sealing.column], json, &chunk, &size):
            return False
        if not self._make_room(to, 2 * size + 4):
            chunk_put(&self.loop.pool, chunk)
            return False
        if literal:
            protect_put(to, b"'", 1)
            for index in range(size):
                to.out[0] = chunk_data(chunk)[index]
                to.out += 1
                if to.out[-1] == 39:
                    protect_put(to, b"'", 1)
            protect_put(to, b"'", 1)
        else:
            put_int(to.out, <uint32_t>size)
            to.out += 4
            protect_put(to, chunk_data(chunk), size)
        chunk_put(&self.loop.pool, chunk)
        return True

    cdef bint _put_hashes(self, copier_t *to, const protected_column_t *column, slice_t listed) noexcept nogil:
        """A list of values becomes one of their hashes. False: it is none, or has a null."""
        cdef:
            wire_reader_t reader
            slice_t       value
            uint8_t      *size_at = to.out
            int32_t       count
        wire_read(&reader, listed.data, listed.size)
        count = wire_int(&reader)
        if reader.bad or count < 0 or <size_t>count > wire_left(&reader) // 4:
            return False
        put_int(to.out + 4, <uint32_t>count)
        to.out += 8
        while count:
            if wire_bytes(&reader, &value) < 0 or reader.bad:
                return False
            put_int(to.out, LOOKUP_SIZE)
            if not self.lookup.put(column.about, value, to.out + 4):
                return False
            to.out += 4 + LOOKUP_SIZE
            count -= 1
        put_int(size_at, <uint32_t>(to.out - size_at - 4))
        return wire_left(&reader) == 0

    cdef bint _seal_batch(self, copier_t *to, request_t *request, slice_t body) noexcept nogil:
        """The statements of a BATCH, one after the other. False: one has a value that is none."""
        cdef:
            cql_batch_t      batch
            cql_batch_item_t item
            cql_params_t     params
            wire_reader_t    items
            const protect_plan_t *plan
            chunk_t         *part
            uint32_t         index
        if not cql_batch_read(body.data, body.size, request.version, &batch) or batch.params.flags & PARAM_NAMES:
            return False
        params.flags = 0
        wire_read(&items, batch.items.data, batch.items.size)
        for index in range(batch.count):
            if not cql_batch_next(&items, &item) or index >= facts_of(request.facts).part_count:
                return False
            part = facts_of(request.facts).parts[index]
            plan = self._plan(part)
            if plan is NULL or plan.sealing_count == 0:
                continue
            if not item.prepared:
                protect_copy(to, item.text.data - 4)
                if not self._seal_text(to, plan, cql_facts_in(part).text.data):
                    return False
            params.value_count = item.value_count
            params.values = item.values
            if not self._seal_values(to, plan, &params, cql_facts_in(part).text.data):
                return False
        return True
