"""See key_rules.pxd. Made from Python once, asked without it."""

from libc.stdint cimport uint64_t
from libc.string cimport memchr, memcmp, memcpy

from shotover._codec.commands cimport command_count, command_find
from shotover._codec.slots cimport SLOT_COUNT, key_slot
from shotover._core.debug cimport unlikely

from shotover._codec.commands import describe, names

cdef extern from *:
    """
    #define RULES_FORGET(x) __asm__ volatile("" : "+r"(x))      /* what the compiler knew of x; for measuring */
    """
    void RULES_FORGET(const uint8_t *) noexcept nogil

KINDS = {"any": RULE_ANY, "key": RULE_KEY, "prefix": RULE_PREFIX, "glob": RULE_GLOB, "hash": RULE_HASH}
WILDCARDS = b"*?[\\"


# ---- asking ---------------------------------------------------------------------------------------------------------


cdef inline uint32_t _hash(const uint8_t *at, size_t size) noexcept nogil:
    cdef:
        uint64_t hash = <uint64_t>size * 0x9E3779B97F4A7C15u
        uint64_t word
    while size >= 8:
        memcpy(&word, at, 8)
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u
        hash ^= hash >> 32
        at += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, at, size)
        hash = (hash ^ word) * 0xD6E8FEB86659FD93u
        hash ^= hash >> 32
    return <uint32_t>(hash ^ hash >> 29)


cdef inline uint32_t _word_entries(const rules_t *table, const rule_words_t *words, const uint8_t *text,
                                   size_t size) noexcept nogil:
    """The rules of a text in a hash table: index + 1, or 0."""
    cdef:
        uint32_t hash = _hash(text, size)
        uint32_t at = hash & words.mask
        const rule_word_t *place = &words.places[at]
    while place.entries:
        if place.hash == hash and place.size == size and memcmp(table.texts + place.text, text, size) == 0:
            return place.entries
        at = (at + 1) & words.mask
        place = &words.places[at]
    return 0


cdef inline bint _session_fits(const rules_t *table, const rule_t *rule, const asker_t *asker) noexcept nogil:
    if rule.database != DATABASE_ANY and rule.database != asker.database:
        return False
    if unlikely(rule.identity_size != RULE_NONE) and (
        rule.identity_size != asker.identity.size
        or memcmp(table.texts + rule.identity, asker.identity.data, rule.identity_size) != 0
    ):
        return False
    return rule.user_size == RULE_NONE or (
        rule.user_size == asker.user.size and memcmp(table.texts + rule.user, asker.user.data, rule.user_size) == 0)


cdef uint32_t _first(const rules_t *table, uint32_t entries, const asker_t *asker, uint32_t best) noexcept nogil:
    """The first rule of a list that the session fits, if it is lower than `best`; else `best`."""
    cdef const rule_entry_t *entry
    while entries:
        entry = &table.entries[entries - 1]
        if entry.rule >= best:
            break
        if _session_fits(table, &table.rules[entry.rule], asker):
            return entry.rule
        entries = entry.following
    return best


cdef bint rule_key_fits(const rules_t *table, const rule_t *rule, const uint8_t *key, size_t size) noexcept nogil:
    """Whether a key is one that the rule is about; NULL is no key."""
    cdef uint32_t slot
    if rule.kind == RULE_ANY:
        return True
    if key is NULL:
        return False
    if rule.kind == RULE_KEY:
        return rule.text_size == size and memcmp(table.texts + rule.text, key, size) == 0
    if rule.kind == RULE_PREFIX:
        return rule.text_size <= size and memcmp(table.texts + rule.text, key, rule.text_size) == 0
    if rule.kind == RULE_GLOB:
        return size <= GLOB_KEY_MAX and glob_match(table.texts + rule.text, rule.text_size, key, size)
    slot = key_slot(key, size)
    return rule.first <= slot <= rule.last


