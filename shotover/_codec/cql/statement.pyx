"""See statement.pxd. The parser's parts: parser (names, types, values), parse_rows, parse_schema, parse_roles."""

from libc.string cimport memset

from shotover._codec.commands cimport KIND_READ, KIND_SCHEMA, KIND_SESSION, KIND_UNKNOWN, KIND_WRITE
from shotover._codec.cql.lexer cimport (
    TOKEN_BAD,
    TOKEN_END,
    WORD_ADD,
    WORD_ALTER,
    WORD_BEGIN,
    WORD_COLUMNFAMILY,
    WORD_CREATE,
    WORD_DELETE,
    WORD_DESC,
    WORD_DESCRIBE,
    WORD_DROP,
    WORD_GRANT,
    WORD_INSERT,
    WORD_LIST,
    WORD_REVOKE,
    WORD_SELECT,
    WORD_TABLE,
    WORD_TRUNCATE,
    WORD_UPDATE,
    WORD_USE,
    cql_lex,
    cql_lexer_set,
)
from shotover._codec.cql.parse_rows cimport parse_batch, parse_change, parse_select
from shotover._codec.cql.parse_roles cimport parse_add, parse_describe, parse_grant, parse_list
from shotover._codec.cql.parse_schema cimport parse_alter, parse_create, parse_drop
from shotover._codec.cql.parser cimport (
    NAMES_ANY,
    parser_fail,
    parser_name,
    parser_next,
    parser_qualified,
    parser_take,
    parser_take_word,
)


cdef uint8_t _type_of(uint8_t word) noexcept nogil:
    """STATEMENT_* that a word begins."""
    if word == WORD_SELECT:
        return STATEMENT_SELECT
    if word == WORD_INSERT:
        return STATEMENT_INSERT
    if word == WORD_UPDATE:
        return STATEMENT_UPDATE
    if word == WORD_DELETE:
        return STATEMENT_DELETE
    if word == WORD_BEGIN:
        return STATEMENT_BATCH
    if word == WORD_USE:
        return STATEMENT_USE
    if word == WORD_TRUNCATE:
        return STATEMENT_TRUNCATE
    if word == WORD_CREATE:
        return STATEMENT_CREATE
    if word == WORD_ALTER:
        return STATEMENT_ALTER
    if word == WORD_DROP:
        return STATEMENT_DROP
    if word == WORD_GRANT:
        return STATEMENT_GRANT
    if word == WORD_REVOKE:
        return STATEMENT_REVOKE
    if word == WORD_LIST:
        return STATEMENT_LIST
    if word == WORD_DESCRIBE or word == WORD_DESC:
        return STATEMENT_DESCRIBE
    return STATEMENT_ADD if word == WORD_ADD else STATEMENT_UNKNOWN


cdef uint8_t _kind_of(uint8_t type) noexcept nogil:
    """KIND_* of a STATEMENT_*. Roles and permissions count as definitions."""
    if type == STATEMENT_UNKNOWN:
        return KIND_UNKNOWN
    if type == STATEMENT_SELECT or type == STATEMENT_LIST or type == STATEMENT_DESCRIBE:
        return KIND_READ
    if type == STATEMENT_USE:
        return KIND_SESSION
    return KIND_WRITE if type <= STATEMENT_TRUNCATE else KIND_SCHEMA


cdef bint _statement(parser_t *p, uint8_t type) noexcept nogil:
    if STATEMENT_INSERT <= type <= STATEMENT_DELETE:
        return parse_change(p)
    p.out.type = type
    if type != STATEMENT_UNKNOWN:
        parser_next(p)
    if type == STATEMENT_SELECT:
        return parse_select(p)
    if type == STATEMENT_BATCH:
        return parse_batch(p)
    if type == STATEMENT_USE:
        return parser_name(p, &p.out.keyspace, NAMES_ANY)
    if type == STATEMENT_TRUNCATE:
        if not parser_take_word(p, WORD_TABLE):
            parser_take_word(p, WORD_COLUMNFAMILY)
        return parser_qualified(p, &p.out.keyspace, &p.out.table, NAMES_ANY)
    if type == STATEMENT_CREATE:
        return parse_create(p)
    if type == STATEMENT_ALTER:
        return parse_alter(p)
    if type == STATEMENT_DROP:
        return parse_drop(p)
    if type == STATEMENT_GRANT or type == STATEMENT_REVOKE:
        return parse_grant(p, type == STATEMENT_GRANT)
    if type == STATEMENT_LIST:
        return parse_list(p)
    if type == STATEMENT_DESCRIBE:
        return parse_describe(p)
    if type == STATEMENT_ADD:
        return parse_add(p)
    return parser_fail(p, b"a statement")


cdef bint cql_parse(const uint8_t *text, size_t size, cql_statement_t *out) noexcept nogil:
    """Fills `out`, of which the caller has set `item` and `item_room`. False: it is no statement that we know, of type
    and kind UNKNOWN, and nothing in it may be relied on but error_at and expected."""
    cdef:
        parser_t    p
        cql_item_t *items = out.item
        uint32_t    room = out.item_room
    memset(out, 0, sizeof(cql_statement_t))
    out.item = items
    out.item_room = room
    if size >> 32:
        out.expected = b"a shorter text"
        return False
    p.out = out
    p.last = p.depth = 0
    p.statement = 0
    p.quiet = False
    cql_lexer_set(&p.lexer, text, size)
    cql_lex(&p.lexer, &p.now)
    if _statement(&p, _type_of(p.now.word)):
        while parser_take(&p, b';'):
            pass
        if p.now.kind == TOKEN_END:
            out.kind = _kind_of(out.type)
            return True
        parser_fail(&p, b"the end of the statement")
    if p.now.kind == TOKEN_BAD and out.error_at == p.now.at:
        out.expected = b"a token of CQL; a string or comment may lack its end"
    out.type = STATEMENT_UNKNOWN
    out.kind = KIND_UNKNOWN
    return False


cdef uint8_t cql_first_look(const uint8_t *text, size_t size, uint8_t *type) noexcept nogil:
    """KIND_* and STATEMENT_* by the first word alone: what the statement is if it is one. For routing and filters."""
    cdef:
        cql_lexer_t lexer
        cql_token_t token
    cql_lexer_set(&lexer, text, size)
    cql_lex(&lexer, &token)
    type[0] = _type_of(token.word)
    return _kind_of(type[0])


cdef bint cql_use_keyspace(const uint8_t *text, size_t size, cql_span_t *keyspace) noexcept nogil:
    """Whether it is a whole USE statement, and of which keyspace."""
    cdef cql_statement_t statement
    cdef uint8_t         type
    cql_first_look(text, size, &type)
    if type != STATEMENT_USE:
        return False
    statement.item = NULL
    statement.item_room = 0
    if not cql_parse(text, size, &statement):
        return False
    keyspace[0] = statement.keyspace
    return True
