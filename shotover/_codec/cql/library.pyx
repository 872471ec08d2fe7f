"""See library.pxd."""

from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memset

from shotover._codec.cql.facts cimport cql_facts_in, cql_facts_t, facts_of_text
from shotover._codec.hashes cimport xxh64
from shotover._core.debug cimport likely, unlikely
from shotover._core.facts cimport facts_put
from shotover._core.memory cimport chunk_ref

cdef enum:
    ROOM_FIRST = 64


# ---- shelves -------------------------------------------------------------------------------------------------------


cdef bint _grow(shelf_t *shelf) noexcept nogil:
    """Twice the room. False: no memory."""
    cdef:
        uint32_t  room = max(2 * shelf.room, <uint32_t>ROOM_FIRST)
        uint32_t *buckets = <uint32_t *>calloc(room, sizeof(uint32_t))
        place_t  *places
        uint32_t  index, bucket
    if buckets is NULL:
        return False
    places = <place_t *>realloc(shelf.places, room * sizeof(place_t))
    if places is NULL:
        free(buckets)
        return False
    memset(buckets, 0xff, room * sizeof(uint32_t))          # NOWHERE
    for index in range(shelf.room, room):
        places[index].facts = NULL
        places[index].following = index + 1 if index + 1 < room else NOWHERE
    for index in range(shelf.room):                         # all are taken, else nobody would ask for more
        bucket = <uint32_t>places[index].hash & (room - 1)
        places[index].following = buckets[bucket]
        buckets[bucket] = index
    free(shelf.buckets)
    shelf.buckets = buckets
    shelf.places = places
    shelf.free = shelf.room
    shelf.room = room
    return True


cdef void _take_out(shelf_t *shelf, pool_t *pool, uint32_t index) noexcept nogil:
    cdef:
        place_t  *place = &shelf.places[index]
        uint32_t *link = &shelf.buckets[<uint32_t>place.hash & (shelf.room - 1)]
    while link[0] != index:
        link = &shelf.places[link[0]].following
    link[0] = place.following
    shelf.bytes -= place.facts.size
    shelf.count -= 1
    facts_put(pool, place.facts)
    place.facts = NULL
    place.following = shelf.free
    shelf.free = index


cdef void _make_room(shelf_t *shelf, pool_t *pool, size_t size) noexcept nogil:
    """Gives away what has not been used lately, until there is room for one of `size`."""
    cdef place_t *place
    while shelf.count and (shelf.count >= shelf.most or shelf.bytes + size > shelf.bytes_most):
        shelf.hand = (shelf.hand + 1) & (shelf.room - 1)
        place = &shelf.places[shelf.hand]
        if place.facts is NULL:
            continue
        if place.used:
            place.used = 0
        else:
            _take_out(shelf, pool, shelf.hand)
            shelf.evictions += 1


cdef void _put_in(shelf_t *shelf, pool_t *pool, chunk_t *facts, uint64_t hash, uint8_t used) noexcept nogil:
    """Keeps a reference of its own, if there is memory for that. What is there already is the caller's business."""
    cdef:
        place_t *place
        uint32_t index, bucket
    if facts.size > shelf.bytes_most // 8 or shelf.most == 0:
        return
    _make_room(shelf, pool, facts.size)
    if shelf.count == shelf.room and not _grow(shelf):
        return
    index = shelf.free
    place = &shelf.places[index]
    shelf.free = place.following
    bucket = <uint32_t>hash & (shelf.room - 1)
    place.facts = chunk_ref(facts)
    place.hash = hash
    place.used = used
    place.following = shelf.buckets[bucket]
    shelf.buckets[bucket] = index
    shelf.count += 1
    shelf.bytes += facts.size


cdef void _empty(shelf_t *shelf, pool_t *pool) noexcept nogil:
    cdef uint32_t index
    for index in range(shelf.room):
        if shelf.places[index].facts is not NULL:
            facts_put(pool, shelf.places[index].facts)
    free(shelf.places)
    free(shelf.buckets)
    shelf.places = NULL
    shelf.buckets = NULL
    shelf.room = shelf.count = shelf.hand = 0
    shelf.bytes = 0


# ---- the library ---------------------------------------------------------------------------------------------------


cdef void library_init(library_t *library, uint64_t seed) noexcept nogil:
    memset(library, 0, sizeof(library_t))
    library.seed = seed
    library.texts.most = TEXTS_MAX
    library.texts.bytes_most = TEXTS_BYTES_MAX
    library.prepared.most = PREPARED_DEFAULT
    library.prepared.bytes_most = PREPARED_BYTES_MAX
    library.texts.free = library.prepared.free = NOWHERE


