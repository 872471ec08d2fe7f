"""See types.pxd. What is not understood is no error where it is a class by itself: its values are bytes."""

from libc.string cimport memcmp, memset

from shotover._codec.cql.lexer cimport (
    TOKEN_DOLLARS,
    TOKEN_END,
    TOKEN_INTEGER,
    TOKEN_NAME,
    TOKEN_QUOTED,
    TOKEN_STRING,
    cql_lex,
    cql_lexer_set,
    cql_lexer_t,
    cql_name_is,
    cql_span_t,
    cql_token_t,
)
from shotover._codec.cql.results cimport (
    TYPE_BIGINT,
    TYPE_BOOLEAN,
    TYPE_CUSTOM,
    TYPE_DEPTH_MAX,
    TYPE_DOUBLE,
    TYPE_FLOAT,
    TYPE_INT,
    TYPE_LIST,
    TYPE_MAP,
    TYPE_SET,
    TYPE_TIMESTAMP,
    TYPE_TIMEUUID,
    TYPE_TUPLE,
    TYPE_UDT,
    TYPE_UUID,
)
from shotover._codec.cql.wire cimport wire_count, wire_short, wire_string

cdef extern from *:
    """
    typedef struct { const char *text, *klass; unsigned short id; } cql_named_t;
    static const cql_named_t CQL_NAMED[] = {
        {"ascii", "AsciiType", 0x01}, {"bigint", "LongType", 0x02}, {"blob", "BytesType", 0x03}, {"boolean", "BooleanType", 0x04},
        {"counter", "CounterColumnType", 0x05}, {"decimal", "DecimalType", 0x06}, {"double", "DoubleType", 0x07},
        {"float", "FloatType", 0x08}, {"int", "Int32Type", 0x09}, {"timestamp", "TimestampType", 0x0B},
        {"uuid", "UUIDType", 0x0C},
        {"text", "UTF8Type", 0x0D}, {"varchar", "UTF8Type", 0x0D}, {"varint", "IntegerType", 0x0E},
        {"timeuuid", "TimeUUIDType", 0x0F}, {"inet", "InetAddressType", 0x10}, {"date", "SimpleDateType", 0x11},
        {"time", "TimeType", 0x12}, {"smallint", "ShortType", 0x13}, {"tinyint", "ByteType", 0x14},
        {"duration", "DurationType", 0x15}, {"list", "ListType", 0x20}, {"map", "MapType", 0x21}, {"set", "SetType", 0x22},
        {"tuple", "TupleType", 0x31}, {"vector", "VectorType", 0x100}};
    enum { CQL_NAMED_COUNT = sizeof(CQL_NAMED) / sizeof(CQL_NAMED[0]) };
    """
    ctypedef struct cql_named_t:
        const char *text
        const char *klass
        unsigned short id
    const cql_named_t CQL_NAMED[1]
    int CQL_NAMED_COUNT
    size_t strlen(const char *) nogil


cdef cql_type_t *_node(cql_types_t *types, uint16_t id) noexcept nogil:
    """A new last node, or NULL where there is no room."""
    cdef cql_type_t *node
    if types.count >= types.room or types.count >= TYPE_NODES_MAX:
        return NULL
    node = &types.nodes[types.count]
    types.count += 1
    memset(node, 0, sizeof(cql_type_t))
    node.id = id
    node.span = 1
    return node


cdef inline bint _close(cql_types_t *types, cql_type_t *node, uint32_t count) noexcept nogil:
    """All within the node has been read."""
    node.span = <uint16_t>(&types.nodes[types.count] - node)
    if node.id != TYPE_VECTOR:
        node.count = count
    return True


cdef int cql_type_fixed_size(const cql_type_t *type) noexcept nogil:
    """Bytes of each value; 0: they differ. As vectors need to know it: text, say, differs, and so do smallint and date there."""
    cdef uint16_t id = type.id
    cdef int      inner
    if id == TYPE_BOOLEAN:
        return 1
    if id == TYPE_INT or id == TYPE_FLOAT:
        return 4
    if id == TYPE_BIGINT or id == TYPE_DOUBLE or id == TYPE_TIMESTAMP:
        return 8
    if id == TYPE_UUID or id == TYPE_TIMEUUID:
        return 16
    if id == TYPE_VECTOR and type.span > 1 and type.count <= 0xffff:
        inner = cql_type_fixed_size(type + 1)
        return inner * <int>type.count if inner <= 0x7fff else 0
    return 0


# ---- [option] ------------------------------------------------------------------------------------------------------


