"""See names.pxd."""

cdef const char *STATEMENTS[STATEMENT_TYPES]
STATEMENTS[:] = [
    b"unknown", b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"BATCH", b"TRUNCATE", b"USE", b"CREATE", b"ALTER", b"DROP",
    b"GRANT", b"REVOKE", b"LIST", b"DESCRIBE", b"ADD",
]
cdef const char *OBJECTS[OBJECT_TYPES]
OBJECTS[:] = [
    b"", b"KEYSPACE", b"TABLE", b"TYPE", b"FUNCTION", b"AGGREGATE", b"MATERIALIZED VIEW", b"INDEX", b"TRIGGER", b"ROLE",
    b"IDENTITY", b"PERMISSION", b"", b"", b"", b"",
]
cdef const char *LEVELS[CONSISTENCIES]
LEVELS[:] = [
    b"ANY", b"ONE", b"TWO", b"THREE", b"QUORUM", b"ALL", b"LOCAL_QUORUM", b"EACH_QUORUM", b"SERIAL", b"LOCAL_SERIAL",
    b"LOCAL_ONE",
]


cdef const char *statement_word(uint8_t type) noexcept nogil:
    """Of a STATEMENT_*."""
    return STATEMENTS[type] if type < STATEMENT_TYPES else STATEMENTS[0]


cdef const char *object_word(uint8_t object) noexcept nogil:
    """Of an OBJECT_*; empty: of none."""
    return OBJECTS[object] if object < OBJECT_TYPES else OBJECTS[0]


cdef const char *consistency_word(int consistency) noexcept nogil:
    """Of the protocol's number; empty: there is no such."""
    return LEVELS[consistency] if 0 <= consistency < CONSISTENCIES else OBJECTS[0]


def statement_names():
    """Every STATEMENT_*, by its number."""
    return [statement_word(type).decode() for type in range(STATEMENT_TYPES)]


def object_names():
    return [object_word(object).decode() for object in range(OBJECT_TYPES)]


def consistency_names():
    return [consistency_word(consistency).decode() for consistency in range(CONSISTENCIES)]


def statement_name(int type, int object):
    """As people say it: SELECT, CREATE TABLE; unknown."""
    word = object_word(object).decode()
    return f"{statement_word(type).decode()} {word}" if word and 8 <= type <= 10 else statement_word(type).decode()