cdef void library_close(library_t *library, pool_t *pool) noexcept nogil:
    """Empty again; requests may still have what was in it."""
    _empty(&library.texts, pool)
    _empty(&library.prepared, pool)


cdef uint64_t keyspace_hash(slice_t keyspace) noexcept nogil:
    """0 for none."""
    return xxh64(keyspace.data, keyspace.size, 1) if keyspace.size else 0


cdef bint _came_before(library_t *library, uint64_t hash) noexcept nogil:
    """Whether a text with that hash has come lately; from now on it has."""
    cdef:
        uint32_t *ways = &library.seen[(<uint32_t>hash & (SEEN_SETS - 1)) * SEEN_WAYS]
        uint32_t  sign = <uint32_t>(hash >> 32)
        int       way
    for way in range(SEEN_WAYS):
        if ways[way] == sign:
            return True
    for way in range(SEEN_WAYS - 1, 0, -1):
        ways[way] = ways[way - 1]
    ways[0] = sign
    return False


cdef chunk_t *library_text(
    library_t *library, pool_t *pool, const uint8_t *text, size_t size, slice_t keyspace, uint64_t hash_of_keyspace
) noexcept nogil:
    """The facts of a text, for whoever is in that keyspace: a reference for the caller. NULL: no memory."""
    cdef:
        shelf_t  *shelf = &library.texts
        uint64_t  hash = xxh64(text, size, library.seed) ^ hash_of_keyspace
        uint32_t  index = shelf.buckets[<uint32_t>hash & (shelf.room - 1)] if shelf.room else <uint32_t>NOWHERE
        place_t  *place
        chunk_t  *made
        const cql_facts_t *facts
    while index != NOWHERE:
        place = &shelf.places[index]
        if place.hash == hash:
            facts = cql_facts_in(place.facts)
            if likely(facts.text.size == size and memcmp(facts.text.data, text, size) == 0
                      and facts.client_keyspace.size == keyspace.size
                      and (keyspace.size == 0 or memcmp(facts.client_keyspace.data, keyspace.data, keyspace.size) == 0)):
                place.used = 1
                shelf.hits += 1
                return chunk_ref(place.facts)
        index = place.following
    shelf.misses += 1
    made = facts_of_text(pool, text, size, keyspace, hash)
    if made is not NULL and size <= TEXT_SIZE_MAX and _came_before(library, hash):
        _put_in(shelf, pool, made, hash, 0)
    return made


cdef uint32_t _place_of(library_t *library, slice_t id, uint64_t hash) noexcept nogil:
    cdef:
        shelf_t  *shelf = &library.prepared
        uint32_t  index = shelf.buckets[<uint32_t>hash & (shelf.room - 1)] if shelf.room else <uint32_t>NOWHERE
        const cql_facts_t *facts
    while index != NOWHERE:
        if shelf.places[index].hash == hash:
            facts = cql_facts_in(shelf.places[index].facts)
            if likely(facts.id.size == id.size and memcmp(facts.id.data, id.data, id.size) == 0):
                return index
        index = shelf.places[index].following
    return NOWHERE


cdef chunk_t *library_prepared(library_t *library, slice_t id) noexcept nogil:
    """The facts of a prepared statement: a reference for the caller. NULL: nobody has prepared it here lately."""
    cdef uint32_t index = _place_of(library, id, xxh64(id.data, id.size, library.seed))
    if unlikely(index == NOWHERE):
        library.prepared.misses += 1
        return NULL
    library.prepared.hits += 1
    library.prepared.places[index].used = 1
    return chunk_ref(library.prepared.places[index].facts)


cdef void library_add_prepared(library_t *library, pool_t *pool, chunk_t *facts) noexcept nogil:
    """Takes over a reference. What the server has said last is what holds; but version 3 does not tell what a partition key
    is made of, so an answer in it does not replace a fuller one that otherwise says the same."""
    cdef:
        const cql_facts_t *fresh = cql_facts_in(facts)
        const cql_facts_t *old
        uint64_t hash = xxh64(fresh.id.data, fresh.id.size, library.seed)
        uint32_t index = _place_of(library, fresh.id, hash)
        bint     keep = False
    if index != NOWHERE:
        old = cql_facts_in(library.prepared.places[index].facts)
        keep = (
            fresh.version < 4 and old.version >= 4 and old.bound.columns.size == fresh.bound.columns.size
            and memcmp(old.bound.columns.data, fresh.bound.columns.data, fresh.bound.columns.size) == 0
        )
        if not keep:
            _take_out(&library.prepared, pool, index)
    if not keep:
        _put_in(&library.prepared, pool, facts, hash, 1)
    facts_put(pool, facts)
