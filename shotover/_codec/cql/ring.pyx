"""See ring.pxd."""

from libc.stdlib cimport calloc, free, malloc

from shotover._codec.cql.partition cimport (
    PARTITIONER_BYTE_ORDERED,
    PARTITIONER_MURMUR3,
    PARTITIONER_RANDOM,
    partitioner_of,
    token_compare_bytes,
    token_murmur3,
    token_random,
)

cdef enum:
    CENTERS_MAX = 32            # data centers that one keyspace names


cdef class Ring:
    """`partitioner`: its class name. `servers`: (number, data center, rack, tokens as the server spells them) of each.

    ValueError: a token that is none.
    """

    def __cinit__(self, *_, **__):
        self.kept = []
        self.racks = {}

    def __init__(self, str partitioner, servers):
        cdef:
            bytes  name = partitioner.encode()
            bytes  key
            size_t index
        self.partitioner = partitioner_of(<const uint8_t *><const char *>name, len(name))
        tokens = []
        for number, center, rack, texts in servers:
            self.racks[number] = (center, rack)
            tokens += [(self._token(text), number) for text in texts]
        tokens.sort()
        if not self.partitioner or not tokens:
            return
        self.owners = <uint16_t *>malloc(len(tokens) * sizeof(uint16_t))
        if self.partitioner == PARTITIONER_MURMUR3:
            self.murmur3 = <int64_t *>malloc(len(tokens) * sizeof(int64_t))
        elif self.partitioner == PARTITIONER_RANDOM:
            self.random = <wide_t *>malloc(len(tokens) * sizeof(wide_t))
        else:
            self.ordered = <slice_t *>malloc(len(tokens) * sizeof(slice_t))
        if self.owners is NULL or (self.murmur3 is NULL and self.random is NULL and self.ordered is NULL):
            raise MemoryError()
        for index, (token, number) in enumerate(tokens):
            self.owners[index] = number
            if self.murmur3 is not NULL:
                self.murmur3[index] = token
            elif self.random is not NULL:
                self.random[index].high = token >> 64
                self.random[index].low = token & 0xffffffffffffffff
            else:
                key = token
                self.kept.append(key)
                self.ordered[index].data = <uint8_t *><char *>key
                self.ordered[index].size = len(key)
        self.count = <uint32_t>len(tokens)

    def __dealloc__(self):
        free(self.murmur3)
        free(self.random)
        free(self.ordered)
        free(self.owners)

    def _token(self, str text):
        """What it is compared by: a number, or bytes."""
        if self.partitioner == PARTITIONER_BYTE_ORDERED:
            return bytes.fromhex(text)
        token = int(text)
        low, high = (-(1 << 63), (1 << 63) - 1) if self.partitioner == PARTITIONER_MURMUR3 else (-1, 1 << 127)
        if not low <= token <= high:
            raise ValueError(f"{text[:60]!r} is not a token")
        return max(token, 0) if self.partitioner == PARTITIONER_RANDOM else token

    cdef uint32_t place_of(self, const uint8_t *key, size_t size) noexcept nogil:
        """Which token's a partition key is: the index of the first that is not before the key's own. There must be some."""
        cdef:
            int64_t  token = 0
            wide_t   wide
            slice_t  raw
            uint32_t low = 0
            uint32_t high = self.count
            uint32_t middle
        raw.data = <uint8_t *>key
        raw.size = size
        if self.murmur3 is not NULL:
            token = token_murmur3(key, size)
            while low < high:
                middle = (low + high) // 2
                if self.murmur3[middle] < token:
                    low = middle + 1
                else:
                    high = middle
            return 0 if low == self.count else low
        if self.random is not NULL:
            wide = token_random(key, size)
        while low < high:
            middle = (low + high) // 2
            if (_is_before(self.random[middle], wide) if self.random is not NULL
                    else token_compare_bytes(self.ordered[middle], raw) < 0):
                low = middle + 1
            else:
                high = middle
        return 0 if low == self.count else low

    def place(self, bytes key not None):
        return self.place_of(<const uint8_t *><const char *>key, len(key)) if self.count else None

    def owner(self, uint32_t place):
        return self.owners[place] if place < self.count else None


cdef inline bint _is_before(wide_t one, wide_t other) noexcept nogil:
    return one.high < other.high or (one.high == other.high and one.low < other.low)