cdef uint32_t rules_of_command(const rules_t *table, const asker_t *asker) noexcept nogil:
    """The rules with a condition on the command that this one meets: index + 1 of a list, or 0."""
    cdef:
        uint8_t  name[64]
        uint32_t index
    if asker.command is not NULL and asker.command.id < command_count():
        return table.by_command[asker.command.id]
    if table.names.count and asker.command is not NULL:
        return _word_entries(table, &table.names, <const uint8_t *>asker.command.name, asker.command.name_size)
    if table.names.count and asker.word.size <= sizeof(name):
        for index in range(asker.word.size):
            name[index] = asker.word.data[index]
            if 97 <= name[index] <= 122:
                name[index] ^= 32
        return _word_entries(table, &table.names, name, asker.word.size)
    return 0


cdef uint32_t _by_command(const rules_t *table, const asker_t *asker, const uint8_t *key, size_t size,
                          uint32_t best) noexcept nogil:
    cdef:
        uint32_t entries = rules_of_command(table, asker)
        const rule_entry_t *entry
        const rule_t *rule
    while entries:
        entry = &table.entries[entries - 1]
        if entry.rule >= best:
            break
        rule = &table.rules[entry.rule]
        if _session_fits(table, rule, asker) and rule_key_fits(table, rule, key, size):
            return entry.rule
        entries = entry.following
    return best


cdef uint32_t _by_prefix(const rules_t *table, const asker_t *asker, const uint8_t *key, size_t size,
                         uint32_t best) noexcept nogil:
    """Down the trie: every node on the way has rules whose text the key begins with."""
    cdef:
        const rule_node_t *node = table.nodes
        const rule_entry_t *entry
        const rule_t  *rule
        const uint8_t *at = key
        const uint8_t *end = key + size
        const uint8_t *first
        uint32_t       entries, index
    while node.best < best:
        entries = node.entries
        while entries:
            entry = &table.entries[entries - 1]
            if entry.rule >= best:
                break
            rule = &table.rules[entry.rule]
            if (rule.kind == RULE_PREFIX or rule_key_fits(table, rule, key, size)) \
                    and _session_fits(table, rule, asker):
                best = entry.rule
                break
            entries = entry.following
        if at == end or node.child_count == 0:
            break
        first = table.firsts + node.children
        if node.child_count <= 8:
            index = 0
            while index < node.child_count and first[index] != at[0]:
                index += 1
            if index == node.child_count:
                break
        else:
            first = <const uint8_t *>memchr(first, at[0], node.child_count)
            if first is NULL:
                break
            index = <uint32_t>(first - table.firsts) - node.children
        node = &table.nodes[node.children + index]
        if node.label_size > <size_t>(end - at) or memcmp(table.texts + node.label, at, node.label_size):
            break
        at += node.label_size
    return best


cdef uint32_t rules_base(const rules_t *table, const asker_t *asker) noexcept nogil:
    """The first rule that holds for all requests of a session with this user, certificate and database, whatever their
    command and key. RULE_NONE: there is none."""
    return _first(table, _word_entries(table, &table.users, asker.user.data, asker.user.size), asker,
                  _first(table, table.any_user, asker, RULE_NONE))


cdef uint32_t rules_find(const rules_t *table, const asker_t *asker, const uint8_t *key, size_t size) noexcept nogil:
    """The first rule that holds for this request. `key` NULL: it has none. RULE_NONE: no rule holds."""
    cdef uint32_t best = asker.base, slot, found
    if unlikely(table.has_commands):
        best = _by_command(table, asker, key, size, best)
    if key is NULL:
        return best
    if table.keys.count:
        best = _first(table, _word_entries(table, &table.keys, key, size), asker, best)
    if table.has_trie:
        best = _by_prefix(table, asker, key, size, best)
    if table.slot_best < best:
        found = table.by_slot[key_slot(key, size)]
        if found < best:
            best = found
    if unlikely(table.hashes):
        slot = table.hashes
        while slot:
            found = table.entries[slot - 1].rule
            if found >= best:
                break
            if _session_fits(table, &table.rules[found], asker) \
                    and rule_key_fits(table, &table.rules[found], key, size):
                return found
            slot = table.entries[slot - 1].following
    return best


cdef bint rule_reaches(const rules_t *table, uint32_t rule, const asker_t *asker) noexcept nogil:
    """Whether some request of this session may come under that rule, as far as its user, certificate and database say."""
    return _session_fits(table, &table.rules[rule], asker)


