ctypedef enum status_t:
    OK = 0
    NEED_DATA = 1     # not an error: the frame is cut, come back with more
    BAD = 2           # the peer broke the protocol
    LIMIT = 3         # a configured bound was reached
    NO_MEMORY = 4     # the memory ledger is full
    HEAD = 5          # the head of a big frame is given out; the rest is to be followed
