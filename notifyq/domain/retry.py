"""When to try again, and when not to."""

# The first retry comes within about 2 s, the waits double.
BASE_S = 2.0
# No wait is longer than an hour; with TRIES_MAX tries the longest is 34 minutes.
CAP_S = 3_600.0
# Twelve tries span 34 minutes on average and 68 at most; a provider that definitely does not take
# a message so often is down, and the dead letter says so to a person.
TRIES_MAX = 12
# A provider that throttles without saying for how long (Twilio does not). The wait doubles with
# every attempt up to a minute: throttling uses up no try, and must not fill a table either.
THROTTLED_S = 1.0
THROTTLED_S_MAX = 60.0
# Credentials and senders are mended by people: looking every minute or so is often enough.
MISCONFIGURED_S = 60.0


def backoff_s(tries: int, *, jitter: float) -> float:
    """Return seconds to wait after `tries` tries (>= 1).

    min(CAP_S, BASE_S * 2 ** (tries - 1)) * jitter, jitter in [0, 1): "full jitter" of the
    AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).
    """
    exponent = min(tries - 1, 32)  # beyond this the cap holds anyway
    return min(CAP_S, BASE_S * 2.0**exponent) * jitter


def throttled_s(attempts: int) -> float:
    """Return seconds to wait after `attempts` attempts (>= 1), the last of which was throttled."""
    return min(THROTTLED_S_MAX, THROTTLED_S * 2.0 ** min(attempts - 1, 32))


def obeying(asked_s: float | None, floor_s: float, *, jitter: float) -> float:
    """Return seconds to wait where the provider may have asked for `asked_s` (Retry-After).

    Never less than what it asked for; spread over a quarter more, so that all who were told the
    same second do not come back in it.
    """
    wait_s = max(floor_s, asked_s or 0.0)
    return wait_s * (1 + jitter / 4)
