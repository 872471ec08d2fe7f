from shotover._codec.cql.ring import Ring

class Schema:
    ring: Ring
    def __init__(
        self,
        ring: Ring,
        keyspaces: dict[str, dict[str, str]],
        tables: dict[tuple[str, str], tuple[tuple[str, str], ...]],
    ) -> None: ...
