"""See _request_throttling_limits.pxd."""

cimport cython

from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcpy, strlen

from shotover._codec.commands cimport (
    CONDUCT_PLAIN,
    CONDUCT_RESET,
    CONDUCT_STATE,
    CONDUCT_UNSUBSCRIBE,
    KEYS_NONE,
    command_at,
    command_count,
    command_keys,
)
from shotover._codec.fan cimport fan_may_cross
from shotover._codec.hashes cimport mix64, xxh64
from shotover._codec.key_rules cimport RULE_ANY, asker_t, rule_entry_t, rule_key_fits, rule_reaches, rules_of_command
from shotover._codec.login cimport login_database, login_user
from shotover._codec.resp cimport resp_words
from shotover._core.debug cimport likely, unlikely
from shotover._core.request cimport WATCHED_BY_STEP, batch_clear, batch_pop, batch_push, batch_t, request_own, request_t
from shotover._proxy.refusing cimport SLOT_BITS, ends_or_begins, shortened_by, shortened_note
from shotover._proxy.identities cimport session_identity
from shotover._proxy.session cimport session_slots, session_t
from shotover.transforms._request_throttling_meter cimport (
    METER_HEAVY, TICKS_SHIFT, meter_get, meter_sub, meter_tag, meter_take,
)

import os

from shotover._codec.commands import categories

cdef extern from * nogil:
    """
    #define lowest_bit(set) ((uint32_t)__builtin_ctzll(set))
    """
    uint32_t lowest_bit(uint64_t set)

cdef enum:
    WAIT_BITS = 26
    WAIT_MAX = (1 << 26) - 1            # ms; 18 hours
    STATE_WORDS_MAX = 16                # of a command that sets state
    ERROR_MAX = 256
    WORDS_KEPT = 4096                   # beyond a batch; a request with more gets memory of its own

cdef uint64_t STATE_SENT = <uint64_t>1 << 32        # tag of a request that changes its session's state if it succeeds

PERS = {None: PER_ALL, "user": PER_USER, "client": PER_CLIENT, "command": PER_COMMAND, "key": PER_KEY,
        "prefix": PER_PREFIX}


cdef class Picks:

    def __cinit__(self, rows, classes, spares):
        """rows: as KeyRules takes them; classes, spares: of each a list of ACL categories."""
        cdef uint32_t index
        self.held = KeyRules(rows)
        self.rules = &self.held.table
        self.count = len(rows)
        for index, row in enumerate(rows):
            self.classes[index] = _bits(classes[index])
            self.spares[index] = _bits(spares[index])
            if row[7]:
                self.naming |= <uint64_t>1 << index
        self.by_command = <uint64_t *>calloc(command_count(), sizeof(uint64_t))
        if self.by_command is NULL:
            raise MemoryError
        for index in range(command_count()):
            self.by_command[index] = self._work_out(command_at(index), NULL)

    def __dealloc__(self):
        free(self.by_command)

    cdef uint64_t of(self, const command_t *command, const slice_t *word) noexcept nogil:
        """`command` NULL: unknown, and `word` is its name."""
        if likely(command is not NULL and command.id < command_count()):
            return self.by_command[command.id]
        return self._work_out(command, word)

    cdef uint64_t _work_out(self, const command_t *command, const slice_t *word) noexcept nogil:
        cdef:
            asker_t  asker
            uint64_t named = 0, found = 0, bit
            uint32_t own = 0 if command is NULL else command.categories
            uint32_t entries, index
            const rule_entry_t *entry
        asker.command = command
        asker.word.size = 0
        if word is not NULL:
            asker.word = word[0]
        entries = rules_of_command(self.rules, &asker)
        while entries:
            entry = &self.rules.entries[entries - 1]
            named |= <uint64_t>1 << entry.rule
            entries = entry.following
        for index in range(self.count):
            bit = <uint64_t>1 << index
            if self.naming & bit and not named & bit:
                continue
            if self.classes[index] and not own & self.classes[index]:
                continue
            if not own & self.spares[index]:
                found |= bit
        return found


cdef uint32_t _bits(words) except? 0:
    cdef uint32_t bits = 0
    known = categories()
    for word in words:
        bits |= <uint32_t>1 << <uint32_t>known.index(word)
    return bits


