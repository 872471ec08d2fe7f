"""See _redis_cache_plan.pxd. In doubt a read is not cached, and a write concerns all of a table."""

from libc.string cimport memcmp, memcpy, memset

from shotover._codec.cql.keys cimport cql_key_plan
from shotover._codec.cql.lexer cimport cql_name_is
from shotover._codec.cql.statement cimport (
    HAS_EXPRESSION,
    HAS_FUNCTION,
    ITEM_STATEMENT,
    OBJECT_KEYSPACE,

    OBJECT_TYPE,
    STATEMENT_ALTER,
    STATEMENT_BATCH,
    STATEMENT_DELETE,
    STATEMENT_DROP,
    STATEMENT_GRANT,
    STATEMENT_INSERT,
    STATEMENT_REVOKE,
    STATEMENT_SELECT,
    STATEMENT_TRUNCATE,
    STATEMENT_UNKNOWN,
    STATEMENT_UPDATE,
    cql_parse,
)
from shotover._core.memory cimport chunk_data, pool_take

cdef enum:
    ITEMS_MAX = 256             # of a statement whose keys are looked for; of a larger one whole tables are meant
    TOUCHED_MAX = 64


cdef inline bint _same(slice_t one, slice_t other) noexcept nogil:
    return one.size == other.size and memcmp(one.data, other.data, one.size) == 0


cdef inline bint _is_of(const cached_names_t *table, slice_t keyspace, slice_t name) noexcept nogil:
    """A table of that name in a keyspace that nobody knows may be the one that is meant."""
    return _same(table.table, name) and (keyspace.size == 0 or _same(table.keyspace, keyspace))


cdef struct draft_t:
    plan_t    plan
    touched_t touched[TOUCHED_MAX]
    bint      over              # there were more


cdef void _whole(draft_t *draft, uint32_t table) noexcept nogil:
    cdef uint32_t index
    for index in range(draft.plan.count):
        if draft.touched[index].table == table and draft.touched[index].whole:
            return
    if draft.plan.count == TOUCHED_MAX:
        draft.over = True
        return
    draft.touched[draft.plan.count].table = <uint16_t>table
    draft.touched[draft.plan.count].whole = 1
    draft.plan.count += 1


cdef void _rows(draft_t *draft, const cached_names_t *tables, uint32_t table, const uint8_t *text, uint16_t which) noexcept nogil:
    """A write to some rows of a table."""
    if draft.plan.count == TOUCHED_MAX:
        draft.over = True
    elif cql_key_plan(&draft.plan.statement, text, which, tables[table].columns, tables[table].column_count,
                      &draft.touched[draft.plan.count].key):
        draft.touched[draft.plan.count].table = <uint16_t>table
        draft.touched[draft.plan.count].whole = 0
        draft.plan.count += 1
    else:
        _whole(draft, table)


cdef void _batch(draft_t *draft, const cached_names_t *tables, uint32_t count, const cql_facts_t *facts) noexcept nogil:
    """BEGIN BATCH ... in one text."""
    cdef:
        const cql_item_t *item
        const uint8_t    *text = facts.text.data
        uint32_t          index, table
        bint              here
    for index in range(draft.plan.statement.item_count):
        item = &draft.plan.statement.item[index]
        if item.role != ITEM_STATEMENT:
            continue
        for table in range(count):
            if not cql_name_is(text, item.name, tables[table].table.data, tables[table].table.size):
                continue
            if item.more.size:
                here = cql_name_is(text, item.more, tables[table].keyspace.data, tables[table].keyspace.size)
            else:
                here = facts.client_keyspace.size == 0 or _same(facts.client_keyspace, tables[table].keyspace)
            if here:
                _rows(draft, tables, table, text, item.statement)


cdef void _draft(draft_t *draft, const cached_names_t *tables, uint32_t count, const cql_facts_t *facts) noexcept nogil:
    cdef:
        uint8_t  type = facts.type
        uint32_t table
        bint     of_keyspace = facts.object == OBJECT_KEYSPACE or facts.object == OBJECT_TYPE
        cql_statement_t *said = &draft.plan.statement
    if type == STATEMENT_SELECT:
        if said.truncated or said.flags & (HAS_EXPRESSION | HAS_FUNCTION):
            return
        for table in range(count):
            if facts.keyspace.size and _is_of(&tables[table], facts.keyspace, facts.table) and cql_key_plan(
                    said, facts.text.data, 0, tables[table].columns, tables[table].column_count, &draft.touched[0].key):
                draft.touched[0].table = <uint16_t>table
                draft.touched[0].whole = 0
                draft.plan.count = 1
                draft.plan.what = PLAN_READ
        return
    if type == STATEMENT_BATCH:
        if said.truncated:
            draft.over = True
        else:
            _batch(draft, tables, count, facts)
    elif type == STATEMENT_INSERT or type == STATEMENT_UPDATE or type == STATEMENT_DELETE:
        for table in range(count):
            if _is_of(&tables[table], facts.keyspace, facts.table):
                _rows(draft, tables, table, facts.text.data, 0)
    elif type == STATEMENT_UNKNOWN or type == STATEMENT_GRANT or type == STATEMENT_REVOKE:
        draft.over = True               # what it does nobody knows, or who may read is another question from now on
    elif type == STATEMENT_TRUNCATE or type == STATEMENT_DROP or type == STATEMENT_ALTER:
        draft.plan.schema = type != STATEMENT_TRUNCATE
        for table in range(count):
            if facts.object > OBJECT_TYPE:
                draft.over = True       # roles; what may be read through a function
            elif (of_keyspace and _same(tables[table].keyspace, facts.keyspace)) or (
                    not of_keyspace and _is_of(&tables[table], facts.keyspace, facts.table)):
                _whole(draft, table)
    if draft.over:
        draft.plan.count = 0
        draft.over = False
        for table in range(count):
            _whole(draft, table)
    if draft.plan.count:
        draft.plan.what = PLAN_WRITE


cdef chunk_t *plan_make(
    pool_t *pool, const cached_names_t *tables, uint32_t table_count, const cql_facts_t *facts
) noexcept nogil:
    """The plan for a statement, at the beginning of a chunk. At most TOUCHED_MAX tables. NULL: no memory."""
    cdef:
        draft_t    draft
        cql_item_t items[ITEMS_MAX]
        chunk_t   *chunk
        plan_t    *plan
        size_t     item_bytes
    memset(&draft.plan, 0, sizeof(plan_t))
    draft.over = False
    draft.plan.statement.item = items
    draft.plan.statement.item_room = ITEMS_MAX
    if facts.text.data is not NULL:
        cql_parse(facts.text.data, facts.text.size, &draft.plan.statement)
        _draft(&draft, tables, table_count, facts)
    item_bytes = draft.plan.statement.item_count * sizeof(cql_item_t) if draft.plan.count else 0
    chunk = pool_take(pool, sizeof(plan_t) + draft.plan.count * sizeof(touched_t) + item_bytes)
    if chunk is NULL:
        return NULL
    plan = <plan_t *>chunk_data(chunk)
    plan[0] = draft.plan
    plan.touched = <touched_t *>(plan + 1)
    memcpy(plan.touched, draft.touched, draft.plan.count * sizeof(touched_t))
    plan.statement.item = <cql_item_t *>(plan.touched + plan.count)
    if item_bytes:
        memcpy(plan.statement.item, items, item_bytes)
    return chunk
