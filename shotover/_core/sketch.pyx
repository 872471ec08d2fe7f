"""See sketch.pxd. Pure: no clock, no allocation; `Sketch` and `Sampler` are for Python code and for tests."""

from libc.math cimport log, log1p
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from shotover._core.debug cimport likely

cdef enum:
    HASHED_MAX = 1024           # bytes of a key that its hash is made of, beside its size
    SKIP_MAX = 1 << 30

cdef uint64_t HASH_BASIS = <uint64_t>0xcbf29ce484222325
cdef uint64_t HASH_PRIME = <uint64_t>0x100000001b3
cdef uint64_t HASH_MIX = <uint64_t>0x9e3779b97f4a7c15


cdef uint64_t sketch_hash(const uint8_t *key, size_t size) noexcept nogil:
    """FNV-1a, mixed. Who finds keys that collide in it makes them one entry, and nothing slower."""
    cdef:
        uint64_t hash = HASH_BASIS ^ size
        size_t   index
    for index in range(min(size, <size_t>HASHED_MAX)):
        hash = (hash ^ key[index]) * HASH_PRIME
    hash = (hash ^ hash >> 32) * HASH_MIX
    return hash ^ hash >> 29


cdef inline bint _is(const sketch_t *sketch, uint32_t at, const uint8_t *key, size_t size, uint64_t hash) noexcept nogil:
    return (at < sketch.count and sketch.hashes[at] == hash and sketch.keys[at].size == <uint32_t>size
            and memcmp(sketch.keys[at].bytes, key, min(size, <size_t>SKETCH_KEY_MAX)) == 0)


cdef void sketch_add(sketch_t *sketch, const uint8_t *key, size_t size, uint64_t hash, uint64_t weight) noexcept nogil:
    """`hash`: of the key, by sketch_hash."""
    cdef:
        uint16_t *hint = &sketch.hints[hash & (SKETCH_HINTS - 1)]
        uint32_t  at = hint[0]
        uint32_t  lightest = 0
        uint32_t  index
        uint64_t  least = 0
    sketch.total += weight
    if likely(_is(sketch, at, key, size, hash)):
        sketch.weights[at] += weight
        return
    at = SKETCH_ENTRIES
    for index in range(sketch.count):
        if sketch.hashes[index] == hash and _is(sketch, index, key, size, hash):
            at = index
            break
        if sketch.weights[index] < sketch.weights[lightest]:
            lightest = index
    if at == SKETCH_ENTRIES:
        if sketch.count < SKETCH_ENTRIES:
            at = sketch.count
            sketch.count += 1
        else:
            at = lightest
            least = sketch.weights[at]
        sketch.weights[at] = least
        sketch.hashes[at] = hash
        sketch.keys[at].error = least
        sketch.keys[at].size = <uint32_t>size
        memcpy(sketch.keys[at].bytes, key, min(size, <size_t>SKETCH_KEY_MAX))
    sketch.weights[at] += weight
    hint[0] = <uint16_t>at


cdef void sketch_halve(sketch_t *sketch) noexcept nogil:
    """What was counts half from now on: called at equal times, it makes what is recent matter."""
    cdef uint32_t index
    sketch.total >>= 1
    for index in range(sketch.count):
        sketch.weights[index] >>= 1
        sketch.keys[index].error >>= 1


cdef list sketch_entries(const sketch_t *sketch):
    """[(bytes shown, size of the whole key, weight, error)], the heaviest first."""
    cdef uint32_t index
    found = []
    for index in range(min(sketch.count, <uint32_t>SKETCH_ENTRIES)):
        shown = <bytes>sketch.keys[index].bytes[:min(sketch.keys[index].size, <uint32_t>SKETCH_KEY_MAX)]
        found.append((shown, sketch.keys[index].size, sketch.weights[index], sketch.keys[index].error))
    found.sort(key=lambda entry: (-entry[2], entry[0]))
    return found


cdef uint32_t sample_skip(uint64_t *state, double log_of_rest) noexcept nogil:
    """How many to let pass until the next one is looked at, so that each has the same chance, whatever their rhythm.

    `state`: not 0, the generator's own; `log_of_rest`: log(1 - chance), 0 for a chance of 1.
    """
    cdef:
        uint64_t bits = state[0]
        double   skip
    bits ^= bits << 13
    bits ^= bits >> 7
    bits ^= bits << 17
    state[0] = bits
    if log_of_rest == 0:
        return 0
    skip = log(<double>((bits >> 11) + 1) / <double>(<uint64_t>1 << 53)) / log_of_rest
    return <uint32_t>skip if skip < SKIP_MAX else SKIP_MAX


cdef class Sketch:
    """A sketch of keys that Python code has."""

    def __cinit__(self):
        self.sketch = <sketch_t *>calloc(1, sizeof(sketch_t))
        if self.sketch is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.sketch)

    def add(self, bytes key, uint64_t weight=1):
        cdef const uint8_t *data = <const uint8_t *><const char *>key
        sketch_add(self.sketch, data, len(key), sketch_hash(data, len(key)), weight)

    def halve(self):
        sketch_halve(self.sketch)

    def entries(self):
        return sketch_entries(self.sketch)

    @property
    def total(self):
        return self.sketch.total


cdef class Sampler:
    """Says how many to skip before the next one that is looked at; `chance`: 0 < chance <= 1."""

    def __init__(self, double chance, uint64_t seed=1):
        self.state = seed * HASH_MIX | 1
        self.log_of_rest = log1p(-chance) if chance < 1 else 0

    def skip(self):
        return sample_skip(&self.state, self.log_of_rest)
