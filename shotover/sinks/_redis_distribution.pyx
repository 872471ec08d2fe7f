"""See _redis_distribution.pxd."""

cimport cython
from libc.math cimport floorf
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, qsort

from shotover._codec.hashes cimport hash_named, mix64, xxh64
from shotover._codec.md5 cimport md5
from shotover._codec.slots cimport key_tag
from shotover._core.debug cimport invariant, unlikely

cdef enum:
    POINTS = 160            # of a ketama server of average weight
    POINTS_A_DIGEST = 4     # an MD5 gives as many
    POINTS_SPARE = 8        # floats may round a share up
    DIGESTED_MAX = 272      # bytes of name, dash and number that are digested
    NAME_MAX = 255
    LOG_PLACES = 20

KINDS = {"ketama": PLACE_KETAMA, "modula": PLACE_MODULA, "random": PLACE_RANDOM, "rendezvous": PLACE_RENDEZVOUS}


cdef int compare(const void *left, const void *right) noexcept nogil:
    """By value; of equal ones the earlier member is first."""
    cdef:
        const point_t *a = <const point_t *>left
        const point_t *b = <const point_t *>right
    if a.value != b.value:
        return 1 if a.value > b.value else -1
    return (a.member > b.member) - (a.member < b.member)


cdef inline uint32_t first_at(const point_t *points, uint32_t count, uint32_t value) noexcept nogil:
    """Index of the first point whose value is not less; `count` if there is none. No branch depends on a key."""
    cdef:
        uint32_t at = 0, half
    while count > 1:
        half = count // 2
        at += half * <uint32_t>(points[at + half - 1].value < value)
        count -= half
    if count and points[at].value < value:
        at += 1
    return at


cdef inline uint64_t bits_lost(uint64_t h) noexcept nogil:
    """64 - log2(h), rounded up to a multiple of 2**-LOG_PLACES, in such units; 0 counts as 1.

    Digit by digit: the leading 32 bits as a number from 1 to 2 are squared; a result of 2 or more gives a 1 and is halved.
    What does not fit 31 places behind the point is cut off.
    """
    cdef:
        int      top = 63 - leading_zeros(h | 1)
        uint64_t x = (h | 1) << (63 - top) >> 32
        uint64_t places = 0, carry
        int      _
    for _ in range(LOG_PLACES):
        x = x * x >> 31
        carry = x >> 32
        x >>= carry
        places = places << 1 | carry
    return (<uint64_t>(64 - top) << LOG_PLACES) - places


cdef extern from *:
    """
    #define leading_zeros(x) __builtin_clzll(x)
    #define DISTRIBUTION_FORGET(x) __asm__ volatile("" : "+r"(x))   /* what the compiler knew of x; for measuring */
    """
    int leading_zeros(uint64_t x) noexcept nogil
    void DISTRIBUTION_FORGET(const uint8_t *) noexcept nogil


