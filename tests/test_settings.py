"""Settings: environment over file over defaults; a wrong file names every fault at once."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from notifyq.config.account import LEASE_MARGIN_S
from notifyq.config.read import load, reveal
from notifyq.config.settings import (
    SANDBOX_LOOK_UP_S,
    SANDBOX_NAMES,
    SANDBOX_SETTLE_WINDOW_S,
    Settings,
)
from notifyq.config.vendors import TwilioSettings
from notifyq.domain.model import LIFETIME_S_MAX, Channel, MessageClass
from notifyq.domain.retention import Retention
from notifyq.errors import BadSettings

SID = "AC" + "0123456789abcdef" * 2
SECRET = "do-not-show-me"
ENVIRON = {"TOKEN": SECRET}
PROVIDER = f"""
[providers.main]
vendor = "twilio"
account_sid = "{SID}"
auth_token = {{ env = "TOKEN" }}
"""
WHOLE = (
    """
[region]
name = "us-east"

[routes]
sms = ["main"]
"""
    + PROVIDER
    + """
max_in_flight = 8
timeout_s = 10
lease_s = 20.5
settle_window_s = 60

[senders."+14155550100"]
provider = "main"
brand = "acme"
program = "orders"
campaign = "C123"

[categories."login.code"]
class = "otp"
program = "codes"
expires_in_s = 300

[categories."order.shipped"]

[retention]
dedupe_memory_days = 60
"""
)


def read(folder: Path, text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> Settings:
    """Return the settings of a file with this text."""
    path = folder / "notifyq.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load({**environ, "NOTIFYQ_CONFIG": str(path)})


def faults(folder: Path, text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    """Return the faults that a file is refused with."""
    with pytest.raises(BadSettings) as caught:
        read(folder, text, environ)
    return str(caught.value).splitlines()


def twilio(found: object) -> TwilioSettings:
    """Return the settings of an account at Twilio."""
    assert isinstance(found, TwilioSettings)
    return found


def one_fault(folder: Path, text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> str:
    """Return the only fault that a file is refused with."""
    (fault,) = faults(folder, text, environ)
    return fault


def test_without_a_file_and_an_environment_there_are_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = load({})
    assert found == Settings()
    assert load({"NOTIFYQ_CONFIG": "", "NOTIFYQ_REGION": "", "NOTIFYQ_BIND": ""}) == found
    assert (found.database_url, found.region, found.bind) == (None, "default", "127.0.0.1:8180")
    assert (found.sandbox_url, found.log_level) == (None, "INFO")
    assert found.retention == Retention()


def test_the_file_beside_the_process_is_read_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notifyq.toml").write_text('[region]\nname = "here"\n', encoding="utf-8")
    (tmp_path / "other.toml").write_text('[region]\nname = "there"\n', encoding="utf-8")
    assert load({}).region == "here"
    assert load({"NOTIFYQ_CONFIG": "other.toml"}).region == "there"


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    provider = found.providers["main"]
    assert found.region == "us-east"
    assert found.routes == {Channel.SMS: ["main"]}
    assert (provider.max_in_flight, provider.timeout_s, provider.lease) == (8, 10.0, 20.5)
    assert reveal(twilio(provider).auth_token, ENVIRON) == SECRET
    assert found.senders["+14155550100"].brand == "acme"
    code, shipped = found.categories["login.code"], found.categories["order.shipped"]
    assert (code.message_class, code.program, code.expires_in_s) == ("otp", "codes", 300)
    assert (shipped.message_class, shipped.program) == ("transactional", "default")
    assert shipped.expires_in_s == LIFETIME_S_MAX[MessageClass.TRANSACTIONAL]
    assert found.category("login.code") is code
    assert found.category("no.such") is None
    assert found.retention == Retention(dedupe_memory_days=60)


def test_the_environment_is_over_the_file(tmp_path: Path) -> None:
    environ = {
        **ENVIRON,
        "NOTIFYQ_DATABASE_URL": "postgresql:///other",
        "NOTIFYQ_REGION": "eu-west",
        "NOTIFYQ_BIND": "0.0.0.0:80",
        "NOTIFYQ_PUBLIC_URL": "https://notify.example",
        "NOTIFYQ_SANDBOX_URL": "http://127.0.0.1:8181",
        "NOTIFYQ_LOG_LEVEL": "DEBUG",
    }
    found = read(tmp_path, WHOLE, environ)
    assert found.database_url == "postgresql:///other"
    assert (found.region, found.bind, found.log_level) == ("eu-west", "0.0.0.0:80", "DEBUG")
    assert found.public_url == "https://notify.example"
    assert found.sandbox_url == "http://127.0.0.1:8181"
    assert set(found.providers) == {"main"}


def test_a_category_may_go_by_accounts_of_its_own(tmp_path: Path) -> None:
    text = WHOLE + '\n[categories."mail.out".routes]\nsms = ["main"]\n'
    found = read(tmp_path, text).category("mail.out")
    assert found is not None
    assert found.routes == {Channel.SMS: ("main",)}
    wrong = WHOLE + '\n[categories."mail.out".routes]\nsms = ["other"]\n'
    assert one_fault(tmp_path, wrong).startswith("categories.mail.out.routes.sms: 'other' is no")


def test_settings_cannot_be_changed_once_read(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    with pytest.raises(ValidationError, match="frozen"):
        found.region = "other"
    with pytest.raises(ValidationError, match="frozen"):
        found.providers["main"].timeout_s = 1.0


# What is wrong, and the start of the line that names it. All of it stands in one file.
EVERYTHING_WRONG = f"""
typo = 1
retentions = {{}}

