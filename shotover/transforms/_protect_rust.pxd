"""Values that Shotover in Rust has sealed (its transform Protect, until 2026). They are opened here, never written.

    cipher size, cipher text    ChaCha20-Poly1305 of the value; the tag is its last 16 bytes; nothing else is vouched for
    nonce                       12 bytes
    size, wrapped key           as AWS KMS has wrapped it
    size, key id

Sizes are 64 bits, the lowest byte first, as all numbers within. The value is written by its kind (a number of 32 bits, RUST_*)
and what its kind has; it was made of a literal alone, whatever the type of its column, so it is read as a literal again.
"""

from libc.stdint cimport uint8_t

from shotover._codec.cql.wire cimport wire_writer_t
from shotover._core.slice cimport slice_t


cdef struct rust_value_t:       # borrowed
    slice_t        cipher
    const uint8_t *nonce
    slice_t        wrapped
    slice_t        id


cdef bint rust_value_read(slice_t cell, rust_value_t *out) noexcept nogil
cdef bint rust_literal_put(slice_t plain, wire_writer_t *writer, uint8_t *literal) noexcept nogil
