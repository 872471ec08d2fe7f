"""Values of CQL as Python values and back; for transforms written in Python. Everything here needs the GIL."""

from shotover._codec.cql.types cimport cql_type_t


cdef class CqlType:
    cdef:
        readonly int    id          # TYPE_*
        readonly int    count       # of a vector: its elements
        readonly tuple  parts       # types within
        readonly tuple  fields      # of a user type: their names
        readonly str    name        # of a user type, or of a class that nobody knows

    @staticmethod
    cdef CqlType _made(const cql_type_t *node)
    cdef object _decode(self, bytes raw)
    cdef bytes _encode(self, object value)
