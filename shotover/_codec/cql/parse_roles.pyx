"""See parse_roles.pxd. What is within options and resources is only followed."""

from libc.stdint cimport uint8_t

from shotover._codec.cql.lexer cimport (
    TOKEN_BOOLEAN,
    TOKEN_DOLLARS,
    TOKEN_NAME,
    TOKEN_STRING,
    WORD_ACCESS,
    WORD_AGGREGATE,
    WORD_AGGREGATES,
    WORD_ALL,
    WORD_ALTER,
    WORD_AND,
    WORD_AUTHORIZE,
    WORD_CIDRS,
    WORD_CLUSTER,
    WORD_COLUMNFAMILIES,
    WORD_CREATE,
    WORD_DATACENTERS,
    WORD_DESCRIBE,
    WORD_DROP,
    WORD_EXECUTE,
    WORD_FROM,
    WORD_FULL,
    WORD_FUNCTION,
    WORD_FUNCTIONS,
    WORD_GENERATED,
    WORD_HASHED,
    WORD_IDENTITY,
    WORD_IN,
    WORD_INDEX,
    WORD_INTERNALS,
    WORD_KEYSPACE,
    WORD_KEYSPACES,
    WORD_LOGIN,
    WORD_MATERIALIZED,
    WORD_MBEAN,
    WORD_MBEANS,
    WORD_MODIFY,
    WORD_NORECURSIVE,
    WORD_NOSUPERUSER,
    WORD_OF,
    WORD_ON,
    WORD_ONLY,
    WORD_OPTIONS,
    WORD_PASSWORD,
    WORD_PERMISSION,
    WORD_PERMISSIONS,
    WORD_ROLE,
    WORD_ROLES,
    WORD_SCHEMA,
    WORD_SELECT,
    WORD_SELECT_MASKED,
    WORD_SUPERUSER,
    WORD_SUPERUSERS,
    WORD_TABLES,
    WORD_TO,
    WORD_TYPE,
    WORD_TYPES,
    WORD_UNMASK,
    WORD_USERS,
    WORD_VIEW,
    WORD_WITH,
    cql_span_t,
)
from shotover._codec.cql.parse_parts cimport (
    parse_if_exists,
    parse_is_table,
    parse_is_keyspace,
    parse_table,
    parse_other,
    parse_string,
    parse_named,
    parse_arguments,
)
from shotover._codec.cql.parser cimport (
    NAMES_ANY,
    NAMES_OF_FUNCTIONS,
    parser_expression,
    parser_fail,
    parser_is_name,
    parser_name,
    parser_need,
    parser_need_word,
    parser_next,
    parser_peek,
    parser_qualified,
    parser_take,
    parser_take_word,
)
from shotover._codec.cql.statement cimport (
    OBJECT_AGGREGATE,
    OBJECT_FUNCTION,
    OBJECT_IDENTITY,
    OBJECT_INDEX,
    OBJECT_KEYSPACE,
    OBJECT_PERMISSION,
    OBJECT_ROLE,
    OBJECT_TABLE,
    OBJECT_TYPE,
    OBJECT_VIEW,
    cql_value_of_t,
)


# ---- roles ---------------------------------------------------------------------------------------------------------


cdef bint _strings_in_braces(parser_t *p) noexcept nogil:
    if not parser_need(p, b'{', b"{"):
        return False
    while True:
        if not parse_string(p):
            return False
        if not parser_take(p, b','):
            return parser_need(p, b'}', b", or }")


cdef bint _role_option(parser_t *p) noexcept nogil:
    cdef cql_value_of_t value
    if parser_take_word(p, WORD_GENERATED):
        return parser_need_word(p, WORD_PASSWORD, b"PASSWORD")
    if parser_take_word(p, WORD_ACCESS):
        if parser_take_word(p, WORD_TO):
            if parser_take_word(p, WORD_ALL):
                return parser_need_word(p, WORD_DATACENTERS, b"DATACENTERS")
            return parser_need_word(p, WORD_DATACENTERS, b"DATACENTERS") and _strings_in_braces(p)
        if not parser_need_word(p, WORD_FROM, b"TO or FROM"):
            return False
        if parser_take_word(p, WORD_ALL):
            return parser_need_word(p, WORD_CIDRS, b"CIDRS")
        return parser_need_word(p, WORD_CIDRS, b"CIDRS") and _strings_in_braces(p)
    if parser_take_word(p, WORD_SUPERUSER) or parser_take_word(p, WORD_LOGIN):
        return parser_need(p, b'=', b"=") and parser_need(p, TOKEN_BOOLEAN, b"true or false")
    if parser_take_word(p, WORD_OPTIONS):
        return parser_need(p, b'=', b"=") and parser_expression(p, &value, False)
    parser_take_word(p, WORD_HASHED)
    return parser_need_word(p, WORD_PASSWORD, b"an option of a role") and parser_need(p, b'=', b"=") and parse_string(p)