cdef class Limits:

    def __init__(self, limits, weights):
        """limits: (name, row, classes, spares, per, delimiter, unweighed, rate, burst, keys);
        weights: (row, classes, weight, each key). The first weight that fits is taken, else 1.

        Not checked here: see request_throttling.py.
        """
        cdef:
            limit_t *limit
            Meters   meters
            uint32_t index
        self.seed = int.from_bytes(os.urandom(8), "little")
        self.limits_picks = Picks([one[1] for one in limits], [one[2] for one in limits], [one[3] for one in limits])
        self.weights_picks = Picks([one[0] for one in weights], [one[1] for one in weights], [()] * len(weights))
        self.held = []
        self.names = [one[0].encode() for one in limits]
        for index, (_name, row, _classes, _spares, per, delimiter, unweighed, rate, burst, keys) in enumerate(limits):
            meters = Meters(rate, burst, 0 if per is None else keys)
            self.held.append(meters)
            limit = &self.limits[index]
            limit.meters = <void *>meters
            limit.name = <const char *><bytes>self.names[index]
            limit.per = PERS[per]
            limit.delimiter = ord(delimiter)
            limit.unweighed = unweighed
            limit.skip = len(row[2]) if row[1] == "prefix" else 0
            if limit.per >= PER_KEY or self.limits_picks.rules.rules[index].kind != RULE_ANY:
                self.keyed |= <uint64_t>1 << index
        for index, (_row, _classes, weight, each_key) in enumerate(weights):
            self.weights[index].weight = weight
            self.weights[index].each_key = each_key
            self.each_key = self.each_key or each_key


