"""What fails, vendor by vendor: the rows of the matrix, and in each cell how it is made to happen.

Owns the truth about the first call: whether the vendor has accepted the message by it. A cell that
cannot exist says why; every cell is written here, and none is left out by default.
The codes are the vendors' own, as their error references list them; who said a 4xx in HTML, or an
unknown code, is nobody's to know.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.providers.matrix.accounts import Wrong
from tests.providers.matrix.door import Kind, Mishap

VENDORS = ("twilio", "sinch", "ses", "sendgrid", "smtp", "apns", "fcm")
_HTTP = ("twilio", "sinch", "ses", "sendgrid", "apns", "fcm")
# What a vendor is asked to wait: more than any client waits by itself after being throttled.
RETRY_AFTER_S = 120
TIMEOUT_S = 10.0
SHORT_S = 2.5  # of the calls that are to time out: enough to reach a sandbox in this process
# A mail whose end is not written yet when its client sees that the first piece (64 KiB) was cut.
LONG_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Way:
    """How the first call is made to fail. Nothing at all: it succeeds."""

    fault: Mapping[str, object] | None = None  # a script of the sandbox's
    recipient: str | None = None  # a magic kind of mail address
    wrong: Wrong | None = None  # in the settings, until somebody mends them
    mishap: Mishap | None = None
    timeout_s: float = TIMEOUT_S
    padding_bytes: int = 0  # of the text, after what tells it from others


@dataclass(frozen=True, slots=True)
class Failure:
    """One row."""

    name: str
    taken: bool  # whether the vendor has accepted the message after the first call
    ways: Mapping[str, Way | str]  # by vendor; a text says why there is none


def _fault(name: str, **parameters: object) -> Way:
    return Way(fault={"fault": name, **parameters})


def _refuse(code: object, status: int | None = None) -> Way:
    more = {} if status is None else {"status": status}
    return Way(fault={"fault": "refuse", "code": code, **more})


def _everywhere(way: Way) -> dict[str, Way | str]:
    return dict.fromkeys(VENDORS, way)


def _over_http(way: Way, otherwise: Way | str) -> dict[str, Way | str]:
    return {**dict.fromkeys(_HTTP, way), "smtp": otherwise}


def _over_http2(way: Way) -> dict[str, Way | str]:
    return {**dict.fromkeys(VENDORS, "no HTTP/2"), "apns": way}


def _garbled(reply: bytes) -> Way:
    return Way(mishap=Mishap(Kind.GARBLED, reply))


_THROTTLE = _fault("throttle", retry_after_s=RETRY_AFTER_S)
_CUT = Mishap(Kind.CUT)
_SLOW = {"fault": "slow", "delay_s": 60}
# A page under the status that is the vendor's success: the harder one to tell from it.
_SUCCESS = {"twilio": 201, "sinch": 201, "ses": 200, "sendgrid": 202, "apns": 200, "fcm": 200}

FAILURES: tuple[Failure, ...] = (
    Failure("accepted", True, _everywhere(Way())),
    Failure(
        "refused, unknown code",
        False,
        {
            "twilio": _refuse(29_999),
            "sinch": _refuse("something_new"),
            "ses": _refuse("SomethingNewException"),
            "sendgrid": _refuse("something_new"),
            "smtp": _refuse(571),
            "apns": _refuse("SomethingNew"),
            "fcm": _refuse("SOMETHING_NEW"),
        },
    ),
    Failure(
        "dead address",
        False,
        {
            "twilio": _refuse(21211),
            "sinch": _refuse("syntax_invalid_parameter_format"),
            "ses": "bounces later",
            "sendgrid": _refuse("personalizations.0.to.0.email"),
            "smtp": Way(recipient="dead"),  # at RCPT
            "apns": _refuse("Unregistered"),
            "fcm": _refuse("UNREGISTERED"),
        },
    ),
    Failure(
        "opted out",
        False,
        {
            "twilio": _refuse(21610),
            "sinch": "told later",
            "ses": "told later",
            "sendgrid": "told later",
            "smtp": "no opt-out",
            "apns": "no opt-out",
            "fcm": "no opt-out",
        },
    ),
    Failure("credentials", False, _everywhere(Way(wrong=Wrong.CREDENTIALS))),
    Failure(
        "sender or project",
        False,
        {**_everywhere(Way(wrong=Wrong.SENDER)), "apns": _refuse("TopicDisallowed")},
    ),
    Failure(
        "content",
        False,
        {
            "twilio": _refuse(21617),
            "sinch": _refuse("syntax_constraint_violation"),
            "ses": _refuse("MessageRejected"),
            "sendgrid": _refuse("content"),
            "smtp": _refuse(554),
            "apns": _refuse("PayloadTooLarge"),
            "fcm": _refuse("INVALID_ARGUMENT"),
        },
    ),
    Failure(
        "throttled, says how long",
        False,
        {**_over_http(_THROTTLE, "names no time"), "ses": "names no time"},
    ),
    Failure(
        "throttled",
        False,
        # SendGrid itself always says until when; a gateway before it does not.
        {**_everywhere(_fault("throttle")), "sendgrid": _fault("html_before_accept", status=429)},
    ),
    Failure(
        "told to come back",
        False,
        {
            **dict.fromkeys(_HTTP, "no SMTP"),
            "smtp": Way(mishap=Mishap(Kind.NO_RCPT, b"450 4.7.1 Greylisted, come back later\r\n")),
        },
    ),
    # SMTP: 451 to the whole mail. After it was accepted there is no such reply: half of a 250.
    Failure("5xx, not accepted", False, _everywhere(_fault("error_before_accept", status=503))),
    Failure("5xx, accepted", True, _everywhere(_fault("error_after_accept", status=503))),
    Failure("dropped, not accepted", False, _everywhere(_fault("drop_before_accept"))),
    Failure("dropped, accepted", True, _everywhere(_fault("drop_after_accept"))),
    Failure(
        "cut in the request",
        False,
        _over_http(Way(mishap=_CUT), Way(mishap=_CUT, padding_bytes=LONG_BYTES)),
    ),
    Failure("slow, accepted", True, _everywhere(Way(fault=_SLOW, timeout_s=SHORT_S))),
    Failure(
        "silent, not accepted",
        False,
        _everywhere(Way(fault={"fault": "hold_before_accept"}, timeout_s=SHORT_S)),
    ),
    Failure("connect refused", False, _everywhere(Way(mishap=Mishap(Kind.SHUT)))),
    Failure("GOAWAY, stream above", False, _over_http2(_fault("goaway_before_accept"))),
    Failure("GOAWAY, stream below", True, _over_http2(_fault("goaway_after_accept"))),
    Failure("GOAWAY, then answered", True, _over_http2(_fault("goaway_then_answer"))),
    Failure("RST 7 REFUSED_STREAM", False, _over_http2(_fault("reset_before_accept", error=7))),
    Failure("RST 8 CANCEL", True, _over_http2(_fault("reset_after_accept", error=8))),
    Failure("malformed", True, _over_http(_fault("malformed"), _garbled(b"2\xff0 2.0.0 Ok\r\n"))),
    # 307 asks for the same request again at another place: whoever follows may send twice.
    Failure(
        "30x, accepted",
        True,
        _over_http(_fault("redirect_after_accept", status=307), _garbled(b"354 Go on\r\n")),
    ),
    Failure(
        "HTML, 2xx, accepted",
        True,
        {
            **{v: _fault("html_after_accept", status=status) for v, status in _SUCCESS.items()},
            "smtp": _garbled(b"<!doctype html>\r\n"),
        },
    ),
    # Whoever turns a request away with a page has not passed it on.
    Failure(
        "HTML, 403, not accepted",
        False,
        _over_http(_fault("html_before_accept", status=403), "no pages"),
    ),
    # The one 4xx that a proxy says after it has passed the request on.
    Failure(
        "HTML, 408, accepted",
        True,
        _over_http(_fault("html_after_accept", status=408), "no pages"),
    ),
    Failure(
        "HTML, 503, accepted",
        True,
        _over_http(_fault("html_after_accept", status=503), "no pages"),
    ),
)
