"""See _request_throttling_meter.pxd."""

from libc.stdlib cimport calloc, free

from shotover._codec.hashes cimport xxh64
from shotover._core.debug cimport likely, unlikely

cdef enum:
    SET_SIZE = METER_WAYS * 16


cdef class Meters:

    def __cinit__(self, double rate, uint64_t burst, uint64_t keys=0):
        """`rate`: units a second; `burst`: units at once; `keys`: at least so many tags have meters of their own."""
        cdef:
            uint64_t second = <uint64_t>1000000000 << TICKS_SHIFT
            uint64_t sets = 1
        self.single = keys == 0
        while sets * METER_WAYS < keys:
            sets *= 2
        self.mask = sets - 1
        self.interval = max(<uint64_t>(<double>second / rate), <uint64_t>1)
        self.burst = self.interval * burst
        self.burst_units = burst
        self.memory = calloc(1 if self.single else sets * METER_WAYS + METER_WAYS, sizeof(meter_t))
        if self.memory is NULL:
            raise MemoryError
        self.places = <meter_t *>self.memory
        if not self.single:         # a set is two cache lines, not parts of three
            self.places = <meter_t *>((<size_t>self.memory + SET_SIZE - 1) & ~<size_t>(SET_SIZE - 1))

    def __dealloc__(self):
        free(self.memory)

    cdef meter_t *find(self, uint64_t tag, uint64_t now, bint *evicts) noexcept nogil:
        """The meter of a tag other than 0. `evicts` is set where that costs another tag its own before it was at rest."""
        cdef:
            meter_t *places = self.places + (tag & self.mask) * METER_WAYS
            meter_t *spare
            uint64_t found, until, least, owner
            int      index, _
        if self.single:
            return self.places
        for _ in range(METER_WAYS):
            spare = places
            owner = 0
            least = <uint64_t>-1
            for index in range(METER_WAYS):
                found = meter_get(&places[index].tag)
                if likely(found == tag):
                    return &places[index]
                until = meter_get(&places[index].until) if found else 0
                if until < least:
                    least = until
                    owner = found
                    spare = &places[index]
            if meter_swap(&spare.tag, &owner, tag):
                if unlikely(least > now):
                    evicts[0] = True
                    meter_put(&spare.until, 0)
                return spare
        return spare                # taken from under us time and again: another's will do for once

    cdef uint32_t wait_ms(self, const meter_t *meter, uint64_t now, uint64_t units) noexcept nogil:
        """Milliseconds until a request of so many units would pass, if none came before it; METER_HEAVY: never."""
        cdef:
            uint64_t until = meter_get(&meter.until)
            uint64_t start = until if <int64_t>(until - now) > 0 else now
            uint64_t end = start + units * self.interval
        if units > self.burst_units:
            return METER_HEAVY
        if end <= now + self.burst:
            return 1                # others have given back in the meantime
        return <uint32_t>(((end - now - self.burst) >> TICKS_SHIFT) // 1000000 + 1)

    # ---- for tests ----------------------------------------------------------------------------------------------

    def ask(self, bytes who not None, uint64_t now_ns, uint32_t wanted=1, uint64_t units=1):
        """(how many of `wanted` requests of `units` pass, milliseconds until the next would, whether another was evicted)."""
        cdef:
            uint64_t now = now_ns << TICKS_SHIFT
            uint64_t hash = xxh64(<const unsigned char *><const char *>who, len(who), 0)
            bint     evicts = False
            meter_t *meter = self.find(meter_tag(hash), now, &evicts)
            uint32_t granted = 0
        if units <= self.burst_units:
            granted = meter_take(&meter.until, now, units * self.interval, self.burst, wanted)
        return granted, self.wait_ms(meter, now, units), bool(evicts)