cdef bint parse_role(parser_t *p, bint created) noexcept nogil:
    """CREATE and ALTER"""
    p.out.object = OBJECT_ROLE
    if not parse_if_exists(p, created) or not parse_named(p, &p.out.other):
        return False
    if not parser_take_word(p, WORD_WITH):
        return True
    while True:
        if not _role_option(p):
            return False
        if not parser_take_word(p, WORD_AND):
            return True


cdef bint parse_user(parser_t *p, bint created) noexcept nogil:
    p.out.object = OBJECT_ROLE
    if not parse_if_exists(p, created) or not parse_named(p, &p.out.other):
        return False
    if parser_take_word(p, WORD_WITH):
        if parser_take_word(p, WORD_GENERATED):
            if not parser_need_word(p, WORD_PASSWORD, b"PASSWORD"):
                return False
        else:
            parser_take_word(p, WORD_HASHED)
            if not parser_need_word(p, WORD_PASSWORD, b"PASSWORD") or not parse_string(p):
                return False
    if not parser_take_word(p, WORD_SUPERUSER):
        parser_take_word(p, WORD_NOSUPERUSER)
    return True


# ---- permissions ---------------------------------------------------------------------------------------------------


cdef bint _is_permission(parser_t *p) noexcept nogil:
    return p.now.word in (WORD_CREATE, WORD_ALTER, WORD_DROP, WORD_SELECT, WORD_MODIFY, WORD_AUTHORIZE, WORD_DESCRIBE,
                          WORD_EXECUTE, WORD_UNMASK, WORD_SELECT_MASKED)


cdef bint _permissions(parser_t *p) noexcept nogil:
    """ALL [PERMISSIONS], or some"""
    if parser_take_word(p, WORD_ALL):
        parser_take_word(p, WORD_PERMISSIONS)
        return True
    while True:
        if not _is_permission(p):
            return parser_fail(p, b"a permission")
        parser_next(p)
        parser_take_word(p, WORD_PERMISSION)
        if not parser_take(p, b','):
            return True


cdef bint _resource(parser_t *p) noexcept nogil:
    cdef cql_span_t span
    p.out.object = OBJECT_PERMISSION
    if p.now.word == WORD_ALL and parser_peek(p) == TOKEN_NAME:
        parser_next(p)
        if parser_take_word(p, WORD_TABLES) or parser_take_word(p, WORD_COLUMNFAMILIES):
            return parser_need_word(p, WORD_IN, b"IN") and (parse_is_keyspace(p) or parser_fail(p, b"KEYSPACE")) \
                and parser_name(p, &p.out.keyspace, NAMES_ANY)
        if parser_take_word(p, WORD_FUNCTIONS):
            return not parser_take_word(p, WORD_IN) or ((parse_is_keyspace(p) or parser_fail(p, b"KEYSPACE"))
                                                        and parser_name(p, &p.out.keyspace, NAMES_ANY))
        return parser_take_word(p, WORD_KEYSPACES) or parser_take_word(p, WORD_ROLES) \
            or parser_need_word(p, WORD_MBEANS, b"KEYSPACES, TABLES, FUNCTIONS, ROLES or MBEANS")
    if parse_is_keyspace(p):
        return parser_name(p, &p.out.keyspace, NAMES_ANY)
    if parse_is_table(p):
        return parse_table(p)
    if p.now.word == WORD_ROLE and parser_peek(p) not in (b'.', 0) and not _ends_resource(p):
        parser_next(p)
        return parse_named(p, &p.out.other)
    if p.now.word == WORD_FUNCTION and parser_peek(p) != b'.' and not _ends_resource(p):
        parser_next(p)
        return parser_qualified(p, &p.out.keyspace, &span, NAMES_OF_FUNCTIONS) and parse_arguments(p, False)
    if (p.now.word == WORD_MBEAN or p.now.word == WORD_MBEANS) and parser_peek(p) in (TOKEN_STRING, TOKEN_DOLLARS):
        parser_next(p)
        return parse_string(p)
    return parse_table(p)