[region]
name = "US East"
zone = "a"

[routes]
sms = ["nobody", 3, "short"]
email = ["main"]
pigeon = ["x"]

[providers.odd]
vendor = "pigeon"
account_sid = "of nobody"

[providers.half]
vendor = "sinch"
service_plan_id = "plan"

[providers.short]
vendor = "twilio"
account_sid = "short"
auth_token = {{ env = "NOT_THERE" }}
timeout_s = 30
lease_s = 34.9
max_in_flight = 0
retries = 3

[providers.main]
vendor = "twilio"
account_sid = "{SID}"
auth_token = {{ file = "no/such/file" }}
timeout_s = "30"
base_url = "ftp://x"

[providers."a/b"]
vendor = "twilio"
account_sid = "{SID}"
auth_token = "{SECRET}"

[senders."+1415555"]
provider = "nobody"
brand = "Acme Inc"

[senders."+1 415 555 0100"]
provider = "main"

[categories.code]
class = "otp"
expires_in_s = 601
program = "A B"

[categories.sale]
class = "marketing"
hours = "courtesy"
cap = 4

[retention]
dedupe_memory_days = 37
forever_days = 1
"""
NAMED = [
    "typo: unknown; the tables are [region], [routes], [providers], [senders]",
    "retentions: unknown; the tables are",
    "region.name: string should match",
    "region.zone: unknown setting",
    "routes.sms.1: input should be a valid string",
    "routes.email: 'main' is a provider of sms; remove it",
    "routes.pigeon: unknown setting",
    "providers.odd.vendor: must be one of twilio, sinch, ses, sendgrid, smtp, apns, fcm",
    "providers.half: needs service_plan_id and api_token, or project_id, key_id and key_secret",
    "providers.short.account_sid: string should match",
    "providers.short.max_in_flight: input should be greater than or equal to 1, is 0",
    "providers.short.lease_s: must be 35 or more (timeout_s + 5): a send must end before its "
    "lease, is 34.9",
    "providers.short.retries: unknown setting",
    "providers.main.base_url: string should match",
    "providers.main.timeout_s: input should be a valid number, is '30'",
    "providers.a/b.auth_token: must be { env",
    "senders.+1415555.brand: string should match",
    "senders.+1 415 555 0100.brand: is required",
    "categories.code.program: string should match",
    "categories.code.expires_in_s: must be 600 or less for class otp, is 601",
    "categories.sale.hours: must be \"legal\" for class marketing, is 'courtesy'",
    "categories.sale.cap: must be 3 or less for class marketing, is 4",
    "retention.forever_days: unknown setting",
    "retention.dedupe_memory_days: must be more than 37 (",
    "routes.sms: 'nobody' is no provider; add [providers.nobody] or remove it",
    "providers.short.auth_token: the variable 'NOT_THERE' is not set",
    "providers.main.auth_token: [Errno 2]",
    "providers.a/b: string should match",
    'senders."+1415555".provider: ' + "'nobody' is no provider",
    'senders."+1415555": is not a number that its country gives out',
    'senders."+1 415 555 0100": write it as +14155550100',
    "NOTIFYQ_BIND: the port must be 65535 or less, is 'localhost:65536'",
    "NOTIFYQ_LOG_LEVEL: input should be 'DEBUG', 'INFO', 'WARNING' or 'ERROR', is 'TRACE'",
]


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    environ = {**ENVIRON, "NOTIFYQ_BIND": "localhost:65536", "NOTIFYQ_LOG_LEVEL": "TRACE"}
    found = faults(tmp_path, EVERYTHING_WRONG, environ)
    unnamed = [start for start in NAMED if not any(fault.startswith(start) for fault in found)]
    surplus = [fault for fault in found if not any(fault.startswith(start) for start in NAMED)]
    assert (unnamed, surplus) == ([], [])
    assert len(found) == len(set(found)) == len(NAMED)
    assert SECRET not in "\n".join(found)


def test_a_refused_file_changes_nothing(tmp_path: Path) -> None:
    environ = {**ENVIRON, "NOTIFYQ_LOG_LEVEL": "TRACE"}
    before, outer = dict(environ), dict(os.environ)
    assert faults(tmp_path, EVERYTHING_WRONG, environ)
    assert (environ, dict(os.environ)) == (before, outer)
    assert [path.name for path in tmp_path.iterdir()] == ["notifyq.toml"]
    assert (tmp_path / "notifyq.toml").read_text(encoding="utf-8") == EVERYTHING_WRONG
    assert read(tmp_path, WHOLE)  # nothing of the refused one is remembered


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("providers = 3", "providers: must be a table, [providers]"),
        ("[[routes]]\nsms = []", "routes: must be a table, [routes]"),
        ("[providers]\nmain = 3", "providers.main: input should be a valid dictionary"),
        ('[senders]\n"+14155550100" = 3', "senders.+14155550100: input should be"),
        ('[routes]\nsms = "main"', "routes.sms: input should be a valid list, is 'main'"),
        ('[region]\nname = ""', "region.name: string should match"),
        ("[region]\nname = 1", "region.name: input should be a valid string, is 1"),
        ('[region]\nzone = "x"', "region.zone: unknown setting"),
        ("[categories.x]\nexpires_in_s = 0", "categories.x.expires_in_s: input should be greater"),
        ("[categories.x]\nexpires_in_s = 9.5", "categories.x.expires_in_s: input should be"),
        ('[categories.x]\nmessage_class = "otp"', "categories.x.message_class: unknown setting"),
        ("[retention]\nkafka_days = 7.0", "retention.kafka_days: must be a whole number"),
        ('[retention]\nkafka_days = "7"', "retention.kafka_days: must be a whole number"),
        ("[retention]\nkafka_days = true", "retention.kafka_days: must be a whole number"),
        ("[retention]\nkafka_days = 0", "retention.kafka_days: must be 1 or more, is 0"),
        ("[retention]\nkafka = 7", "retention.kafka: unknown setting"),
    ],
)
def test_a_wrong_table_key_or_type_is_named_by_its_path(
    tmp_path: Path, text: str, fault: str
) -> None:
    found = faults(tmp_path, text)
    assert any(each.startswith(fault) for each in found), found


def test_a_table_that_is_none_hides_no_fault_in_the_others(tmp_path: Path) -> None:
    text = "senders = 3\n[region]\nzone = 1\n" + PROVIDER.replace("TOKEN", "NOT_THERE")
    assert faults(tmp_path, text) == [
        "senders: must be a table, [senders]",
        "region.name: is required",
        "region.zone: unknown setting",
        "providers.main.auth_token: the variable 'NOT_THERE' is not set",
    ]


@pytest.mark.parametrize("setting", ["timeout_s", "settle_window_s", "max_in_flight", "lease_s"])
@pytest.mark.parametrize("value", ['"30"', "true", "nan", "-inf", "[]"])
def test_a_number_is_not_guessed_from_something_else(
    tmp_path: Path, setting: str, value: str
) -> None:
    fault = one_fault(tmp_path, f"{PROVIDER}{setting} = {value}")
    assert fault.startswith(f"providers.main.{setting}: ")


@pytest.mark.parametrize(
    ("setting", "taken", "refused"),
    [
        ("timeout_s", (0.1, 120), (0.09, 120.01)),
        ("settle_window_s", (1, 604_800), (0.99, 604_801)),
        ("max_in_flight", (1, 1_000), (0, 1_001)),
        ("lease_s", (35, 300), (34.99, 300.01)),
    ],
)
def test_a_number_is_held_to_its_bounds(
    tmp_path: Path, setting: str, taken: tuple[float, ...], refused: tuple[float, ...]
) -> None:
    for value in taken:
        found = read(tmp_path, f"{PROVIDER}{setting} = {value}")
        assert getattr(found.providers["main"], setting) == value
    for value in refused:
        fault = one_fault(tmp_path, f"{PROVIDER}{setting} = {value}")
        assert fault.startswith(f"providers.main.{setting}: ")


def test_look_ups_that_nobody_set_are_the_vendors_as_far_as_they_fit_the_window(
    tmp_path: Path,
) -> None:
    def look_ups(text: str) -> tuple[float, ...]:
        return read(tmp_path, PROVIDER + text).providers["main"].look_ups

    assert look_ups("") == (5, 30, 120, 600, 1_800)
    assert look_ups("settle_window_s = 2555") == (5, 30, 120, 600)  # the last would be too late
    assert look_ups("settle_window_s = 2556") == (5, 30, 120, 600, 1_800)
    assert look_ups("settle_window_s = 5") == ()
    assert look_ups("look_up_s = []") == ()
    assert look_ups("look_up_s = [0.5, 60]") == (0.5, 60)
    assert look_ups(f"look_up_s = {[1] * 20}") == (1,) * 20


def test_the_sandboxs_look_ups_fit_its_window() -> None:
    assert sum(SANDBOX_LOOK_UP_S) < SANDBOX_SETTLE_WINDOW_S


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("look_up_s = 5", "look_up_s", "list"),
        ("look_up_s = [0]", "look_up_s.0", "greater than 0"),
        ("look_up_s = [5, -1]", "look_up_s.1", "greater than 0"),
        ("look_up_s = [nan]", "look_up_s.0", "less than or equal to 604800"),
        ("look_up_s = [inf]", "look_up_s.0", "less than or equal to 604800"),
        ('look_up_s = ["5"]', "look_up_s.0", "number"),
        (f"look_up_s = {[1] * 21}", "look_up_s", "at most 20"),
        ("look_up_s = [3600]", "look_up_s", "less than settle_window_s (3600)"),
        ("settle_window_s = 10\nlook_up_s = [4, 6]", "look_up_s", "settle_window_s (10)"),
    ],
)
def test_look_ups_end_before_the_window_does(
    tmp_path: Path, text: str, place: str, says: str
) -> None:
    fault = one_fault(tmp_path, PROVIDER + text)
    assert fault.startswith(f"providers.main.{place}: ")
    assert says in fault


AGAIN = '\n[categories.codes]\nin_doubt = "at_least_once"\n'


@pytest.mark.parametrize(
    ("window_s", "resend", "after_s"),
    [
        (61, "resend_after_s = 60", 60),
        (60, "resend_after_s = 60", 60),
        (59.5, "resend_after_s = 60", 60),
        (15.5, "", 15),  # nobody set it
        (15, "", 15),
    ],
)
def test_a_resend_comes_before_the_settle_window_closes(
    tmp_path: Path, window_s: float, resend: str, after_s: int
) -> None:
    text = f"{PROVIDER}settle_window_s = {window_s}\n{AGAIN}{resend}"
    if window_s > after_s:
        found = read(tmp_path, text).category("codes")
        assert found is not None
        assert found.resend_after_s == after_s
    else:
        assert one_fault(tmp_path, text) == (
            "categories.codes.resend_after_s: must be less than providers.main.settle_window_s "
            f"({window_s:g}): after it nothing is sent again, is {after_s}; lower the one or raise "
            "the other"
        )


def test_a_resend_comes_before_every_accounts_window_closes(tmp_path: Path) -> None:
    other = PROVIDER.replace("providers.main", "providers.spare") + "settle_window_s = 30\n"
    fault = one_fault(tmp_path, f"{PROVIDER}{other}{AGAIN}resend_after_s = 30")
    assert "providers.spare.settle_window_s (30)" in fault
    assert read(tmp_path, f"{PROVIDER}{other}{AGAIN}resend_after_s = 29")


@pytest.mark.parametrize(("lease_s", "refused"), [(14.999, True), (15, False), (15.001, False)])
def test_a_lease_lasts_as_long_as_a_send_and_its_margin(
    tmp_path: Path, lease_s: float, refused: bool
) -> None:
    text = f"{PROVIDER}timeout_s = 10\nlease_s = {lease_s}"
    assert LEASE_MARGIN_S == 5
    if refused:
        assert one_fault(tmp_path, text) == (
            "providers.main.lease_s: must be 15 or more (timeout_s + 5): a send must end before "
            "its lease, is 14.999"
        )
    else:
        assert read(tmp_path, text).providers["main"].lease == lease_s


def test_a_lease_that_nobody_set_follows_the_timeout(tmp_path: Path) -> None:
    assert read(tmp_path, f"{PROVIDER}timeout_s = 120").providers["main"].lease == 125
    assert "lease_s: must be 35" in one_fault(tmp_path, f"{PROVIDER}lease_s = 34")  # timeout 30


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        ("14155550100", "must be in international form"),
        ("+1415555010", "is not a number that its country gives out"),
        ("+1-415-555-0100", "write it as +14155550100"),
        ("ACME", "must be in international form"),
    ],
)
def test_a_sender_is_a_number_in_its_normal_form(tmp_path: Path, number: str, mend: str) -> None:
    text = f'{PROVIDER}[senders."{number}"]\nprovider = "main"\nbrand = "acme"'
    assert one_fault(tmp_path, text).startswith(f'senders."{number}": {mend}')


def test_routes_and_senders_name_providers_that_are_there(tmp_path: Path) -> None:
    text = '[routes]\nsms = ["main", "spare"]\n' + PROVIDER
    text += '[senders."+14155550100"]\nprovider = "spare"\nbrand = "acme"\ncampaign = "C1"'
    assert faults(tmp_path, text) == [
        "routes.sms: 'spare' is no provider; add [providers.spare] or remove it",
        "senders.\"+14155550100\".provider: 'spare' is no provider",
    ]


def test_no_provider_may_take_the_name_of_the_sandbox(tmp_path: Path) -> None:
    name = min(SANDBOX_NAMES)
    fault = one_fault(tmp_path, PROVIDER.replace("main", name))
    assert fault == (f"providers.{name}: the name is taken by the sandbox's own; choose another")


def test_a_secret_is_read_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    text = PROVIDER.replace('env = "TOKEN"', f'file = "{secret}"')
    for written, revealed in [("s3cret", "s3cret"), ("s3cret\n", "s3cret")]:
        secret.write_text(written, encoding="utf-8")
        main = twilio(read(tmp_path, text, {}).providers["main"])
        assert reveal(main.auth_token, {}) == revealed


@pytest.mark.parametrize("wrong", ["zq\n", " zq", "zq ", "z\0q", "z\nq", "z\tq", "z\u00e9q"])
def test_a_secret_that_no_header_takes_is_refused_at_start(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(BadSettings, match=r"main\.auth_token: the secret has a") as refused:
        read(tmp_path, PROVIDER, {"TOKEN": wrong})
    assert wrong not in str(refused.value)


def test_a_secret_that_cannot_be_had_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "binary").write_bytes(b"\xff" + SECRET.encode())
    where = "providers.main.auth_token: "
    for path, reason in [
        (tmp_path / "missing", "[Errno 2] No such file"),
        (tmp_path, "[Errno 21] Is a directory"),
        (tmp_path / "empty", "the secret is empty"),
        (tmp_path / "binary", "the file is not UTF-8 text"),
    ]:
        text = PROVIDER.replace('env = "TOKEN"', f'file = "{path}"')
        assert one_fault(tmp_path, text).startswith(where + reason)
    assert one_fault(tmp_path, PROVIDER, {}) == where + "the variable 'TOKEN' is not set"
    assert one_fault(tmp_path, PROVIDER, {"TOKEN": ""}) == where + "the secret is empty"


@pytest.mark.parametrize(
    "written",
    [
        f'"{SECRET}"',
        f'["{SECRET}"]',
        f'{{ value = "{SECRET}" }}',
        f'{{ env = "TOKEN", file = "{SECRET}" }}',
        "{ env = 1 }",
        "{}",
    ],
)
def test_a_secret_in_the_file_is_refused_and_never_shown(tmp_path: Path, written: str) -> None:
    fault = one_fault(tmp_path, PROVIDER.replace('{ env = "TOKEN" }', written))
    assert fault == ('providers.main.auth_token: must be { env = "NAME" } or { file = "PATH" }')


def test_a_secret_is_not_in_what_the_settings_print(tmp_path: Path) -> None:
    assert SECRET not in repr(read(tmp_path, WHOLE))


@pytest.mark.parametrize(
    ("term", "days"),
    [
        ("client_retry_days", 6),
        ("kafka_days", 10),
        ("longest_hold_days", 10),
        ("retry_horizon_days", 6),
        ("dead_letter_days", 17),
        ("redrive_run_days", 4),
        ("failover_days", 4),
    ],
)
def test_a_broken_retention_order_is_refused_with_the_term(
    tmp_path: Path, term: str, days: int
) -> None:
    text = "[retention]\ncontent_days = 90\n"
    assert getattr(read(tmp_path, f"{text}{term} = {days - 1}").retention, term) == days - 1
    fault = one_fault(tmp_path, f"{text}{term} = {days}")
    assert fault.startswith("retention.dedupe_memory_days: must be more than 40 (")
    assert f"{term} {days}" in fault


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "localhost:8180", "[::1]:65535", "host:00080"])
def test_a_bind_is_host_and_port(tmp_path: Path, bind: str) -> None:
    assert read(tmp_path, "", {"NOTIFYQ_BIND": bind}).bind == bind


@pytest.mark.parametrize(
    "bind",
    [
        *("8180", ":8180", "host", "host:", "host:x", "host:-1"),
        *("host:65536", "host:99999", "host:100000"),
        *("my host:80", "host: 80", "host:80 ", "host:80\n"),
    ],
)
def test_a_malformed_bind_is_named_by_its_variable(tmp_path: Path, bind: str) -> None:
    assert one_fault(tmp_path, "", {"NOTIFYQ_BIND": bind}).startswith("NOTIFYQ_BIND: ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NOTIFYQ_REGION", "US East"),
        ("NOTIFYQ_REGION", "x" * 64),
        ("NOTIFYQ_PUBLIC_URL", "notify.example"),
        ("NOTIFYQ_PUBLIC_URL", "https://notify.example/"),
        ("NOTIFYQ_PUBLIC_URL", "https://notify.example?x=1"),
        ("NOTIFYQ_SANDBOX_URL", "ftp://sandbox"),
        ("NOTIFYQ_LOG_LEVEL", "debug"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, value: str) -> None:
    assert one_fault(tmp_path, "", {variable: value}).startswith(f"{variable}: ")


def test_a_region_has_one_rule_in_file_and_environment(tmp_path: Path) -> None:
    longest = "r" * 63
    assert read(tmp_path, f'[region]\nname = "{longest}"').region == longest
    assert read(tmp_path, "", {"NOTIFYQ_REGION": longest}).region == longest


@pytest.mark.parametrize("message_class", ["emergency", "otp", "transactional"])
def test_a_category_lives_no_longer_than_its_class_may(tmp_path: Path, message_class: str) -> None:
    longest_s = LIFETIME_S_MAX[MessageClass(message_class)]
    text = f'[categories."a.b"]\nclass = "{message_class}"\n'
    for given_s in (1, longest_s - 1, longest_s):
        found = read(tmp_path, f"{text}expires_in_s = {given_s}").categories["a.b"]
        assert found.expires_in_s == given_s
    assert read(tmp_path, text).categories["a.b"].expires_in_s == longest_s
    assert one_fault(tmp_path, f"{text}expires_in_s = {longest_s + 1}") == (
        f"categories.a.b.expires_in_s: must be {longest_s} or less for class {message_class}, "
        f"is {longest_s + 1}"
    )


SALE = '[categories.sale]\nclass = "marketing"\n'


def test_marketing_has_legal_hours_and_a_cap_and_a_program_of_its_own(tmp_path: Path) -> None:
    found = read(tmp_path, SALE + 'program = "offers"').categories["sale"]
    assert (found.hours, found.cap, found.is_mandatory) == ("legal", 3, False)
    for beside, other in (
        ("", "'default' has whatever names no program too"),
        ("[categories.receipt]\nexpires_in_s = 60", "'default' has receipt too"),
    ):
        fault = one_fault(tmp_path, SALE + beside)
        assert fault.startswith("categories.sale.program: marketing needs a program that nothing")
        assert other in fault
    offers = SALE + 'program = "offers"\n'
    fault = one_fault(tmp_path, offers + '[categories.receipt]\nprogram = "offers"')
    assert "'offers' has receipt too" in fault


def test_a_stop_reaches_marketing(tmp_path: Path) -> None:
    separate = "[programs.offers]\nseparate = true"
    fault = one_fault(tmp_path, SALE + f'program = "offers"\n{separate}')
    assert fault.startswith("categories.sale.program: a STOP must reach marketing, and 'offers' is")
    apart = separate.replace("true", "false")
    found = read(tmp_path, SALE + f'program = "offers"\n{apart}').categories["sale"]
    assert not found.is_separate


@pytest.mark.parametrize(
    ("named", "hours", "mandatory"),
    [
        ("emergency", "any", True),
        ("otp", "any", True),
        ("transactional", "recipient", False),
        ("marketing", "legal", False),
    ],
)
def test_each_class_has_its_hours(tmp_path: Path, named: str, hours: str, mandatory: bool) -> None:
    text = f'[categories.one]\nclass = "{named}"\nprogram = "own"'
    found = read(tmp_path, text).categories["one"]
    assert (found.hours, found.is_mandatory) == (hours, mandatory)


@pytest.mark.parametrize(("cap", "mend"), [(0, "greater than or equal to 1"), (25, "equal to 24")])
def test_a_cap_has_bounds(tmp_path: Path, cap: int, mend: str) -> None:
    assert mend in one_fault(tmp_path, f"[categories.one]\ncap = {cap}")
    for right in (1, 24):
        text = f"[categories.one]\ncap = {right}"
        assert read(tmp_path, text).categories["one"].cap == right


def test_only_an_emergency_has_templates_that_pass_an_opt_out(tmp_path: Path) -> None:
    approved = 'approved_templates = ["acme/boil-water@3"]'
    text = f'[categories.water]\nclass = "emergency"\n{approved}'
    assert read(tmp_path, text).categories["water"].approved == ("acme/boil-water@3",)
    fault = one_fault(tmp_path, f"[categories.water]\n{approved}")
    assert "stands with class emergency only" in fault


@pytest.mark.parametrize(
    "name",
    [
        *("boil-water", "boil-water@3", "acme/boil-water", "acme/boil-water@", "acme/@3"),
        *("/boil-water@3", "acme/boil-water@0", "acme/boil-water@v3", "acme/boil-water@3 "),
        *("acme/x/boil-water@3", "Acme/boil-water@3", "acme/boil-water@*", "*/boil-water@3"),
    ],
)
def test_an_approved_text_is_named_in_full(tmp_path: Path, name: str) -> None:
    text = f'[categories.water]\nclass = "emergency"\napproved_templates = ["a/b@1", "{name}"]'
    assert one_fault(tmp_path, text) == (
        "categories.water.approved_templates.1: must be a tenant, its template and the version: "
        f'"acme/boil-water@3", is {name!r}'
    )


SENDER = PROVIDER + '[senders."{number}"]\nprovider = "main"\nbrand = "acme"\n{more}'


@pytest.mark.parametrize(
    ("number", "more", "mend"),
    [
        ("+14155550100", "", ".campaign: is required: the 10DLC campaign"),
        ("+14155550100", "verified = true", ".campaign: is required"),
        ("+18005550100", "", ": is toll-free and not verified"),
    ],
)
def test_an_unregistered_sender_is_refused(
    tmp_path: Path, number: str, more: str, mend: str
) -> None:
    found = one_fault(tmp_path, SENDER.replace("{number}", number).replace("{more}", more))
    assert found.startswith(f'senders."{number}"{mend}')


@pytest.mark.parametrize(
    ("number", "more"),
    [
        ("+14155550100", 'campaign = "C123"'),
        ("+18005550100", "verified = true"),
        ("+442079460000", ""),  # not of the United States
        ("+14165550100", ""),  # Toronto
    ],
)
def test_a_registered_sender_speaks(tmp_path: Path, number: str, more: str) -> None:
    text = SENDER.replace("{number}", number).replace("{more}", more)
    assert number in read(tmp_path, text).senders


@pytest.mark.parametrize("reply", ["stop_text", "start_text", "help_text"])
def test_a_program_s_replies_name_only_what_is_known(tmp_path: Path, reply: str) -> None:
    fault = one_fault(tmp_path, f'[programs.orders]\n{reply} = "{{nobody}}"')
    assert fault.startswith(f"programs.orders.{reply}: may name {{brand}}, {{program}} and")
    text = f'[programs.orders]\n{reply} = "{{brand}} {{program}} {{contact}}"'
    assert getattr(read(tmp_path, text).programs["orders"], reply).startswith("{brand}")


def test_a_separate_program_marks_its_categories(tmp_path: Path) -> None:
    text = '[programs.codes]\nseparate = true\n[categories.code]\nprogram = "codes"'
    assert read(tmp_path, text).categories["code"].is_separate
    assert not read(tmp_path, '[categories.code]\nprogram = "codes"').categories["code"].is_separate


def test_a_named_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(BadSettings, match=r"none\.toml: cannot be read: .*No such file"):
        load({"NOTIFYQ_CONFIG": str(path)})


@pytest.mark.parametrize(
    "text", ["[region", "name = ", 'a = "x"\na = "y"', b"\xff\xfe", "[a]\n[a]"], ids=repr
)
def test_a_file_that_is_no_toml_is_a_fault_beside_the_environments(
    tmp_path: Path, text: str | bytes
) -> None:
    first, second = faults(tmp_path, text, {"NOTIFYQ_LOG_LEVEL": "x"})
    assert "notifyq.toml: cannot be read: " in first
    assert second.startswith("NOTIFYQ_LOG_LEVEL: ")
