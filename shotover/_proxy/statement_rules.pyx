"""See statement_rules.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memcmp

from shotover._codec.cql.facts cimport cql_touch_t
from shotover._codec.cql.reading cimport cql_consistency
from shotover._codec.cql.statement cimport STATEMENT_BATCH


cdef int statement_rule_set(statement_rule_t *rule, object row, list texts) except -1:
    """`row`: (types, keyspaces, tables, levels), of which None says nothing; None: no condition. `texts` keeps the names."""
    cdef uint32_t index, bit
    if row is None:
        return 0
    types, keyspaces, tables, levels = row
    rule.says = True
    for type, thing in types or ():
        rule.says_type = True
        for bit in range(type * 16, type * 16 + 16) if thing is None else (type * 16 + thing,):
            rule.types[bit >> 6] |= <uint64_t>1 << (bit & 63)
    if keyspaces is not None:
        rule.keyspaces = <slice_t *>calloc(len(keyspaces) or 1, sizeof(slice_t))
        if rule.keyspaces is NULL:
            raise MemoryError
        for name in keyspaces:
            _point(&rule.keyspaces[rule.keyspace_count], name, texts)
            rule.keyspace_count += 1
    if tables is not None:
        rule.tables = <slice_t *>calloc(2 * len(tables) or 1, sizeof(slice_t))
        if rule.tables is NULL:
            raise MemoryError
        for index, names in enumerate(tables):
            _point(&rule.tables[2 * index], names[0], texts)
            _point(&rule.tables[2 * index + 1], names[1], texts)
        rule.table_count = len(tables)
    for level in levels or ():
        rule.levels |= <uint32_t>1 << <uint32_t>level
    return 0


cdef int _point(slice_t *slice, bytes name, list texts) except -1:
    texts.append(name)
    slice.data = <uint8_t *><const char *>name
    slice.size = len(name)
    return 0


cdef void statement_rule_free(statement_rule_t *rule) noexcept nogil:
    free(rule.keyspaces)
    free(rule.tables)


cdef inline bint _is(const slice_t *name, const slice_t *other) noexcept nogil:
    return name.size == other.size and memcmp(name.data, other.data, name.size) == 0


cdef inline bint _has(const statement_rule_t *rule, uint32_t bit) noexcept nogil:
    return rule.types[bit >> 6] >> (bit & 63) & 1


cdef bint _touches(const statement_rule_t *rule, const cql_touch_t *touch) noexcept nogil:
    cdef:
        uint32_t bit = (touch.type & 15) << 4 | (touch.object & 15)
        uint32_t index
        bint     found
    if rule.says_type and not _has(rule, bit):
        return False
    if rule.keyspaces is not NULL:
        found = False
        for index in range(rule.keyspace_count):
            found = found or _is(&rule.keyspaces[index], &touch.keyspace)
        if not found:
            return False
    if rule.tables is not NULL:
        for index in range(rule.table_count):
            if _is(&rule.tables[2 * index + 1], &touch.table) and (
                    rule.tables[2 * index].size == 0 or _is(&rule.tables[2 * index], &touch.keyspace)):
                return True
        return False
    return True


cdef bint statement_rule_fits(const statement_rule_t *rule, const cql_facts_t *facts) noexcept nogil:
    """Whether all conditions but that on the consistency hold. Of a batch it is enough that they do for one statement, and
    they do if it has more of them than are listed. `facts` NULL: it is no statement, or one that nobody can read."""
    cdef uint32_t index
    if not rule.says_type and rule.keyspaces is NULL and rule.tables is NULL:
        return facts is not NULL or not rule.says
    if facts is NULL:
        return False
    if facts.type == STATEMENT_BATCH and rule.says_type and rule.keyspaces is NULL and rule.tables is NULL \
            and _has(rule, STATEMENT_BATCH << 4):
        return True                             # the batch itself
    for index in range(facts.touch_count):
        if _touches(rule, &facts.touches[index]):
            return True
    return facts.more


cdef bint statement_rule_level(const statement_rule_t *rule, const request_t *request) noexcept nogil:
    """Whether that on the consistency holds."""
    cdef int level
    if rule.levels == 0:
        return True
    level = cql_consistency(request)
    return 0 <= level < 32 and rule.levels >> level & 1
