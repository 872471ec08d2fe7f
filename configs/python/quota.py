"""Answers: so many writes a minute for each user, and a command QUOTA that says how many are left."""

from time import monotonic

from shotover import Transform

MINUTE = 60.0  # seconds


class Quota(Transform):
    def __init__(self, config):
        super().__init__(config)
        self.writes_max = config["writes_a_minute"]
        self.used = {}  # user -> [when its minute began, writes since]

    def on_request(self, request):
        if request.command == b"QUOTA":
            request.answer(self.writes_max - self.account(request.user)[1])
        elif request.kind == "write":
            account = self.account(request.user)
            if account[1] >= self.writes_max:
                request.refuse(
                    f"quota of {self.writes_max} writes a minute is used up", code="LIMIT"
                )
            else:
                account[1] += 1

    def account(self, user):
        account = self.used.setdefault(user, [monotonic(), 0])
        if monotonic() - account[0] >= MINUTE:
            account[:] = [monotonic(), 0]
        return account
