"""See facts.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from shotover._codec.commands cimport KIND_ADMIN, KIND_READ, KIND_SCHEMA, KIND_UNKNOWN, KIND_WRITE
from shotover._codec.cql.lexer cimport cql_name_put, cql_span_t
from shotover._codec.cql.results cimport RESULT_PREPARED, cql_result_read, cql_result_t
from shotover._codec.cql.statement cimport (
    ITEM_COLUMN,
    ITEM_STATEMENT,
    ITEM_WHERE,
    OBJECT_TRIGGER,
    OBJECT_TYPE,
    STATEMENT_BATCH,
    STATEMENT_UNKNOWN,
    cql_item_t,
    cql_parse,
    cql_statement_t,
)
from shotover._core.debug cimport unlikely
from shotover._core.memory cimport chunk_ref, pool_take, pool_take_exact

cdef enum:
    ITEMS_FIRST = 128           # room on the stack
    ITEMS_MAX = 16384           # ... and what is taken for a batch that is text if that is not enough
    ITEMS_KEPT = 256            # with the facts


cdef inline bint _same(slice_t one, slice_t other) noexcept nogil:
    return one.size == other.size and (one.size == 0 or memcmp(one.data, other.data, one.size) == 0)


cdef slice_t _put_name(uint8_t **room, const uint8_t *text, cql_span_t name) noexcept nogil:
    """Writes a name at *room, which moves on."""
    cdef slice_t put
    put.data = room[0]
    put.size = cql_name_put(room[0], text, name) if name.size else 0
    room[0] += put.size
    return put


cdef slice_t _put_bytes(uint8_t **room, const uint8_t *data, size_t size) noexcept nogil:
    cdef slice_t put
    put.data = room[0]
    put.size = size
    if size:
        memcpy(room[0], data, size)
    room[0] += size
    return put


cdef void _touch(cql_facts_t *facts, const cql_touch_t *touch) noexcept nogil:
    """One more statement; `touches` has room for TOUCHES_MAX of them, or for all there can be."""
    cdef:
        cql_touch_t *known
        uint32_t     index
    for index in range(facts.touch_count):
        known = &facts.touches[index]
        if known.type == touch.type and known.object == touch.object and _same(known.table, touch.table) \
                and _same(known.keyspace, touch.keyspace):
            known.count += touch.count
            return
    if facts.touch_count == TOUCHES_MAX:
        facts.more = True
        return
    facts.touches[facts.touch_count] = touch[0]
    facts.touch_count += 1


cdef int _strictness(uint8_t kind) noexcept nogil:
    if kind == KIND_UNKNOWN:
        return 5
    if kind == KIND_ADMIN:
        return 4
    if kind == KIND_SCHEMA:
        return 3
    if kind == KIND_WRITE:
        return 2
    return 1 if kind == KIND_READ else 0


cdef inline bint _may_hold_key(const cql_item_t *item) noexcept nogil:
    return item.role == ITEM_WHERE or item.role == ITEM_COLUMN or item.role == ITEM_STATEMENT


cdef bint facts_statement(const cql_facts_t *facts, cql_statement_t *said) noexcept nogil:
    """As cql_parse would have it of `facts.text`, as far as keys.pxd looks. False: not all of its items were kept."""
    if facts.items_missing:
        return False
    memset(said, 0, sizeof(cql_statement_t))
    said.item = facts.items
    said.item_count = said.item_room = facts.item_count
    said.type = facts.type
    said.kind = facts.kind
    said.flags = facts.flags
    said.bind_count = facts.bind_count
    return True


# ---- of a text -----------------------------------------------------------------------------------------------------


cdef chunk_t *facts_of_text(
    pool_t *pool, const uint8_t *text, size_t size, slice_t client_keyspace, uint64_t hash
) noexcept nogil:
    """Parses a statement. Text that cannot be followed has facts, too, of kind and type UNKNOWN. NULL: no memory."""
    cdef:
        cql_item_t      items[ITEMS_FIRST]
        cql_item_t     *more = NULL
        cql_statement_t said
        chunk_t        *chunk
    said.item = items
    said.item_room = ITEMS_FIRST
    cql_parse(text, size, &said)
    if unlikely(said.truncated and said.type == STATEMENT_BATCH):   # others say all that is wanted here without items
        more = <cql_item_t *>malloc(ITEMS_MAX * sizeof(cql_item_t))
        if more is NULL:
            return NULL
        said.item = more
        said.item_room = ITEMS_MAX
        cql_parse(text, size, &said)
    chunk = _written(pool, text, size, client_keyspace, hash, &said)
    free(more)
    return chunk


cdef chunk_t *_written(
    pool_t *pool, const uint8_t *text, size_t size, slice_t client_keyspace, uint64_t hash, const cql_statement_t *said
) noexcept nogil:
    cdef:
        const cql_item_t *item
        cql_facts_t *facts
        cql_touch_t  touch
        chunk_t     *chunk
        uint8_t     *room
        size_t       names = said.keyspace.size + said.table.size + said.other.size
        uint32_t     children = 0, kept = 0, touches, index
    for index in range(said.item_count if said.type != STATEMENT_UNKNOWN else 0):
        item = &said.item[index]
        kept += _may_hold_key(item)
        if item.role == ITEM_STATEMENT:
            children += 1
            names += item.name.size + item.more.size
    if said.truncated or kept > ITEMS_KEPT:
        kept = 0
    touches = min(max(children, <uint32_t>1), <uint32_t>TOUCHES_MAX)
    chunk = pool_take_exact(pool, sizeof(cql_facts_t) + touches * sizeof(cql_touch_t) + kept * sizeof(cql_item_t)
                            + size + client_keyspace.size + names)
    if chunk is NULL:
        return NULL
    facts = <cql_facts_t *>chunk_data(chunk)
    memset(facts, 0, sizeof(cql_facts_t))
    facts.touches = <cql_touch_t *>(facts + 1)
    facts.items = <cql_item_t *>(facts.touches + touches)
    room = <uint8_t *>(facts.items + kept)
    facts.items_missing = kept == 0
    for index in range(said.item_count if kept else 0):
        if _may_hold_key(&said.item[index]):
            facts.items[facts.item_count] = said.item[index]
            facts.item_count += 1
    facts.hash = hash
    facts.text = _put_bytes(&room, text, size)
    facts.client_keyspace = _put_bytes(&room, client_keyspace.data, client_keyspace.size)
    facts.type = said.type
    facts.kind = said.kind
    if said.type == STATEMENT_UNKNOWN:
        memset(&touch, 0, sizeof(touch))
        touch.count = 1
        _touch(facts, &touch)
        return chunk
    facts.object = said.object
    facts.flags = said.flags
    facts.bind_count = said.bind_count
    if said.type == STATEMENT_BATCH:
        facts.more = said.truncated
        for index in range(said.item_count):
            item = &said.item[index]
            if item.role != ITEM_STATEMENT:
                continue
            memset(&touch, 0, sizeof(touch))
            touch.type = item.op
            touch.table = _put_name(&room, text, item.name)
            touch.keyspace = _put_name(&room, text, item.more) if item.more.size else facts.client_keyspace
            touch.count = 1
            _touch(facts, &touch)
        facts_settle(facts)
        return chunk
    facts.keyspace = _put_name(&room, text, said.keyspace)
    facts.table = _put_name(&room, text, said.table)
    facts.other = _put_name(&room, text, said.other)
    if said.keyspace.size == 0 and (said.table.size or OBJECT_TYPE <= said.object <= OBJECT_TRIGGER):
        facts.keyspace = facts.client_keyspace
    memset(&touch, 0, sizeof(touch))
    touch.type = facts.type
    touch.object = facts.object
    touch.keyspace = facts.keyspace
    touch.table = facts.table
    touch.count = 1
    _touch(facts, &touch)
    return chunk


# ---- prepared ------------------------------------------------------------------------------------------------------


cdef chunk_t *facts_of_prepared(
    pool_t *pool, chunk_t *text_facts, const uint8_t *body, size_t size, int version, slice_t sent
) noexcept nogil:
    """From those of its text and the body of a RESULT. `sent`: the text that the server was given, if it is another one; else
    of size 0. NULL: the body does not say PREPARED, or no memory."""
    cdef:
        const cql_facts_t *of_text = cql_facts_in(text_facts)
        cql_result_t result
        cql_facts_t *facts
        chunk_t     *chunk
        uint8_t     *copy
    if not cql_result_read(body, size, version, &result) or result.kind != RESULT_PREPARED or result.id.size == 0:
        return NULL
    chunk = pool_take_exact(pool, sizeof(cql_facts_t) + sizeof(chunk_t *) + sizeof(cql_touch_t) + size + sent.size)
    if chunk is NULL:
        return NULL
    facts = <cql_facts_t *>chunk_data(chunk)
    facts[0] = of_text[0]
    memset(&facts.head, 0, sizeof(facts_t))
    facts.head.parts = <chunk_t **>(facts + 1)
    facts.head.parts[0] = chunk_ref(text_facts)
    facts.head.part_count = 1
    copy = <uint8_t *>(facts + 1) + sizeof(chunk_t *) + sizeof(cql_touch_t)
    memcpy(copy, body, size)
    facts.sent = facts.text
    if sent.size:
        memcpy(copy + size, sent.data, sent.size)
        facts.sent.data = copy + size
        facts.sent.size = sent.size
    cql_result_read(copy, size, version, &result)
    facts.id = result.id
    facts.bound = result.bound
    facts.metadata = result.metadata
    facts.version = <uint8_t>version
    if facts.keyspace.size == 0 and result.bound.keyspace.size and _same(facts.table, result.bound.table):
        facts.keyspace = result.bound.keyspace      # the server knows where the client was, we do not
        facts.touches = <cql_touch_t *>(facts.head.parts + 1)
        facts.touches[0] = of_text.touches[0]
        facts.touches[0].keyspace = facts.keyspace
        facts.touch_count = 1
    return chunk


# ---- of a BATCH ----------------------------------------------------------------------------------------------------


cdef chunk_t *facts_of_batch(pool_t *pool, uint32_t statement_count) noexcept nogil:
    """For so many statements, yet to be added. NULL: no memory."""
    cdef:
        size_t       size = sizeof(cql_facts_t) + TOUCHES_MAX * sizeof(cql_touch_t) + statement_count * sizeof(chunk_t *)
        chunk_t     *chunk = pool_take(pool, size)
        cql_facts_t *facts
    if chunk is NULL:
        return NULL
    facts = <cql_facts_t *>chunk_data(chunk)
    memset(facts, 0, sizeof(cql_facts_t))
    facts.touches = <cql_touch_t *>(facts + 1)
    facts.head.parts = <chunk_t **>(facts.touches + TOUCHES_MAX)
    facts.type = STATEMENT_BATCH
    facts.kind = KIND_WRITE
    return chunk


cdef void facts_add(cql_facts_t *batch, chunk_t *part) noexcept nogil:
    """Takes over a reference on the facts of the next statement."""
    cdef:
        const cql_facts_t *facts = cql_facts_in(part)
        uint32_t index
    batch.head.parts[batch.head.part_count] = part
    batch.head.part_count += 1
    batch.flags |= facts.flags
    batch.bind_count += facts.bind_count
    batch.more = batch.more or facts.more
    if _strictness(facts.kind) > _strictness(batch.kind):
        batch.kind = facts.kind
    for index in range(facts.touch_count):
        _touch(batch, &facts.touches[index])


cdef void facts_settle(cql_facts_t *batch) noexcept nogil:
    """All statements have been added: what they agree upon is the batch's."""
    cdef uint32_t index
    if batch.touch_count == 0:
        memset(&batch.touches[0], 0, sizeof(cql_touch_t))       # an empty one
        batch.touches[0].type = STATEMENT_BATCH
        batch.touch_count = 1
        return
    batch.keyspace = batch.touches[0].keyspace
    batch.table = batch.touches[0].table
    for index in range(1, batch.touch_count):
        if not _same(batch.keyspace, batch.touches[index].keyspace):
            batch.keyspace.size = 0
            batch.table.size = 0
        if not _same(batch.table, batch.touches[index].table):
            batch.table.size = 0
    if batch.more:
        batch.keyspace.size = 0
        batch.table.size = 0
