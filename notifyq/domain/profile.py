from dataclasses import dataclass, field


class BadProfile(ValueError): ...


@dataclass(frozen=True)
class Profile:
    phones: tuple = ()
    time_zone: str | None = None
    locale: str | None = None
    quiet: tuple | None = None
    state: str | None = None
    preferences: dict = field(default_factory=dict)

    def addresses(self, channel):
        return []


def read_profile(text):
    return Profile()