@cython.final
cdef class Distribution:
    """`servers`: (name, weight) each, whose order decides nothing. `pair`: the two characters around a tag."""

    def __cinit__(self, str kind not None, servers, *, str hash="fnv1a_64", str pair="", uint64_t seed=0):
        cdef:
            bytes  ends = pair.encode("latin-1")
            bytes  name
            uint32_t i, server
        self.kind = KINDS[kind]
        self.hash = hash_named(hash)
        self.names = tuple(name for name, _ in servers)
        self.member_count = <uint32_t>len(self.names)
        self.state = seed
        if not 0 < len(self.names) <= SERVERS_MAX:
            raise ValueError(f"expected 1 to {SERVERS_MAX} servers")
        if len(ends) not in (0, 2) or b"\0" in ends:
            raise ValueError("expected two characters around a tag")
        if ends:
            self.opening, self.closing = ends[0], ends[1]
        self.point_max = self.member_count * (POINTS + POINTS_SPARE)
        self.members = <member_t *>calloc(self.member_count, sizeof(member_t))
        self.points = <point_t *>calloc(self.point_max, sizeof(point_t))
        if self.members is NULL or self.points is NULL:
            raise MemoryError
        order = sorted(range(len(self.names)), key=lambda server: (len(self.names[server]), self.names[server]))
        for i, server in enumerate(order):
            name, weight = servers[server]
            if not 0 < weight <= WEIGHT_MAX or not 0 < len(name) <= NAME_MAX:
                raise ValueError(f"a weight from 1 to {WEIGHT_MAX} and a name of at most {NAME_MAX} bytes are expected")
            self.members[i].name.data = <uint8_t *><char *>name
            self.members[i].name.size = <size_t>len(name)
            self.members[i].seed = xxh64(self.members[i].name.data, self.members[i].name.size, 0)
            self.members[i].weight = weight
            self.members[i].server = server
        self.rebuild(NULL)

    def __dealloc__(self):
        free(self.members)
        free(self.points)

    cdef int32_t place(self, const uint8_t *key, size_t size) noexcept nogil:
        """Index of the server that has `key`; -1 when none is live."""
        cdef:
            slice_t  tag
            uint32_t at, value = 0
        if unlikely(self.point_count == 0):
            return -1
        if self.kind == PLACE_RANDOM:
            self.state += <uint64_t>0x9E3779B97F4A7C15
            at = <uint32_t>((mix64(self.state) >> 32) * self.point_count >> 32)
            return <int32_t>self.members[self.points[at].member].server
        if self.opening:
            tag = key_tag(key, size, self.opening, self.closing)
            key = tag.data
            size = tag.size
        if self.kind == PLACE_RENDEZVOUS:
            return self._highest(key, size)
        if size:                # the empty key is not hashed: 0
            value = self.hash(key, size)
        if self.kind == PLACE_KETAMA:
            at = self.arcs[value >> ARC_SHIFT]
            at += first_at(self.points + at, self.arcs[(value >> ARC_SHIFT) + 1] - at, value)
        else:
            at = first_at(self.points, self.point_count, value % self.weight_total)
        return <int32_t>self.members[self.points[at if at < self.point_count else 0].member].server

    cdef int32_t _highest(self, const uint8_t *key, size_t size) noexcept nogil:
        """Rendezvous. `points` are the live servers."""
        cdef:
            uint64_t  h, cost, digest = xxh64(key, size, 0), best = 0, best_cost = 0
            uint32_t  i
            member_t *member
            member_t *chosen = &self.members[self.points[0].member]
        for i in range(self.point_count):
            member = &self.members[self.points[i].member]
            h = mix64(digest ^ member.seed)
            if self.even:
                if h > best:
                    best = h
                    chosen = member
                continue
            cost = bits_lost(h)
            # cost / weight, compared without dividing: 27 bits times 20
            if (i == 0 or cost * chosen.weight < best_cost * member.weight
                    or (cost * chosen.weight == best_cost * member.weight and h > best)):
                best = h
                best_cost = cost
                chosen = member
        return <int32_t>chosen.server

    cdef void rebuild(self, const uint8_t *live) noexcept nogil:
        """Only servers with a byte other than 0 in `live` take part; NULL: all. No memory is taken.

        Some 60 us for ten servers with ketama, so not for every request.
        """
        cdef:
            uint32_t  i, weight = 0
            member_t *member
        self.point_count = 0
        self.live_count = 0
        self.weight_total = 0
        self.even = True
        for i in range(self.member_count):
            member = &self.members[i]
            member.live = live is NULL or live[member.server] != 0
            if not member.live:
                continue
            self.live_count += 1
            self.weight_total += member.weight
            self.even = self.even and (weight == 0 or weight == member.weight)
            weight = member.weight
        if self.kind == PLACE_KETAMA:
            self._build_ketama()
        elif self.kind == PLACE_MODULA:
            self._build_modula()
        else:
            self._build_even()

    cdef slice_t name_of(self, uint32_t server) noexcept nogil:
        cdef uint32_t i = 0
        while self.members[i].server != server:
            i += 1
        return self.members[i].name

    cdef void _build_ketama(self) noexcept nogil:
        """Each step of a share is rounded to a float, as twemproxy's is: many shares end just below a whole number."""
        cdef:
            uint32_t i, j, k, digests
            uint32_t words[4]
            char     text[DIGESTED_MAX + 1]
            int      size
            float    share
        for i in range(self.member_count):
            if not self.members[i].live:
                continue
            share = <float>self.members[i].weight / <float>self.weight_total
            share = share * <float>POINTS
            share = share / <float>POINTS_A_DIGEST
            share = share * <float>self.live_count
            share = <float>(<double>share + 0.0000000001)
            digests = <uint32_t>floorf(share)
            for j in range(digests):
                size = snprintf(text, sizeof(text), "%.*s-%u", <int>self.members[i].name.size,
                                <const char *>self.members[i].name.data, j)
                md5(<const uint8_t *>text, min(<size_t>size, <size_t>DIGESTED_MAX), words)
                for k in range(POINTS_A_DIGEST):
                    self._add(words[k], i)
        qsort(self.points, self.point_count, sizeof(point_t), compare)
        j = 0
        for i in range(ARCS):
            while j < self.point_count and self.points[j].value >> ARC_SHIFT < i:
                j += 1
            self.arcs[i] = j
        self.arcs[ARCS] = self.point_count

    cdef void _build_modula(self) noexcept nogil:
        cdef uint32_t i, end = 0
        for i in range(self.member_count):
            if self.members[i].live:
                end += self.members[i].weight
                self._add(end - 1, i)

    cdef void _build_even(self) noexcept nogil:
        cdef uint32_t i
        for i in range(self.member_count):
            if self.members[i].live:
                self._add(0, i)

    cdef void _add(self, uint32_t value, uint32_t member) noexcept nogil:
        invariant(self.point_count < self.point_max)
        if self.point_count < self.point_max:
            self.points[self.point_count].value = value
            self.points[self.point_count].member = member
            self.point_count += 1

    def place_of(self, bytes key not None):
        """Index of the server that has `key`; None when none is live."""
        cdef int32_t place = self.place(<const uint8_t *><const char *>key, <size_t>len(key))
        return None if place < 0 else place

    def place_often(self, bytes key not None, uint32_t rounds):
        """Places `key` `rounds` times, for benchmarks."""
        cdef:
            const uint8_t *data = <const uint8_t *><const char *>key
            size_t   size = len(key)
            uint32_t _, total = 0
        with nogil:
            for _ in range(rounds):
                DISTRIBUTION_FORGET(data)
                total += <uint32_t>self.place(data, size)
        return total

    def set_live(self, live):
        """Which servers take part: one truth a server."""
        cdef bytes flags = bytes(1 if each else 0 for each in live)
        if len(flags) != self.member_count:
            raise ValueError(f"expected {self.member_count} truths")
        self.rebuild(<const uint8_t *><const char *>flags)

    def points_of(self):
        """How many points each server has."""
        cdef uint32_t i
        counts = [0] * self.member_count
        for i in range(self.point_count):
            counts[self.members[self.points[i].member].server] += 1
        return counts