cdef class Placement:
    """`replication` as system_schema.keyspaces has it: {"class": ..., "replication_factor" or data center: number}.

    ValueError: it does not say which servers have a row (LocalStrategy, a class that nobody knows).
    """

    def __init__(self, Ring ring not None, dict replication not None):
        strategy = replication.get("class", "").rpartition(".")[2]
        counts = {name: _copies(text) for name, text in replication.items() if name != "class"}
        if strategy == "SimpleStrategy":
            width = counts.get("replication_factor", 0)
        elif strategy == "NetworkTopologyStrategy":
            counts.pop("replication_factor", None)
            width = sum(counts.values())
        else:
            raise ValueError(f"{strategy or 'no class'} does not say where a row is")
        self.ring = ring
        self.width = min(width, len(ring.racks), <int>COPIES_MAX)
        if not self.width or not ring.count:
            self.width = 0
            return
        self.copies = <uint16_t *>malloc(<size_t>ring.count * self.width * sizeof(uint16_t))
        if self.copies is NULL:
            raise MemoryError()
        if strategy == "SimpleStrategy":
            self._place_simple()
        else:
            self._place_by_racks(counts)

    def __dealloc__(self):
        free(self.copies)

    cdef const uint16_t *copies_at(self, uint32_t place) noexcept nogil:
        return self.copies + <size_t>place * self.width

    def at(self, uint32_t place):
        """The servers that have what belongs to that token, in the order of the ring."""
        if place >= self.ring.count:
            return []
        return [number for number in self.copies_at(place)[:self.width] if number != NO_SERVER]

    def _place_simple(self):
        """The next servers of the ring, each once."""
        cdef:
            uint32_t  count = self.ring.count
            uint32_t  place, step, found, index
            uint16_t *copies
            uint16_t  owner
        for place in range(count):
            copies = self.copies + <size_t>place * self.width
            found = 0
            for step in range(count):
                owner = self.ring.owners[(place + step) % count]
                for index in range(found):
                    if copies[index] == owner:
                        break
                else:
                    copies[found] = owner
                    found += 1
                    if found == self.width:
                        break
            for index in range(found, self.width):
                copies[index] = <uint16_t>NO_SERVER

    def _place_by_racks(self, dict counts):
        """In each data center so many servers, one of each rack; a rack gets a second one only if there are too few racks,
        and then the first ones of the ring that would be repeats are taken."""
        cdef:
            uint32_t  count = self.ring.count
            uint32_t  place, step, found, index, center
            uint32_t  wanted[CENTERS_MAX]       # copies, by data center,
            uint32_t  repeats[CENTERS_MAX]      # and how many of them may be in a rack that has one already
            uint32_t  left[CENTERS_MAX]
            uint32_t  again[CENTERS_MAX]
            uint32_t  open_centers, center_count
            uint16_t *copies
            uint16_t  owner
            uint8_t  *centers                   # by server: its data center; 255: one that gets no copies
            uint32_t *racks                     # by server: its rack, over all data centers
            uint32_t *seen                      # by rack: the place, plus 1, for which it was last taken
        names = [name for name, copies_ in counts.items() if copies_][:CENTERS_MAX]
        places = sorted(set(self.ring.racks.values()))
        room = max(self.ring.racks) + 1
        centers = <uint8_t *>malloc(room)
        racks = <uint32_t *>calloc(room, sizeof(uint32_t))
        seen = <uint32_t *>calloc(len(places), sizeof(uint32_t))
        if centers is NULL or racks is NULL or seen is NULL:
            free(centers)
            free(racks)
            free(seen)
            raise MemoryError()
        for number, where in self.ring.racks.items():
            centers[<uint32_t>number] = names.index(where[0]) if where[0] in names else 255
            racks[<uint32_t>number] = places.index(where)
        center_count = <uint32_t>len(names)
        for index, name in enumerate(names):
            members = [where for where in self.ring.racks.values() if where[0] == name]
            wanted[index] = min(counts[name], len(members))
            repeats[index] = max(counts[name] - len(set(members)), 0)
        for place in range(count):
            copies = self.copies + <size_t>place * self.width
            found = 0
            open_centers = 0
            for center in range(center_count):
                left[center] = wanted[center]
                again[center] = repeats[center]
                open_centers += left[center] > 0
            for step in range(count):
                if open_centers == 0 or found == self.width:
                    break
                owner = self.ring.owners[(place + step) % count]
                center = centers[owner]
                if center == 255 or left[center] == 0:
                    continue
                for index in range(found):
                    if copies[index] == owner:
                        break
                else:
                    if seen[racks[owner]] != place + 1:
                        seen[racks[owner]] = place + 1
                    elif again[center]:
                        again[center] -= 1
                    else:
                        continue
                    copies[found] = owner
                    found += 1
                    left[center] -= 1
                    open_centers -= left[center] == 0
            for index in range(found, self.width):
                copies[index] = <uint16_t>NO_SERVER
        free(centers)
        free(racks)
        free(seen)


def _copies(text):
    """Of "3", or of "3/1", where one of the three is transient."""
    number = text.partition("/")[0].strip()
    return int(number) if number.isdecimal() else 0
