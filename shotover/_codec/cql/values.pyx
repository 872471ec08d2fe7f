"""Values of CQL as Python values and back.

    ascii, text                 str             uuid, timeuuid   uuid.UUID
    tinyint ... varint, counter int             inet             ipaddress.IPv4Address, IPv6Address
    float, double               float           timestamp        int, milliseconds since 1970
    decimal                     decimal.Decimal date             int, days since 1970 (below zero before it)
    boolean                     bool            time             int, nanoseconds since midnight
    blob, unknown classes       bytes           duration         Duration
    list, set, vector           list            tuple            tuple
    map                         list of pairs   user type        dict by field

Times are numbers because the types hold more than datetime does; sets and maps are lists because their order is part of their
bytes: what is decoded and encoded again is the same. encode takes sets and dicts, too, in the order they give. A null is None.
"""

import decimal
import ipaddress
import struct
import uuid
from collections import namedtuple

from shotover._codec.cql.results cimport (
    TYPE_ASCII,
    TYPE_BIGINT,
    TYPE_BOOLEAN,
    TYPE_COUNTER,
    TYPE_DATE,
    TYPE_DECIMAL,
    TYPE_DOUBLE,
    TYPE_DURATION,
    TYPE_FLOAT,
    TYPE_INET,
    TYPE_INT,
    TYPE_LIST,
    TYPE_MAP,
    TYPE_SET,
    TYPE_SMALLINT,
    TYPE_TIME,
    TYPE_TIMESTAMP,
    TYPE_TIMEUUID,
    TYPE_TINYINT,
    TYPE_TUPLE,
    TYPE_UDT,
    TYPE_UUID,
    TYPE_VARCHAR,
    TYPE_VARINT,
)
from shotover._codec.cql.types cimport (
    TYPE_VECTOR,
    cql_type_of_class,
    cql_type_of_text,
    cql_type_read,
    cql_types_t,
)
from shotover._codec.cql.wire cimport wire_read, wire_reader_t

cdef enum:
    NODES = 512

Duration = namedtuple("Duration", ("months", "days", "nanoseconds"))
Duration.__module__ = __name__

FORMS = {
    TYPE_BIGINT: ">q", TYPE_COUNTER: ">q", TYPE_INT: ">i", TYPE_SMALLINT: ">h", TYPE_TINYINT: ">b", TYPE_FLOAT: ">f",
    TYPE_DOUBLE: ">d", TYPE_TIMESTAMP: ">q", TYPE_TIME: ">q", TYPE_BOOLEAN: ">?",
}
IN_VECTORS = {TYPE_BIGINT: 8, TYPE_INT: 4, TYPE_FLOAT: 4, TYPE_DOUBLE: 8, TYPE_TIMESTAMP: 8, TYPE_BOOLEAN: 1, TYPE_UUID: 16,
              TYPE_TIMEUUID: 16}
EPOCH = 1 << 31
EXACT = decimal.Context(prec=decimal.MAX_PREC, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)


cdef str _text(bytes raw):
    return raw.decode("utf-8", "surrogateescape")


cdef bytes _number(value):
    """A varint."""
    return value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True)


cdef tuple _take_vint(bytes raw, Py_ssize_t at):
    """(an unsigned vint, behind it): the ones that its first byte begins with say how many bytes follow."""
    cdef int more = 0
    if at >= len(raw):
        raise ValueError("a value is cut")
    first = raw[at]
    while more < 8 and first & 0x80 >> more:
        more += 1
    if at + 1 + more > len(raw):
        raise ValueError("a value is cut")
    return (first & 0xff >> more) << 8 * more | int.from_bytes(raw[at + 1:at + 1 + more], "big"), at + 1 + more


cdef bytes _vint(value):
    cdef int    more = 0
    cdef object ones
    while more < 8 and value >> 7 * (more + 1):
        more += 1
    ones = 0xff00 >> more & 0xff
    return (value | ones << 8 * more).to_bytes(more + 1, "big")


cdef tuple _take_sized(bytes raw, Py_ssize_t at):
    """([bytes], behind it)"""
    cdef Py_ssize_t size
    if at + 4 > len(raw):
        raise ValueError("a value is cut")
    size = int.from_bytes(raw[at:at + 4], "big", signed=True)
    if size < 0:
        return None, at + 4
    if at + 4 + size > len(raw):
        raise ValueError("a value is cut")
    return raw[at + 4:at + 4 + size], at + 4 + size


