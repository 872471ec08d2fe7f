from libc.string cimport memset

from shotover._core.debug cimport lowest_bit


cdef void wheel_init(wheel_t *wheel, uint64_t now_ns) noexcept nogil:
    memset(wheel, 0, sizeof(wheel_t))
    wheel.tick = now_ns >> WHEEL_TICK_SHIFT


cdef void _place(wheel_t *wheel, timer_t *timer) noexcept nogil:
    """Into the slot of the coarsest level on which its tick differs from now's."""
    cdef:
        uint64_t tick = (timer.deadline_ns + (<uint64_t>1 << WHEEL_TICK_SHIFT) - 1) >> WHEEL_TICK_SHIFT
        uint64_t span
        int      level = 0
        int      slot
        timer_t **head
    if tick < wheel.tick:
        tick = wheel.tick
    span = tick - wheel.tick
    while level < WHEEL_LEVELS - 1 and span >= WHEEL_SLOTS:
        span >>= 6
        level += 1
    if level == WHEEL_LEVELS - 1 and span >= WHEEL_SLOTS:
        tick = wheel.tick + ((<uint64_t>(WHEEL_SLOTS - 1)) << (6 * level))
    slot = <int>((tick >> (6 * level)) & 63)
    head = &wheel.slots[level][slot]
    timer.next = head[0]
    timer.home = head
    if timer.next is not NULL:
        timer.next.home = &timer.next
    head[0] = timer
    wheel.occupied[level] |= <uint64_t>1 << slot


cdef void timer_set(wheel_t *wheel, timer_t *timer, uint64_t deadline_ns) noexcept nogil:
    """Sets it, or moves it if it is set. Fires in the first turn that begins at or after the deadline."""
    timer_cancel(wheel, timer)
    timer.deadline_ns = deadline_ns
    wheel.count += 1
    _place(wheel, timer)


cdef void timer_cancel(wheel_t *wheel, timer_t *timer) noexcept nogil:
    if timer.home is NULL:
        return
    timer.home[0] = timer.next
    if timer.next is not NULL:
        timer.next.home = timer.home
    timer.home = NULL
    timer.next = NULL
    wheel.count -= 1


cdef void _empty(wheel_t *wheel, int level, int slot) noexcept nogil:
    """Fires what is due in a slot and places the rest again, lower down."""
    cdef:
        timer_t *timer = wheel.slots[level][slot]
        timer_t *later = NULL
    wheel.slots[level][slot] = NULL
    wheel.occupied[level] &= ~(<uint64_t>1 << slot)
    if timer is not NULL:
        timer.home = &timer         # the list now hangs on this stack; cancel() of any member still works
    while timer is not NULL:
        later = timer
        timer_unhang(later)
        if ((later.deadline_ns + (<uint64_t>1 << WHEEL_TICK_SHIFT) - 1) >> WHEEL_TICK_SHIFT) <= wheel.tick:
            wheel.count -= 1
            later.fire(later)
        else:
            _place(wheel, later)


cdef inline void timer_unhang(timer_t *timer) noexcept nogil:
    timer.home[0] = timer.next
    if timer.next is not NULL:
        timer.next.home = timer.home
    timer.home = NULL
    timer.next = NULL


cdef void wheel_advance(wheel_t *wheel, uint64_t now_ns) noexcept nogil:
    """Fires every timer whose deadline is at or before now_ns. A `fire` may set and cancel any timer."""
    cdef:
        uint64_t target = now_ns >> WHEEL_TICK_SHIFT
        int      level
    if wheel.count == 0:
        if target > wheel.tick:
            wheel.tick = target
        return
    _empty(wheel, 0, <int>(wheel.tick & 63))        # set since the last turn, already due
    while wheel.tick < target:
        if wheel.occupied[0] == 0 and wheel.count > 0 and (wheel.tick & 63) != 63:
            # nothing on this level before it wraps: go to the wrap in one step
            wheel.tick = min(target, wheel.tick | 63)
            continue
        wheel.tick += 1
        level = 1
        while level < WHEEL_LEVELS and (wheel.tick & ((<uint64_t>1 << (6 * level)) - 1)) == 0:
            _empty(wheel, level, <int>((wheel.tick >> (6 * level)) & 63))
            level += 1
        _empty(wheel, 0, <int>(wheel.tick & 63))
        if wheel.count == 0:
            wheel.tick = target


cdef int64_t wheel_wait_ns(wheel_t *wheel, uint64_t now_ns) noexcept nogil:
    """How long the loop may sleep: until the next slot that may hold a timer; -1: for ever."""
    cdef:
        uint64_t tick, best = <uint64_t>-1
        uint64_t bits
        int      level, from_slot, distance
    if wheel.count == 0:
        return -1
    for level in range(WHEEL_LEVELS):
        bits = wheel.occupied[level]
        if bits == 0:
            continue
        from_slot = <int>((wheel.tick >> (6 * level)) & 63)
        if from_slot:
            bits = (bits >> from_slot) | (bits << (64 - from_slot))
        if level > 0 and bits & 1:      # our own slot on a higher level: it comes after a whole round
            bits &= ~<uint64_t>1
            if bits == 0:
                distance = 64
            else:
                distance = lowest_bit(bits)
        else:
            distance = lowest_bit(bits)
        tick = ((wheel.tick >> (6 * level)) + <uint64_t>distance) << (6 * level)
        if tick < best:
            best = tick
    if best == <uint64_t>-1:
        return -1
    tick = best << WHEEL_TICK_SHIFT
    return 0 if tick <= now_ns else <int64_t>(tick - now_ns)
