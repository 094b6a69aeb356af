"""What the settings' tables must be to each other: names, secrets, routes, senders.

The checks look at the file's own words: a fault in one setting hides no fault in another. Each
returns its faults, one a line, with the mend.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from notifyq.config.account import AccountSettings
from notifyq.config.fields import EnvSecret, FileSecret, Secret, Word
from notifyq.config.settings import SANDBOX_NAMES
from notifyq.config.vendors import VENDORS, VendorSettings
from notifyq.domain.address import BadAddress, is_toll_free, normal, sends_in_us
from notifyq.domain.model import Channel

_NAME: TypeAdapter[str] = TypeAdapter(Word)
_SECRET: TypeAdapter[Secret] = TypeAdapter(Secret)
_SECRETS_BY_NAME = ("shared_keys",)  # tables of secrets
# Keys of several lines. All others travel in one line of a header, where a stray line break would
# make every send fail; SMTP's password may be in any script.
_OF_LINES = ("private_key", "service_account", "webhook_public_key")
_OF_ANY_SCRIPT = ("password",)

Tables = Mapping[str, Any]


def name_faults(where: str, name: str) -> Iterator[str]:
    """An account's name is a word, and not one of the sandbox's own."""
    if name in SANDBOX_NAMES:  # test keys would reach the real account
        yield f"{where}: the name is taken by the sandbox's own; choose another"
    try:
        _NAME.validate_python(name)
    except ValidationError as error:
        yield from (fault_of(where, detail) for detail in error.errors())


def secret_faults(
    where: str, kind: type[AccountSettings], entry: Tables, environ: Mapping[str, str]
) -> Iterator[str]:
    """Every secret of an account is there."""
    for field in secret_fields(kind):
        held = entry.get(field)
        by_name = held if field in _SECRETS_BY_NAME and isinstance(held, dict) else {"": held}
        for name, secret in by_name.items():
            at = f"{where}.{field}.{name}".removesuffix(".")
            yield from _secret_faults(at, secret, environ, field=field)


def _secret_faults(
    where: str, held: object, environ: Mapping[str, str], *, field: str
) -> Iterator[str]:
    try:
        secret = "-" if held is None else _SECRET.validate_python(held).reveal(environ)
        if not secret:
            yield f"{where}: the secret is empty"
        elif field not in _OF_LINES and (secret != secret.strip() or not secret.isprintable()):
            rule = "a line break, a blank at an end or a control character: write it without"
            yield f"{where}: the secret has {rule}"
        elif field not in (*_OF_LINES, *_OF_ANY_SCRIPT) and not secret.isascii():
            yield f"{where}: the secret has a character that is not ASCII: write it as it was given"
    except ValidationError:
        pass  # no secret: named before
    except KeyError as error:
        yield f"{where}: the variable {error} is not set"
    except UnicodeDecodeError:  # its text would show some of the secret
        yield f"{where}: the file is not UTF-8 text"
    except (OSError, ValueError) as error:
        yield f"{where}: {error}"


def secret_fields(kind: type[AccountSettings]) -> list[str]:
    """Return which of an account's settings are secrets."""
    secret: set[object] = {EnvSecret, FileSecret}
    return [
        name
        for name, field in kind.model_fields.items()
        if name in _SECRETS_BY_NAME or secret <= set(get_args(field.annotation))
    ]


def route_faults(routes: Tables, categories: Tables, providers: Tables) -> Iterator[str]:
    """Every account that a route names is there and serves the channel."""
    yield from _route_faults("routes", routes, providers)
    for name, entry in categories.items():
        if isinstance(entry, dict) and isinstance(entry.get("routes"), dict):
            yield from _route_faults(f"categories.{name}.routes", entry["routes"], providers)


def _route_faults(where: str, route: Tables, providers: Tables) -> Iterator[str]:
    named = [(c, name) for c, n in route.items() for name in (n if isinstance(n, list) else [])]
    for channel, name in named:
        if not isinstance(name, str) or channel not in _CHANNELS:
            continue  # what it is instead is named by its model
        kind = vendor_of(providers.get(name))
        if name not in providers:
            yield f"{where}.{channel}: {name!r} is no provider; add [providers.{name}] or remove it"
        elif kind is not None and channel != kind.CHANNEL:
            yield f"{where}.{channel}: {name!r} is a provider of {kind.CHANNEL}; remove it"


_CHANNELS = (Channel.SMS, Channel.EMAIL, Channel.PUSH)


def vendor_of(entry: object) -> type[VendorSettings] | None:
    """Return the kind of settings that an account's table has; None if it names no vendor."""
    named = entry.get("vendor") if isinstance(entry, dict) else None
    return VENDORS.get(named) if isinstance(named, str) else None


def sender_faults(senders: Tables, providers: Tables) -> Iterator[str]:
    """A sender is a number or a mail address as it is compared, and speaks by known accounts."""
    for address, sender in senders.items():
        where = f'senders."{address}"'
        named = sender.get("provider") if isinstance(sender, dict) else None
        for name in named if isinstance(named, list) else [named]:
            if isinstance(name, str) and name not in providers:
                yield f"{where}.provider: {name!r} is no provider"
        try:
            channel = Channel.EMAIL if "@" in address else Channel.SMS
            if (right := normal(channel, address)) != address:
                yield f"{where}: write it as {right}"
            elif channel is Channel.SMS and isinstance(sender, dict):
                yield from _registration_faults(where, address, sender)
        except BadAddress as error:
            yield f"{where}: {error}"


def _registration_faults(where: str, number: str, sender: Tables) -> Iterator[str]:
    """Carriers of the United States block numbers that are registered for nothing."""
    if not sends_in_us(number) or sender.get("campaign"):
        return
    if is_toll_free(number):
        if not sender.get("verified"):
            yield f"{where}: is toll-free and not verified; set verified = true once it is"
    else:
        yield f"{where}.campaign: is required: the 10DLC campaign that the number belongs to"


def fault_of(where: str, detail: ErrorDetails) -> str:
    """Return what is wrong with one setting, in a line."""
    path = ".".join(
        [where, *(str(part) for part in detail["loc"])] if where else map(str, detail["loc"])
    )
    if where.startswith("providers.") and detail["loc"] and detail["loc"][0] in _SECRETS:
        # What stands there instead may be the secret itself: it is not shown.
        depth = 2 if detail["loc"][0] in _SECRETS_BY_NAME else 1
        held = ".".join(str(part) for part in detail["loc"][:depth])
        return f'{where}.{held}: must be {{ env = "NAME" }} or {{ file = "PATH" }}'
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown setting"
    if detail["type"] == "missing":
        return f"{path}: is required"
    shown = "" if isinstance(detail["input"], dict | list) else f", is {detail['input']!r}"
    return f"{path}: {detail['msg'][0].lower()}{detail['msg'][1:]}{shown}"


_SECRETS = frozenset(name for kind in VENDORS.values() for name in secret_fields(kind))