@cython.final
cdef class RequestLimits(RefusingStep):

    def __init__(self, context, *, str name, Limits limits):
        cdef slice_t user
        self.shared = limits
        self.wants_kin = True
        self.wants_each = bool(limits.keyed) or limits.each_key
        self.reads_bodies = self.wants_each         # keys stand anywhere in a request
        self.wants_end = True
        self.tag = 0
        self.charge_room = LIMITS_MAX
        self.charges = <charge_t *>calloc(self.charge_room, sizeof(charge_t))
        self.word_room = 16
        self.words = <slice_t *>calloc(self.word_room, sizeof(slice_t))
        self.keys = <slice_t *>calloc(self.word_room, sizeof(slice_t))
        self.places = <uint32_t *>calloc(self.word_room, sizeof(uint32_t))
        if not (self.charges and self.words and self.keys and self.places):
            raise MemoryError
        user.data = <uint8_t *>b"default"
        user.size = 7
        self.fresh_limits = self._fitting(&user, 0, NULL)
        self.fresh_tag = meter_tag(xxh64(user.data, user.size, limits.seed))

    def __dealloc__(self):
        free(self.charges)
        free(self.words)
        free(self.keys)
        free(self.places)

    # ---- sessions -----------------------------------------------------------------------------------------------

    cdef uint64_t _fitting(self, const slice_t *user, int32_t database, session_t *session) noexcept nogil:
        """The limits whose user and database fit, and the certificate of the session."""
        cdef:
            asker_t  asker
            uint64_t found = 0
            uint32_t index
        asker.user = user[0]
        asker.identity = session_identity(session if self.shared.limits_picks.rules.of_identities else NULL)
        asker.database = database
        for index in range(self.shared.limits_picks.count):
            if rule_reaches(self.shared.limits_picks.rules, index, &asker):
                found |= <uint64_t>1 << index
        return found

    cdef void _learn(self, request_t *request) noexcept nogil:
        """AUTH, HELLO, SELECT or RESET has been answered: what that makes of its session. No memory: it stays as it was."""
        cdef:
            size_t      *slot
            slice_t      words[STATE_WORDS_MAX]
            slice_t      user
            throttled_t *old
            int32_t      database
            uint32_t     count
        if request.session is NULL or request.reply.size < 2 or request.reply.data[0] == b'-':
            return
        if request.reply.data[0] == b'+' and request.reply.data[1] == b'Q':
            return                          # QUEUED: in a transaction, not yet done
        slot = <size_t *>&session_slots(<session_t *>request.session)[self.slot]
        old = _known(slot)
        if request.conduct == CONDUCT_RESET:
            free(old)
            slot[0] &= SLOT_BITS
            return
        count = resp_words(request.wire.data, request.wire.data + request.wire.size, words, STATE_WORDS_MAX)
        if count == 0 or count > STATE_WORDS_MAX:
            return
        user.data = <uint8_t *>b"default" if old is NULL else <uint8_t *>(old + 1)
        user.size = 7 if old is NULL else old.user_size
        database = 0 if old is NULL else old.database
        if not login_user(words, count, &user) and not login_database(words, count, &database):
            return
        user.size = min(user.size, <size_t>USER_SIZE_MAX)
        if self._note(<session_t *>request.session, &user, database) is not NULL:
            free(old)

    cdef throttled_t *_note(self, session_t *session, const slice_t *user, int32_t database) noexcept nogil:
        """Keeps what is known of a session, in the place of what was; NULL: no memory, and that stays."""
        cdef:
            size_t      *slot = <size_t *>&session_slots(session)[self.slot]
            throttled_t *known = <throttled_t *>malloc(sizeof(throttled_t) + user.size)
        if known is NULL:
            return NULL
        memcpy(known + 1, user.data, user.size)
        known.user_size = <uint32_t>user.size
        known.user_tag = meter_tag(xxh64(user.data, user.size, self.shared.seed))
        known.database = database
        known.limits = self._fitting(user, database, session)
        slot[0] = <size_t>known | (slot[0] & SLOT_BITS)
        return known

    cdef void on_session_end(self, void *session) noexcept nogil:
        cdef size_t *slot = <size_t *>&session_slots(<session_t *>session)[self.slot]
        free(_known(slot))
        slot[0] = 0

    # ---- counting -----------------------------------------------------------------------------------------------

    cdef uint32_t _take(self, request_t *request) noexcept nogil:
        """How many requests of the run may pass; they are counted. If not all may, `refuser` and `wait_ms` say why."""
        cdef:
            throttled_t *known = NULL
            const command_t *command = <const command_t *>request.command
            slice_t      word
            slice_t      user
            uint64_t     now = self.loop.now << TICKS_SHIFT
            uint64_t     under, tag, weighing, units
            uint64_t     weight = 1
            uint32_t     granted = request.count, got, index, fitting
            bint         each_key = False
        word.size = 0
        if command is NULL:
            resp_words(request.wire.data, request.wire.data + request.wire.size, &word, 1)
        if request.session is not NULL:
            known = _known(<size_t *>&session_slots(<session_t *>request.session)[self.slot])
            if unlikely(known is NULL and self.shared.limits_picks.rules.of_identities):
                user.data = <uint8_t *>b"default"
                user.size = 7
                known = self._note(<session_t *>request.session, &user, 0)
        under = self.shared.limits_picks.of(command, &word) & (self.fresh_limits if known is NULL else known.limits)
        if under == 0:
            return granted
        weighing = self.shared.weights_picks.of(command, &word)
        if weighing:
            index = lowest_bit(weighing)
            weight = self.shared.weights[index].weight
            each_key = self.shared.weights[index].each_key
        if (under & self.shared.keyed or each_key) and not self._find_keys(request):
            self.refuser = LIMITS_MAX
            return 0
        self.charge_count = 0
        while under:
            index = lowest_bit(under)
            under &= under - 1
            units = 1 if self.shared.limits[index].unweighed else weight
            if units == 0:
                continue
            if self.shared.limits[index].per >= PER_KEY:
                got = granted if self._charge_keys(index, units, now) else 0
            else:
                fitting = 1
                if self.shared.keyed >> index & 1:
                    fitting = self._fitting_keys(index)
                    if fitting == 0:
                        continue
                elif each_key:
                    fitting = max(self.key_count, <uint32_t>1)
                if each_key and not self.shared.limits[index].unweighed:
                    units *= fitting
                tag = 1
                if self.shared.limits[index].per == PER_USER:
                    tag = self.fresh_tag if known is NULL else known.user_tag
                elif self.shared.limits[index].per == PER_CLIENT and request.session is not NULL:
                    tag = meter_tag(mix64(<uint64_t>request.session ^ mix64((<session_t *>request.session).id)))
                elif self.shared.limits[index].per == PER_COMMAND:
                    tag = meter_tag(mix64(<uint64_t>command))
                got = self._charge(index, tag, units, granted, now)
            if got < granted:
                granted = got
                if granted == 0:
                    break
        if granted < request.count:
            self._give_back(granted)
        return granted

    cdef uint32_t _charge(self, uint32_t index, uint64_t tag, uint64_t units, uint32_t wanted, uint64_t now) noexcept nogil:
        """How many of `wanted` requests of so many units a limit lets pass; they are charged."""
        cdef:
            void     *meters = self.shared.limits[index].meters
            bint      evicts = False
            meter_t  *meter
            charge_t *charge
            uint32_t  granted = 0
        if unlikely(self.charge_count == self.charge_room):
            charge = <charge_t *>realloc(self.charges, 2 * self.charge_room * sizeof(charge_t))
            if charge is NULL:
                self.refuser = LIMITS_MAX
                return 0
            self.charges = charge
            self.charge_room *= 2
        meter = (<Meters>meters).find(tag, now, &evicts)
        self.evictions[index] += evicts
        if likely(units <= (<Meters>meters).burst_units):
            granted = meter_take(&meter.until, now, units * (<Meters>meters).interval, (<Meters>meters).burst, wanted)
        if unlikely(granted < wanted):
            self.refuser = index
            self.wait_ms = (<Meters>meters).wait_ms(meter, now, units)
        if granted:
            charge = &self.charges[self.charge_count]
            charge.meter = meter
            charge.tag = 0 if (<Meters>meters).single else tag
            charge.ticks = units * (<Meters>meters).interval
            charge.count = granted
            self.charge_count += 1
        return granted

    cdef void _give_back(self, uint32_t granted) noexcept nogil:
        """All limits but the last have let more pass than go on."""
        cdef:
            charge_t *charge
            uint32_t  index
        for index in range(self.charge_count):
            charge = &self.charges[index]
            if charge.count > granted and meter_get(&charge.meter.tag) == charge.tag:
                meter_sub(&charge.meter.until, charge.ticks * (charge.count - granted))

    # ---- keys ---------------------------------------------------------------------------------------------------

    cdef bint _find_keys(self, request_t *request) noexcept nogil:
        """All keys of a request, into `keys`. False: no memory."""
        cdef:
            const command_t *command = <const command_t *>request.command
            uint8_t *end = request.wire.data + request.wire.size
            uint32_t index, argc
            int      count
        self.key_count = 0
        if command is NULL or command.key_rule == KEYS_NONE:
            return True
        if command.first_key == 1 and not fan_may_cross(command):
            if request.key_at:
                self.keys[0].data = request.wire.data + request.key_at
                self.keys[0].size = request.key_size
                self.key_count = 1
            return True
        argc = resp_words(request.wire.data, end, self.words, self.word_room)
        if unlikely(argc > self.word_room):
            if not self._make_room(2 * argc):
                return False
            argc = resp_words(request.wire.data, end, self.words, self.word_room)
        count = command_keys(command, self.words, argc, self.places, self.word_room)
        if count > 0:                       # -1: the server will refuse it
            self.key_count = min(<uint32_t>count, self.word_room)
            for index in range(self.key_count):
                self.keys[index] = self.words[self.places[index]]
        return True

    cdef bint _make_room(self, uint32_t room) noexcept nogil:
        cdef:
            slice_t  *words = <slice_t *>malloc(room * sizeof(slice_t))
            slice_t  *keys = <slice_t *>malloc(room * sizeof(slice_t))
            uint32_t *places = <uint32_t *>malloc(room * sizeof(uint32_t))
        if words is NULL or keys is NULL or places is NULL:
            free(words)
            free(keys)
            free(places)
            return False
        free(self.words)
        free(self.keys)
        free(self.places)
        self.words = words
        self.keys = keys
        self.places = places
        self.word_room = room
        return True

    cdef uint32_t _fitting_keys(self, uint32_t index) noexcept nogil:
        """How many of the keys fit a limit's condition."""
        cdef:
            const rules_t *rules = self.shared.limits_picks.rules
            uint32_t key, count = 0
        for key in range(self.key_count):
            count += rule_key_fits(rules, &rules.rules[index], self.keys[key].data, self.keys[key].size)
        return count

    cdef bint _charge_keys(self, uint32_t index, uint64_t units, uint64_t now) noexcept nogil:
        """Charges every key that fits, at the meter of its own or of its prefix. False: one of them may not pass."""
        cdef:
            const rules_t *rules = self.shared.limits_picks.rules
            limit_t  *limit = &self.shared.limits[index]
            slice_t  *key
            uint8_t  *found
            uint64_t  tag, last = 0, sum = 0
            uint32_t  at
            size_t    size
        for at in range(self.key_count):
            key = &self.keys[at]
            if not rule_key_fits(rules, &rules.rules[index], key.data, key.size):
                continue
            size = key.size
            if limit.per == PER_PREFIX and size > limit.skip:
                found = <uint8_t *>memchr(key.data + limit.skip, limit.delimiter, size - limit.skip)
                if found is not NULL:
                    size = <size_t>(found + 1 - key.data)
            tag = meter_tag(xxh64(key.data, size, self.shared.seed))
            if tag != last and sum:
                if self._charge(index, last, sum, 1, now) == 0:
                    return False
                sum = 0
            last = tag
            sum += units
        return sum == 0 or self._charge(index, last, sum, 1, now) == 1

    # ---- down and up --------------------------------------------------------------------------------------------

    cdef void on_requests(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            batch_t    rest
            uint8_t    out[ERROR_MAX]
            uint64_t   note
            uint32_t   granted
        batch_clear(&rest)
        while batch.head is not NULL:
            request = batch_pop(batch)
            if unlikely(ends_or_begins(request) or request.conduct == CONDUCT_UNSUBSCRIBE):
                self.track(request)
                if request.conduct == CONDUCT_RESET:
                    self._watch(request)
                batch_push(&rest, request)
                continue
            granted = self._take(request)
            if unlikely(granted < request.count):
                self.throttled_total += request.count - granted
                if self.refuser < LIMITS_MAX:
                    self.refusals[self.refuser] += request.count - granted
                if granted == 0:
                    self.refuse_with(request, out, self._error(out, sizeof(out), self.refuser, self.wait_ms))
                    continue
                self.mark_broken(request)
                note = <uint64_t>self.refuser << WAIT_BITS | min(self.wait_ms, <uint32_t>WAIT_MAX)
                self.shorten(request, granted, note)
            if request.conduct != CONDUCT_PLAIN:
                self.track(request)
                if request.conduct == CONDUCT_STATE:
                    self._watch(request)
            batch_push(&rest, request)
        if unlikely(self.word_room > WORDS_KEPT):
            self._make_room(WORDS_KEPT)
        self.pass_down(&rest)

    cdef void _watch(self, request_t *request) noexcept nogil:
        """What it says of its session is read when it has succeeded."""
        if request.session is not NULL and request_own(&self.loop.pool, request):
            request.tags[self.tag] = <void *><size_t>STATE_SENT
            request.watched |= WATCHED_BY_STEP

    cdef void on_replies(self, batch_t *batch) noexcept nogil:
        cdef:
            request_t *request
            uint8_t    out[ERROR_MAX]
            uint64_t   note
            size_t     size
        while batch.head is not NULL:
            request = batch_pop(batch)
            if unlikely(request.tags[self.tag] is not NULL):
                if shortened_by(request, self.tag) == 0:
                    request.tags[self.tag] = NULL
                    self._learn(request)
                else:
                    note = shortened_note(request, self.tag)
                    size = self._error(out, sizeof(out), <uint32_t>(note >> WAIT_BITS), <uint32_t>(note & WAIT_MAX))
                    self.lengthen(request, out, size)
            if not self.abort_answer(request):
                self.pass_up(request)

    cdef size_t _error(self, uint8_t *out, size_t room, uint32_t refuser, uint32_t wait_ms) noexcept nogil:
        """The reply to a request that a limit has refused, and its size."""
        cdef:
            char        text[ERROR_MAX]
            const char *name
        if refuser == LIMITS_MAX:
            return self.codec.error(out, room, b"ERR", b"shotover: no memory", 19)
        name = self.shared.limits[refuser].name
        if wait_ms == METER_HEAVY:
            snprintf(text, sizeof(text), b"this request weighs more than the limit %s ever lets pass at once "
                     b"(shotover: RequestThrottling)", name)
        else:
            snprintf(text, sizeof(text), b"over the limit %s, try again in %u ms (shotover: RequestThrottling)", name, wait_ms)
        return self.codec.error(out, room, b"THROTTLED", text, strlen(text))

    def samples(self):
        labels = {"chain": self.chain.name, "transform": self.type_name, "name": self.name}
        found = RefusingStep.samples(self)
        found.append(("shotover_throttled_requests_count", labels, "counter", self.throttled_total))
        found.append(("shotover_refusals_count", labels | {"reason": "throttled"}, "counter", self.throttled_total))
        for index, name in enumerate(self.shared.names):
            own = labels | {"limit": name.decode()}
            found.append(("shotover_limit_refusals_count", own, "counter", self.refusals[index]))
            found.append(("shotover_limit_evictions_count", own, "counter", self.evictions[index]))
        return found


cdef inline throttled_t *_known(const size_t *slot) noexcept nogil:
    """What a session's slot points to; NULL: it is as a new one."""
    return <throttled_t *>(slot[0] & ~<size_t>SLOT_BITS)