# ---- globs ----------------------------------------------------------------------------------------------------------


cdef const uint8_t *_in_brackets(const uint8_t *glob, const uint8_t *end, uint8_t byte, bint *fits) noexcept nogil:
    """`glob` stands behind a [. Returns what follows the ], or the end where there is none, as the servers read it."""
    cdef:
        bint    inverted = glob < end and glob[0] == b'^'
        bint    found = False
        uint8_t low, high
    if inverted:
        glob += 1
    while glob < end and glob[0] != b']':
        if glob[0] == b'\\' and end - glob >= 2:
            glob += 1
            found = found or glob[0] == byte
        elif end - glob >= 3 and glob[1] == b'-':
            low = min(glob[0], glob[2])
            high = max(glob[0], glob[2])
            found = found or low <= byte <= high
            glob += 2
        else:
            found = found or glob[0] == byte
        glob += 1
    fits[0] = found != inverted
    return glob + 1 if glob < end else end


cdef bint glob_match(const uint8_t *glob, size_t glob_size, const uint8_t *text, size_t size) noexcept nogil:
    """Whether all of `text` is as the glob says, read as by KEYS: * ? [a-z] [^a] and \\ before a byte that means itself.

    Goes back to the last * alone: at most glob_size * size steps.
    """
    cdef:
        const uint8_t *glob_end = glob + glob_size
        const uint8_t *end = text + size
        const uint8_t *star = NULL          # what follows the last *
        const uint8_t *star_text = NULL     # where its match was tried last
        const uint8_t *following
        bint           fits
    while text < end:
        fits = False
        following = glob
        if glob < glob_end:
            if glob[0] == b'*':
                while glob < glob_end and glob[0] == b'*':
                    glob += 1
                if glob == glob_end:
                    return True
                star = glob
                star_text = text
                continue
            if glob[0] == b'?':
                fits = True
                following = glob + 1
            elif glob[0] == b'[':
                following = _in_brackets(glob + 1, glob_end, text[0], &fits)
            else:
                if glob[0] == b'\\' and glob_end - glob >= 2:
                    glob += 1
                fits = glob[0] == text[0]
                following = glob + 1
        if fits:
            glob = following
            text += 1
        elif star is not NULL:
            star_text += 1
            text = star_text
            glob = star
        else:
            return False
    while glob < glob_end and glob[0] == b'*':
        glob += 1
    return glob == glob_end


# ---- making a table -------------------------------------------------------------------------------------------------


class _Lists:
    """Rules by something, in order; becomes rule_entry_t's."""

    def __init__(self):
        self.entries = []       # (rule, following)

    def add(self, rules):
        """Index + 1 of a list of these rules, lowest first; 0 for none."""
        following = 0
        for rule in reversed(rules):
            self.entries.append((rule, following))
            following = len(self.entries)
        return following


class _Texts:
    """All bytes that rules name, one behind the other; what is there already is found again."""

    def __init__(self):
        self.data = bytearray()
        self.places = {}

    def put(self, text):
        place = self.places.get(text)
        if place is None:
            place = self.places[text] = len(self.data)
            self.data += text
        return place


def _common(one, other, at):
    """Up to where two texts are the same, from `at` on."""
    end = min(len(one), len(other))
    while at < end and one[at] == other[at]:
        at += 1
    return at


def _trie(words):
    """Nodes of the trie of these sorted words: [label, index of the word that ends here or None, first child, children]."""
    nodes = [[b"", None, 0, 0]]
    ranges = [(0, len(words), 0)]           # of each node: its words, and how much of them leads to it
    for node, (low, high, depth) in zip(nodes, ranges):
        if low < high and len(words[low]) == depth:
            node[1] = low
            low += 1
        node[2] = len(nodes)
        while low < high:
            byte = words[low][depth]
            end = low + 1
            while end < high and words[end][depth] == byte:
                end += 1
            down = _common(words[low], words[end - 1], depth)
            nodes.append([words[low][depth:down], None, 0, 0])
            ranges.append((low, end, down))
            low = end
        node[3] = len(nodes) - node[2]
    return nodes


def literal_of(bytes glob not None):
    """What every text that a glob matches begins with."""
    for index, byte in enumerate(glob):
        if byte in WILDCARDS:
            return glob[:index]
    return glob


