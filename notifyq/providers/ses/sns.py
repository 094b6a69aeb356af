"""What SNS posts to us: the envelope, and whether it is from a topic that we believe.

Owns what is signed (docs.aws.amazon.com/sns, "Verifying the signatures of Amazon SNS messages").
Refuses a topic that is not allowed, however well it is signed: anybody can make a topic of his own
and subscribe us to it. Refuses what is too old: a repeat would only be known already, but nobody
needs to be able to try.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from notifyq.domain.provider import BadCallback, BadSignature, Reported, Unverified
from notifyq.providers.answers import read_object
from notifyq.providers.ses.certificates import Certificates
from notifyq.providers.wire import Wire

# The time is that of publishing, and SNS tries again for an hour at the most ("Amazon SNS message
# delivery retries": a hard limit of 3,600 s). The rest is for clocks.
AGE_MAX = timedelta(hours=2)
AHEAD_MAX = timedelta(minutes=5)

_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
# What is signed of each kind, in this order; Subject only where there is one.
SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
# A topic's setting; 1 is the default. A second text of the same SHA-1 is beyond anybody, though
# two texts of one's own are not: nobody but SNS chooses what it signs.
HASHES: Mapping[str, HashAlgorithm] = {"1": SHA1(), "2": SHA256()}


@dataclass(frozen=True, slots=True)
class Envelope:
    """What SNS posted; nothing in it is believed before `Sns.open` has returned it."""

    kind: str  # one of SIGNED
    topic: str
    message: str
    at: datetime  # aware
    subscribe_url: str  # empty in a notification
    certificate_url: str
    algorithm: HashAlgorithm
    signature: bytes
    signed: bytes


class Sns:
    """The topics that are believed."""

    def __init__(
        self,
        *,
        topics: frozenset[str],
        origins: frozenset[str],
        wire: Wire,
        now: Callable[[], datetime],
    ) -> None:
        """topics: ARNs. origins: see `certificates.checked_origin`; its ValueError."""
        self._topics, self._now = topics, now
        self._certificates = Certificates(origins=origins, wire=wire, now=now)

    async def open(self, body: bytes) -> Envelope | BadSignature | BadCallback | Unverified:
        """Verify what was posted and return it."""
        envelope = _read(body)
        if not isinstance(envelope, Envelope):
            return envelope
        if envelope.topic not in self._topics:
            return BadSignature("topic is not allowed")
        ago = self._now() - envelope.at
        if not -AHEAD_MAX <= ago <= AGE_MAX:
            return BadSignature("too old" if ago > AGE_MAX else "from the future")
        key = await self._certificates.key(envelope.certificate_url)
        if isinstance(key, BadSignature | Unverified):
            return key
        try:
            key.verify(envelope.signature, envelope.signed, PKCS1v15(), envelope.algorithm)
        except InvalidSignature:
            return BadSignature("signature differs")
        return envelope

    async def confirm(self, envelope: Envelope) -> Reported | Unverified:
        """Confirm a subscription, of an envelope that `open` returned."""
        trouble = await self._certificates.call(envelope.subscribe_url)
        return Reported() if trouble is None else Unverified(f"not confirmed: {trouble}")


def _read(body: bytes) -> Envelope | BadSignature | BadCallback:
    found = {name: value for name, value in read_object(body).items() if isinstance(value, str)}
    names = SIGNED.get(found.get("Type", ""), ())
    missing = {*names, "Signature", "SigningCertURL", "SignatureVersion"} - {"Subject"}
    if not names or not missing <= found.keys():
        return BadCallback("not what SNS posts")
    algorithm = HASHES.get(found["SignatureVersion"])
    if algorithm is None:
        return BadSignature("signed by a version that we do not know")
    lines = (f"{name}\n{found[name]}\n" for name in names if name in found)
    try:
        signature = base64.b64decode(found["Signature"], validate=True)
        at = datetime.fromisoformat(found["Timestamp"])
    except ValueError:
        return BadSignature("signature or time is unreadable")
    if at.tzinfo is None:
        return BadSignature("signature or time is unreadable")
    return Envelope(
        kind=found["Type"],
        topic=found["TopicArn"],
        message=found["Message"],
        at=at,
        subscribe_url=found.get("SubscribeURL", ""),
        certificate_url=found["SigningCertURL"],
        algorithm=algorithm,
        signature=signature,
        signed="".join(lines).encode(errors="surrogatepass"),
    )
