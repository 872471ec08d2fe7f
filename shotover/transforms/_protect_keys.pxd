"""DataKeys: the data keys that a worker has, and values sealed and opened by them.

A sealed value tells all that is needed to open it but the key-encryption key:

    D5 50                   a mark
    01                      the form that follows
    algorithm               AEAD_* of _net/aead.pxd
    size, key id            one byte of size; which key-encryption key the data key is wrapped by
    size, wrapped key       two bytes of size, the higher one first; the data key, as its key manager has wrapped it
    nonce                   12 bytes
    sealed text             as long as the value, and 16 bytes more

Vouched for beside the text are the column (keyspace, table, name) and everything before the nonce: a value that somebody has
moved into another column does not open.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shotover._core.slice cimport slice_t
from shotover.transforms._protect_rust cimport rust_value_t


cdef enum:
    DATA_KEYS_MAX = 256         # that a worker remembers
    NONCES = 64                 # drawn at a time: to ask for few costs as much as to ask for many
    SEALED_HEAD = 5             # up to the key id
    NO_KEY = -1

cdef enum:                      # what open_value says
    OPENED = 0
    NOT_SEALED = 1              # it does not look like it
    UNKNOWN_KEY = 2             # `keys.wanted_*` name it
    NOT_OURS = 3                # it looks like it, and does not open
    OPENED_NULL = 4             # of the form of Shotover in Rust: a null was sealed

cdef struct data_key_t:
    uint64_t hash
    slice_t  id
    slice_t  wrapped
    void    *aead               # PyObject* of the Aead
    void    *rust               # the same for values of Shotover in Rust; NULL: they are not opened
    uint64_t used               # values sealed by it

cdef class DataKeys:
    cdef:
        data_key_t keys[DATA_KEYS_MAX]
        list       held         # the Python objects behind them, by place
        uint32_t   count
        bint       opens_rust
        uint32_t   hand         # the next place to be given away
        int        current      # the one that values are sealed by; NO_KEY
        uint8_t    nonces[NONCES][12]
        uint32_t   nonces_left
        slice_t    wanted_id    # after UNKNOWN_KEY; borrowed from the value
        slice_t    wanted_wrapped

    cdef int _find(self, slice_t id, slice_t wrapped) noexcept nogil
    cdef size_t sealed_size(self, size_t size) noexcept nogil
    cdef bint seal_value(self, slice_t column, slice_t plain, uint8_t *out) noexcept nogil
    cdef int open_value(self, slice_t column, slice_t sealed, uint8_t *out, size_t *size) noexcept nogil
    cdef int open_rust(self, const rust_value_t *value, uint8_t *out, size_t *size) noexcept nogil


cdef bint looks_sealed(slice_t value) noexcept nogil