cdef class KeyRules:
    """rules: (target, kind, text, first slot, last slot, user or None, database or None, commands), in order; behind that there
    may be whom a certificate must name, or None.

    `kind` as in KINDS; commands are upper case, CONFIG or CONFIG|GET. Nothing is checked here: see key_router_rules.py.
    """

    def __cinit__(self, rules):
        cdef:
            rule_t *rule
            uint32_t index
        self.memory = []
        self.rules = tuple(rules)
        self.table.count = len(self.rules)
        texts = _Texts()
        self.table.rules = <rule_t *>self._keep(bytearray(sizeof(rule_t) * (len(self.rules) + 1)))
        for index, (target, kind, text, first, last, user, database, _commands, *more) in enumerate(self.rules):
            rule = &self.table.rules[index]
            rule.target = target
            rule.kind = KINDS[kind]
            rule.text = texts.put(text)
            rule.text_size = len(text)
            rule.first = first
            rule.last = last
            rule.user = 0 if user is None else texts.put(user)
            rule.user_size = RULE_NONE if user is None else len(user)
            rule.identity_size = RULE_NONE
            if more and more[0] is not None:
                rule.identity = texts.put(more[0])
                rule.identity_size = len(more[0])
                self.table.of_identities = True
            rule.database = DATABASE_ANY if database is None else database
        self._index(texts)

    def _index(self, texts):
        by = {name: {} for name in ("command", "name", "key", "trie", "user")}
        any_user, hashes, plain_hashes = [], [], []
        for number, (_target, kind, text, first, last, user, database, commands, *more) in enumerate(self.rules):
            if commands:
                for command in commands:
                    for where, what in _commands_of(command):
                        by[where].setdefault(what, []).append(number)
            elif kind == "key":
                by["key"].setdefault(text, []).append(number)
            elif kind in ("prefix", "glob"):
                by["trie"].setdefault(text if kind == "prefix" else literal_of(text), []).append(number)
            elif kind == "hash" and user is None and database is None and more in ([], [None]):
                plain_hashes.append((number, first, last))
            elif kind == "hash":
                hashes.append(number)
            elif user is not None:
                by["user"].setdefault(user, []).append(number)
            else:
                any_user.append(number)
        lists = _Lists()
        self.table.any_user = lists.add(any_user)
        self.table.hashes = lists.add(hashes)
        self._index_commands(by["command"], lists)
        self._index_slots(plain_hashes)
        self._index_trie(by["trie"], lists, texts)
        self._index_words(&self.table.keys, by["key"], lists, texts)
        self._index_words(&self.table.users, by["user"], lists, texts)
        self._index_words(&self.table.names, by["name"], lists, texts)
        self.table.has_commands = bool(by["command"] or by["name"])
        self.table.texts = <uint8_t *>self._keep(texts.data + b"\0")
        self.table.entries = <rule_entry_t *>self._keep(bytearray(sizeof(rule_entry_t) * (len(lists.entries) + 1)))
        for index, (number, following) in enumerate(lists.entries):
            self.table.entries[index].rule = number
            self.table.entries[index].following = following

    cdef void *_keep(self, bytearray data):
        self.memory.append(data)
        return <char *>data

    cdef int _index_words(self, rule_words_t *words, dict by, lists, texts) except -1:
        """A hash table at most half full."""
        cdef:
            uint32_t size = 4, at
            rule_word_t *place
            bytes text
        while size < 2 * len(by):
            size *= 2
        words.places = <rule_word_t *>self._keep(bytearray(size * sizeof(rule_word_t)))
        words.mask = size - 1
        words.count = len(by)
        for text, rules in by.items():
            at = _hash(<const uint8_t *><const char *>text, len(text)) & words.mask
            while words.places[at].entries:
                at = (at + 1) & words.mask
            place = &words.places[at]
            place.hash = _hash(<const uint8_t *><const char *>text, len(text))
            place.text = texts.put(text)
            place.size = len(text)
            place.entries = lists.add(rules)
        return 0

    cdef int _index_commands(self, dict by, lists) except -1:
        self.table.by_command = <uint32_t *>self._keep(bytearray(command_count() * sizeof(uint32_t)))
        for number, rules in by.items():
            self.table.by_command[<uint32_t>number] = lists.add(sorted(set(rules)))
        return 0

    cdef int _index_slots(self, list plain) except -1:
        cdef uint32_t slot, number
        self.table.slot_best = RULE_NONE
        if not plain:
            return 0
        self.table.by_slot = <uint32_t *>self._keep(bytearray(b"\xff" * (SLOT_COUNT * sizeof(uint32_t))))
        for number, first, last in reversed(plain):
            for slot in range(first, last + 1):
                self.table.by_slot[slot] = number
        self.table.slot_best = plain[0][0]
        return 0

    cdef int _index_trie(self, dict by, lists, texts) except -1:
        cdef:
            rule_node_t *node
            uint32_t index, child
        self.table.has_trie = bool(by)
        words = sorted(by)
        nodes = _trie(words)
        self.table.nodes = <rule_node_t *>self._keep(bytearray(len(nodes) * sizeof(rule_node_t)))
        firsts = bytearray(len(nodes))
        for index, (label, word, children, count) in enumerate(nodes):
            node = &self.table.nodes[index]
            node.label = texts.put(label)
            node.label_size = len(label)
            node.children = children
            node.child_count = count
            node.best = RULE_NONE if word is None else by[words[word]][0]
            node.entries = 0 if word is None else lists.add(by[words[word]])
            firsts[index] = label[0] if label else 0
        self.table.firsts = <uint8_t *>self._keep(firsts)
        for index in reversed(range(len(nodes))):           # children stand behind their parents
            node = &self.table.nodes[index]
            for child in range(node.children, node.children + node.child_count):
                node.best = min(node.best, self.table.nodes[child].best)
        return 0

    def find(self, key=None, *, user=b"default", database=0, command=b"GET", certificate=b""):
        """The number of the first rule that holds, or None. For tests and `shotover check`."""
        cdef:
            asker_t asker = self._asker(user, database, command, certificate)
            bytes   held = key
            uint32_t found
        if held is None:
            found = rules_find(&self.table, &asker, NULL, 0)
        else:
            found = rules_find(&self.table, &asker, <const uint8_t *><const char *>held, len(held))
        return None if found == RULE_NONE else found

    cdef asker_t _asker(self, bytes user, int32_t database, bytes command, bytes certificate):
        cdef asker_t asker
        asker.user.data = <uint8_t *><char *>user
        asker.user.size = len(user)
        asker.identity.data = <uint8_t *><char *>certificate
        asker.identity.size = len(certificate)
        asker.database = database
        asker.word.data = <uint8_t *><char *>command
        asker.word.size = len(command)
        asker.command = command_find(asker.word.data, asker.word.size)
        asker.base = rules_base(&self.table, &asker)
        return asker

    def find_often(self, list keys not None, uint32_t rounds):
        """Asks for each of the keys so often; returns how often a rule held. For benchmarks."""
        cdef:
            asker_t asker = self._asker(b"default", 0, b"GET", b"")
            slice_t at[256]
            uint32_t index, count = len(keys), found = 0, _
            bytes key
        for index, key in enumerate(keys[:256]):
            at[index].data = <uint8_t *><char *>key
            at[index].size = len(key)
        with nogil:
            for _ in range(rounds):
                for index in range(count):
                    RULES_FORGET(at[index].data)
                    found += rules_find(&self.table, &asker, at[index].data, at[index].size) != RULE_NONE
        return found


def matches(bytes glob not None, bytes text not None):
    """Whether a glob matches all of a text."""
    return bool(glob_match(<const uint8_t *><const char *>glob, len(glob), <const uint8_t *><const char *>text, len(text)))


def _commands_of(bytes command not None):
    """Where a command's rules are looked for: ("command", id) of itself and its subcommands, or ("name", itself)."""
    facts = describe(command)
    if facts is None:
        return [("name", command)]
    number = facts["id"]
    if not facts["has_subcommands"]:
        return [("command", number)]
    start = command + b"|"
    return [("command", number)] + [
        ("command", describe(name.encode())["id"]) for name in names() if name.encode().startswith(start)
    ]