cdef bint _ends_resource(parser_t *p) noexcept nogil:
    """Whether the word at hand is a table's name: TO, FROM or OF follows."""
    cdef parser_t after = p[0]
    parser_next(&after)
    return after.now.word == WORD_TO or after.now.word == WORD_FROM or after.now.word == WORD_OF \
        or after.now.word == WORD_NORECURSIVE


cdef bint parse_grant(parser_t *p, bint granted) noexcept nogil:
    """GRANT and REVOKE, of permissions and of roles"""
    cdef cql_span_t name
    cdef bint permissions = _is_permission(p)
    if p.now.word == WORD_ALL:
        permissions = not _ends_resource(p)
    if permissions:
        if not _permissions(p) or not parser_need_word(p, WORD_ON, b", or ON") or not _resource(p):
            return False
    else:
        p.out.object = OBJECT_ROLE
        if not parse_named(p, &p.out.other):
            return False
    if granted:
        return parser_need_word(p, WORD_TO, b"TO") and parse_named(p, &name)
    return parser_need_word(p, WORD_FROM, b"FROM") and parse_named(p, &name)


cdef bint parse_list(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    p.out.object = OBJECT_ROLE
    if parser_take_word(p, WORD_USERS) or parser_take_word(p, WORD_SUPERUSERS):
        return True
    if not parser_take_word(p, WORD_ROLES):
        p.out.object = OBJECT_PERMISSION
        if not _permissions(p) or (parser_take_word(p, WORD_ON) and not _resource(p)):
            return False
    if parser_take_word(p, WORD_OF) and not parse_named(p, &name):
        return False
    parser_take_word(p, WORD_NORECURSIVE)
    return True


cdef bint parse_add(parser_t *p) noexcept nogil:
    cdef cql_span_t name
    p.out.object = OBJECT_IDENTITY
    return parser_need_word(p, WORD_IDENTITY, b"IDENTITY") and parse_if_exists(p, True) and parse_named(p, &p.out.other) \
        and parser_need_word(p, WORD_TO, b"TO") and parser_need_word(p, WORD_ROLE, b"ROLE") and parse_named(p, &name)


cdef bint _described(parser_t *p) noexcept nogil:
    cdef uint8_t word = p.now.word
    cdef uint8_t after = parser_peek(p)
    if parser_take_word(p, WORD_FULL):
        return parser_need_word(p, WORD_SCHEMA, b"SCHEMA")
    if parser_take_word(p, WORD_ONLY):
        if p.now.word != WORD_KEYSPACE and p.now.word != WORD_SCHEMA:
            return True                                 # a table of that name
    if parser_take_word(p, WORD_SCHEMA):
        return not parser_is_name(p, NAMES_ANY) or parser_name(p, &p.out.keyspace, NAMES_ANY)
    if parser_take_word(p, WORD_KEYSPACE):
        p.out.object = OBJECT_KEYSPACE
        return not parser_is_name(p, NAMES_ANY) or parser_name(p, &p.out.keyspace, NAMES_ANY)
    if parse_is_table(p):
        p.out.object = OBJECT_TABLE
        return parse_table(p)
    if parser_take_word(p, WORD_INDEX):
        p.out.object = OBJECT_INDEX
        return parse_other(p, NAMES_ANY)
    if parser_take_word(p, WORD_MATERIALIZED):
        p.out.object = OBJECT_VIEW
        return parser_need_word(p, WORD_VIEW, b"VIEW") and parse_other(p, NAMES_ANY)
    if after == TOKEN_NAME and word in (WORD_TYPE, WORD_FUNCTION, WORD_AGGREGATE):
        p.out.object = OBJECT_TYPE if word == WORD_TYPE else OBJECT_FUNCTION if word == WORD_FUNCTION else OBJECT_AGGREGATE
        parser_next(p)
        return parse_other(p, NAMES_ANY)
    if after != b'.' and word in (WORD_CLUSTER, WORD_KEYSPACES, WORD_TABLES, WORD_COLUMNFAMILIES, WORD_TYPES, WORD_FUNCTIONS,
                                  WORD_AGGREGATES):
        parser_next(p)
        return True
    return parse_table(p)


cdef bint parse_describe(parser_t *p) noexcept nogil:
    if not _described(p):
        return False
    return not parser_take_word(p, WORD_WITH) or parser_need_word(p, WORD_INTERNALS, b"INTERNALS")