cdef bytes _sized(bytes raw):
    return b"\xff\xff\xff\xff" if raw is None else struct.pack(">i", len(raw)) + raw


cdef class CqlType:

    def __init__(self):
        raise TypeError("use CqlType.of_text, of_option or of_class")

    @staticmethod
    cdef CqlType _made(const cql_type_t *node):
        cdef:
            CqlType made = CqlType.__new__(CqlType)
            const cql_type_t *part = node + 1
        parts, fields = [], []
        while part < node + node.span:
            parts.append(CqlType._made(part))
            if part.field.data is not NULL:
                fields.append(_text(part.field.data[:part.field.size]))
            part += part.span
        made.id = node.id
        made.count = <int>node.count
        made.parts = tuple(parts)
        made.fields = tuple(fields)
        made.name = None if node.name.data is NULL else _text(node.name.data[:node.name.size])
        return made

    @staticmethod
    def of_text(str text not None):
        """The type that CQL calls so, such as map<text, frozen<list<int>>>. ValueError: it is none."""
        return _type_of(text.encode(), 0)

    @staticmethod
    def of_option(bytes option not None):
        """The type of an [option] of the protocol."""
        return _type_of(option, 1)

    @staticmethod
    def of_class(str text not None):
        """The type of a class such as org.apache.cassandra.db.marshal.Int32Type."""
        return _type_of(text.encode(), 2)

    def decode(self, bytes raw):
        """The value of these bytes; ValueError: they are none of this type."""
        return None if raw is None else self._decode(raw)

    def encode(self, value):
        """The bytes of a value; TypeError or ValueError: it is none of this type."""
        if value is None:
            return None
        try:
            return self._encode(value)
        except (struct.error, OverflowError, AttributeError) as error:
            raise ValueError(f"{value!r} is no value of this type: {error}") from None

    cdef object _decode(self, bytes raw):
        cdef int id = self.id
        if id == TYPE_VARCHAR or id == TYPE_ASCII:
            return _text(raw)
        if id in FORMS:
            form = FORMS[id]
            if len(raw) != struct.calcsize(form):
                raise ValueError(f"a value of {len(raw)} bytes where {struct.calcsize(form)} belong")
            return struct.unpack(form, raw)[0]
        if id == TYPE_VARINT:
            return int.from_bytes(raw, "big", signed=True)
        if id == TYPE_DECIMAL:
            if len(raw) < 4:
                raise ValueError("a value is cut")
            scale = int.from_bytes(raw[:4], "big", signed=True)
            return decimal.Decimal(int.from_bytes(raw[4:], "big", signed=True)).scaleb(-scale, EXACT)
        if id == TYPE_UUID or id == TYPE_TIMEUUID:
            return uuid.UUID(bytes=raw)
        if id == TYPE_INET:
            return ipaddress.ip_address(raw)
        if id == TYPE_DATE:
            if len(raw) != 4:
                raise ValueError("a date of other than 4 bytes")
            return int.from_bytes(raw, "big") - EPOCH
        if id == TYPE_DURATION:
            return _duration(raw)
        if id == TYPE_LIST or id == TYPE_SET or id == TYPE_MAP:
            return self._decode_collection(raw)
        if id == TYPE_VECTOR:
            return self._decode_vector(raw)
        if id == TYPE_TUPLE or (id == TYPE_UDT and self.parts):
            return self._decode_parts(raw)
        return raw

    def _decode_collection(self, bytes raw):
        cdef Py_ssize_t at = 4
        if len(raw) < 4:
            raise ValueError("a value is cut")
        count = int.from_bytes(raw[:4], "big", signed=True)
        found = []
        if count < 0 or count * 4 > len(raw):
            raise ValueError("a value is cut")
        for _ in range(count):
            pair = []
            for part in self.parts:
                item, at = _take_sized(raw, at)
                pair.append(part.decode(item))
            found.append(tuple(pair) if self.id == TYPE_MAP else pair[0])
        if at != len(raw):
            raise ValueError("bytes behind a collection")
        return found

    def _decode_vector(self, bytes raw):
        cdef Py_ssize_t at = 0, size
        part = self.parts[0]
        fixed = _fixed(part)
        found = []
        for _ in range(self.count):
            size = fixed
            if not fixed:
                size, at = _take_vint(raw, at)
            if at + size > len(raw):
                raise ValueError("a value is cut")
            found.append(part.decode(raw[at:at + size]))
            at += size
        if at != len(raw):
            raise ValueError("bytes behind a vector")
        return found

    def _decode_parts(self, bytes raw):
        """Of tuples and user types: those at the end that are not there are null."""
        cdef Py_ssize_t at = 0
        found = []
        for part in self.parts:
            if at == len(raw):
                break
            item, at = _take_sized(raw, at)
            found.append(part.decode(item))
        if at != len(raw):
            raise ValueError("bytes behind a tuple")
        if self.id == TYPE_TUPLE:
            return tuple(found)
        return dict(zip(self.fields, found))

    cdef bytes _encode(self, object value):
        cdef int id = self.id
        if id == TYPE_VARCHAR or id == TYPE_ASCII:
            return value.encode("utf-8", "surrogateescape")
        if id in FORMS:
            return struct.pack(FORMS[id], value)
        if id == TYPE_VARINT:
            return _number(value)
        if id == TYPE_DECIMAL:
            sign, digits, exponent = decimal.Decimal(value).as_tuple()
            if not isinstance(exponent, int):
                raise ValueError(f"{value!r} is no decimal")
            number = int("".join(map(str, digits)) or "0")
            return struct.pack(">i", -exponent) + _number(-number if sign else number)
        if id == TYPE_UUID or id == TYPE_TIMEUUID:
            return value.bytes
        if id == TYPE_INET:
            return ipaddress.ip_address(value).packed
        if id == TYPE_DATE:
            return struct.pack(">I", value + EPOCH)
        if id == TYPE_DURATION:
            return b"".join(_vint((part << 1) if part >= 0 else ((-part << 1) - 1)) for part in value)
        if id == TYPE_LIST or id == TYPE_SET:
            part = self.parts[0]
            return struct.pack(">i", len(value)) + b"".join([_sized(part.encode(item)) for item in value])
        if id == TYPE_MAP:
            pairs = value.items() if isinstance(value, dict) else value
            key, item = self.parts
            return struct.pack(">i", len(value)) + b"".join([_sized(key.encode(k)) + _sized(item.encode(v)) for k, v in pairs])
        if id == TYPE_VECTOR:
            return self._encode_vector(value)
        if id == TYPE_TUPLE or (id == TYPE_UDT and self.parts):
            items = value if id == TYPE_TUPLE else [value[field] for field in self.fields if field in value]
            if len(items) > len(self.parts):
                raise ValueError(f"{len(items)} values for {len(self.parts)} types")
            return b"".join([_sized(part.encode(item)) for part, item in zip(self.parts, items)])
        return bytes(value)

    def _encode_vector(self, value):
        part = self.parts[0]
        if len(value) != self.count:
            raise ValueError(f"{len(value)} elements of a vector of {self.count}")
        items = [part.encode(item) for item in value]
        if None in items:
            raise ValueError("a vector has no nulls")
        if _fixed(part):
            return b"".join(items)
        return b"".join([_vint(len(item)) + item for item in items])


cdef int _fixed(CqlType part):
    """Bytes that each takes in a vector; 0: they differ."""
    if part.id == TYPE_VECTOR:
        return _fixed(part.parts[0]) * part.count
    return IN_VECTORS.get(part.id, 0)


cdef object _duration(bytes raw):
    cdef Py_ssize_t at = 0
    found = []
    for _ in range(3):
        number, at = _take_vint(raw, at)
        found.append(number >> 1 if number & 1 == 0 else -(number >> 1) - 1)
    if at != len(raw):
        raise ValueError("bytes behind a duration")
    return Duration(*found)


cdef CqlType _type_of(bytes text, int how):
    cdef:
        cql_type_t    nodes[NODES]
        cql_types_t   types
        wire_reader_t reader
        const unsigned char *at = text
        bint          fine
    types.nodes = nodes
    types.room = NODES
    types.count = 0
    if how == 0:
        fine = cql_type_of_text(&types, at, len(text))
    elif how == 1:
        wire_read(&reader, at, len(text))
        fine = cql_type_read(&types, &reader) and reader.at == reader.end
    else:
        fine = cql_type_of_class(&types, at, len(text))
    if not fine:
        raise ValueError(f"{text!r} is no type of CQL")
    return CqlType._made(nodes)