cdef bint _read(cql_types_t *types, wire_reader_t *reader, int depth) noexcept nogil:
    cdef:
        uint16_t    id = wire_short(reader)
        uint32_t    count = 0, _, child
        slice_t     name
        cql_type_t *node
    if reader.bad or depth > TYPE_DEPTH_MAX:
        return False
    if id == TYPE_CUSTOM:
        name = wire_string(reader)
        return not reader.bad and _class_within(types, name.data, name.size, depth)
    node = _node(types, id)
    if node is NULL:
        return False
    if id == TYPE_UDT:
        wire_string(reader)
        node.name = wire_string(reader)
    if id == TYPE_LIST or id == TYPE_SET:
        count = 1
    elif id == TYPE_MAP:
        count = 2
    elif id == TYPE_TUPLE or id == TYPE_UDT:
        count = wire_count(reader, wire_short(reader), 2)
    for _ in range(count):
        if id == TYPE_UDT:
            name = wire_string(reader)
        child = types.count
        if reader.bad or not _read(types, reader, depth + 1):
            return False
        if id == TYPE_UDT:
            types.nodes[child].field = name
    return not reader.bad and _close(types, node, count)


cdef bint cql_type_read(cql_types_t *types, wire_reader_t *reader) noexcept nogil:
    """Appends the type of an [option]. False: bad, nested too deeply, or there is no room."""
    return _read(types, reader, 0)


# ---- CQL -----------------------------------------------------------------------------------------------------------


cdef bint _text(cql_types_t *types, cql_lexer_t *lexer, cql_token_t *now, int depth) noexcept nogil:
    """`now` is at hand, and then what follows the type."""
    cdef:
        cql_token_t token = now[0]
        cql_span_t  span
        cql_type_t *node
        uint32_t    count = 0
        uint16_t    id = TYPE_UDT
        int         index
    if depth > TYPE_DEPTH_MAX:
        return False
    span.at = token.at
    span.size = token.size
    cql_lex(lexer, now)
    if token.kind == TOKEN_STRING or token.kind == TOKEN_DOLLARS:
        index = 1 if token.kind == TOKEN_STRING else 2
        return _class_within(types, lexer.text + token.at + index, token.size - 2 * <uint32_t>index, depth)
    if token.kind != TOKEN_NAME and token.kind != TOKEN_QUOTED:
        return False
    if token.kind == TOKEN_NAME and now.kind != b'.':
        if now.kind == b'<' and cql_name_is(lexer.text, span, b"frozen", 6):
            cql_lex(lexer, now)
            if not _text(types, lexer, now, depth + 1) or now.kind != b'>':
                return False
            cql_lex(lexer, now)
            return True
        for index in range(CQL_NAMED_COUNT):
            if cql_name_is(lexer.text, span, <const uint8_t *>CQL_NAMED[index].text, strlen(CQL_NAMED[index].text)):
                id = CQL_NAMED[index].id
                break
    node = _node(types, id)
    if node is NULL:
        return False
    if id == TYPE_UDT:
        if now.kind == b'.':
            cql_lex(lexer, &token)
            if token.kind != TOKEN_NAME and token.kind != TOKEN_QUOTED:
                return False
            cql_lex(lexer, now)
        node.name.data = <uint8_t *>lexer.text + token.at
        node.name.size = token.size
        return True
    if id < TYPE_LIST:
        return True
    if now.kind != b'<':
        return False
    while now.kind == b'<' or now.kind == b',':
        cql_lex(lexer, now)
        if id == TYPE_VECTOR and count == 1:
            if now.kind != TOKEN_INTEGER or not _dimension(node, lexer.text + now.at, now.size):
                return False
            cql_lex(lexer, now)
        elif not _text(types, lexer, now, depth + 1):
            return False
        count += 1
    if now.kind != b'>' or (id != TYPE_TUPLE and count != (2 if id == TYPE_MAP or id == TYPE_VECTOR else 1)):
        return False
    cql_lex(lexer, now)
    return _close(types, node, count)


cdef bint _dimension(cql_type_t *node, const uint8_t *digits, size_t size) noexcept nogil:
    cdef size_t at
    for at in range(size):
        if not b'0' <= digits[at] <= b'9' or at > 8:
            return False
        node.count = node.count * 10 + (digits[at] - 48)
    return size > 0


cdef bint cql_type_of_text(cql_types_t *types, const uint8_t *text, size_t size) noexcept nogil:
    """Appends the type that CQL calls so. A user type has no fields then: only the schema tells them."""
    cdef:
        cql_lexer_t lexer
        cql_token_t now
    cql_lexer_set(&lexer, text, size)
    cql_lex(&lexer, &now)
    return _text(types, &lexer, &now, 0) and now.kind == TOKEN_END


