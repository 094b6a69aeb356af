class Template: ...


class Missing: ...


NAME_PATTERN = "^[a-z]+$"
NAME_LENGTH_MAX = 100


def render(*a, **k): ...