# ---- classes -------------------------------------------------------------------------------------------------------


cdef struct class_t:
    const uint8_t *at
    const uint8_t *end


cdef inline void _blanks(class_t *c) noexcept nogil:
    while c.at < c.end and c.at[0] == b' ':
        c.at += 1


cdef slice_t _class_word(class_t *c) noexcept nogil:
    """Letters, digits, _ . and $"""
    cdef slice_t word
    _blanks(c)
    word.data = <uint8_t *>c.at
    while c.at < c.end and (b'a' <= c.at[0] | 0x20 <= b'z' or b'0' <= c.at[0] <= b'9' or c.at[0] in (b'_', b'.', b'$')):
        c.at += 1
    word.size = <size_t>(c.at - word.data)
    _blanks(c)
    return word


cdef inline bint _class_take(class_t *c, uint8_t byte) noexcept nogil:
    if c.at == c.end or c.at[0] != byte:
        return False
    c.at += 1
    return True


cdef bint _ends(slice_t word, const char *last) noexcept nogil:
    """Whether a class is of that name, in whatever package."""
    cdef size_t size = strlen(last)
    return word.size >= size and memcmp(word.data + word.size - size, last, size) == 0 \
        and (word.size == size or word.data[word.size - size - 1] == b'.')


cdef bint _class(cql_types_t *types, class_t *c, int depth) noexcept nogil:
    cdef:
        slice_t     word = _class_word(c)
        slice_t     field
        cql_type_t *node
        uint32_t    count = 0, child
        uint16_t    id = TYPE_CUSTOM
        int         index
    if depth > TYPE_DEPTH_MAX or word.size == 0:
        return False
    if _ends(word, b"FrozenType") or _ends(word, b"ReversedType"):
        return _class_take(c, b'(') and _class(types, c, depth + 1) and _class_take(c, b')')
    if _ends(word, b"UserType"):
        id = TYPE_UDT
    for index in range(CQL_NAMED_COUNT):
        if id == TYPE_CUSTOM and _ends(word, CQL_NAMED[index].klass):
            id = CQL_NAMED[index].id
    node = _node(types, id)
    if node is NULL:
        return False
    if id == TYPE_CUSTOM:
        node.name = word
    if not _class_take(c, b'('):
        return id < TYPE_LIST
    if id == TYPE_CUSTOM:                       # what is within is its own business
        return _class_skip(c)
    if id == TYPE_UDT:
        _class_word(c)
        if not _class_take(c, b','):
            return False
        node.name = _class_word(c)              # in hexadecimal, as are its fields
        if not _class_take(c, b','):
            return _class_take(c, b')')
    while True:
        if id == TYPE_VECTOR and count == 1:
            field = _class_word(c)
            if not _dimension(node, field.data, field.size):
                return False
        else:
            child = types.count
            if id == TYPE_UDT:
                field = _class_word(c)
                if not _class_take(c, b':'):
                    return False
            if not _class(types, c, depth + 1):
                return False
            if id == TYPE_UDT:
                types.nodes[child].field = field
        count += 1
        _blanks(c)
        if not _class_take(c, b','):
            break
    if not _class_take(c, b')') or (id == TYPE_VECTOR and count != 2) or (id == TYPE_MAP and count != 2) \
            or ((id == TYPE_LIST or id == TYPE_SET) and count != 1):
        return False
    return _close(types, node, count)


cdef bint _class_skip(class_t *c) noexcept nogil:
    """Behind the ) that ends what has begun."""
    cdef uint32_t open = 1
    while c.at < c.end and open:
        if c.at[0] == b'(':
            open += 1
        elif c.at[0] == b')':
            open -= 1
        c.at += 1
    return open == 0


cdef bint _class_within(cql_types_t *types, const uint8_t *text, size_t size, int depth) noexcept nogil:
    """A class; one that cannot be read is a custom one with all of the text as its name."""
    cdef:
        class_t     c
        uint32_t    before = types.count
        cql_type_t *node
    c.at = text
    c.end = text + size
    if _class(types, &c, depth) and c.at == c.end:
        return True
    types.count = before
    node = _node(types, TYPE_CUSTOM)
    if node is NULL:
        return False
    node.name.data = <uint8_t *>text
    node.name.size = size
    return True


cdef bint cql_type_of_class(cql_types_t *types, const uint8_t *text, size_t size) noexcept nogil:
    """Appends the type that the servers call so. False: there is no room."""
    return _class_within(types, text, size, 0)
