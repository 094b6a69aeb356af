"""What an account at each vendor needs: bounds, defaults and their reasons."""

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from notifyq.config.account import AccountSettings
from notifyq.config.fields import EnvSecret, FileSecret, Url
from notifyq.domain.model import Channel
from notifyq.domain.pace import Pace

# firebase.google.com, "scale-fcm": from 0 to the peak in 60 s or more, and no burst within two
# minutes around :00, :15, :30 and :45, when everybody's jobs start. Half of the peak is ours there.
FCM_RAMP_S = 60.0
FCM_QUIET_SHARE = 0.5
Secret = EnvSecret | FileSecret
Text = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^\S+$")]
PathWord = Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,128}$")]  # it stands in a URL's path


class TwilioSettings(AccountSettings):
    """Twilio: text messages."""

    CHANNEL = Channel.SMS
    # Callbacks come within seconds, so the first look-up waits for one; the list lags by seconds,
    # at times by a quarter of an hour and more, so the last ones come late.
    LOOK_UP_S = (5, 30, 120, 600, 1_800)

    vendor: Literal["twilio"]
    base_url: Url = "https://api.twilio.com"
    account_sid: Annotated[str, Field(pattern="^AC[0-9a-f]{32}$")]
    auth_token: Secret
    # Twilio itself may take 26 s before it answers 500; less makes doubts out of slow answers.
    timeout_s: Annotated[float, Field(ge=0.1, le=120)] = 30.0
    # The keys that callbacks may be signed by (SHA-256), each under the name that Twilio gave it.
    shared_keys: dict[Text, Secret] = Field(default_factory=dict)
    # Where there are shared keys: whether callbacks signed with auth_token (SHA-1) count as well.
    # For the days of a change-over: whoever holds either secret can then sign.
    token_too: bool = False


class SinchSettings(AccountSettings):
    """Sinch: text messages, by a service plan's token or a project's key."""

    CHANNEL = Channel.SMS
    # The list is filtered by our reference; how far it lags is not documented.
    LOOK_UP_S = (2, 10, 60, 600)

    vendor: Literal["sinch"]
    # Of the account's region; a project's is https://zt.us.sms.api.sinch.com.
    base_url: Url = "https://us.sms.api.sinch.com"
    service_plan_id: PathWord | None = None
    api_token: Secret | None = None
    project_id: PathWord | None = None
    key_id: Text | None = None
    key_secret: Secret | None = None
    auth_url: Url = "https://auth.sinch.com/oauth2/token"
    # Signs callbacks; without it every callback is refused.
    callback_secret: Secret | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "SinchSettings":
        plan = (self.service_plan_id, self.api_token)
        project = (self.project_id, self.key_id, self.key_secret)
        whole = (None not in plan, None not in project)
        parts = any(each is not None for each in (project if whole[0] else plan))
        if sum(whole) != 1 or parts:
            rule = "needs service_plan_id and api_token, or project_id, key_id and key_secret"
            raise PydanticCustomError("credentials", "{rule}", {"rule": rule})
        return self


class SesSettings(AccountSettings):
    """Amazon SES v2: mail."""

    CHANNEL = Channel.EMAIL

    vendor: Literal["ses"]
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$")]
    base_url: Url | None = None  # None: https://email.<region>.amazonaws.com
    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = None
    # Without one SES reports nothing back: what was accepted stays `sent`.
    configuration_set: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    # SNS topics that events are believed from.
    topics: list[Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]+:\S+$")]] = (
        Field(default_factory=list)
    )
    # Where certificates of SNS and confirmations of subscriptions may lie. None: SNS's own hosts.
    certificate_url: Url | None = None


class SendGridSettings(AccountSettings):
    """SendGrid: mail."""

    CHANNEL = Channel.EMAIL
    # The API takes 6 requests a minute, of all lanes together.
    LOOK_UP_S = (60, 600, 1_800)

    vendor: Literal["sendgrid"]
    base_url: Url = "https://api.sendgrid.com"
    api_key: Secret
    # Verifies events: base64, as the mail settings show it. Without it every event is refused.
    webhook_public_key: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$")] | None = None
    # Whether the account has bought the Email Activity API: it alone lists messages.
    email_activity: bool = False

    @property
    def look_ups(self) -> tuple[float, ...]:
        """As every account's, where there is a list at all."""
        return super().look_ups if self.email_activity else ()


class SmtpSettings(AccountSettings):
    """Any mail server that takes messages by SMTP."""

    CHANNEL = Channel.EMAIL

    vendor: Literal["smtp"]
    # smtps: TLS from the start; smtp: STARTTLS, refused without; smtp+plain: neither, and then no
    # password but to this machine itself.
    base_url: Annotated[str, Field(pattern=r"^(smtps|smtp|smtp\+plain)://[^\s/?#@]+$")]
    username: Text | None = None
    password: Secret | None = None
    hello: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,255}$")] | None = None
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] = 8  # servers allow few connections
    # RFC 5321 4.5.3.2.6 lets a server take ten minutes over the last answer; two is what a lease
    # may be stretched to.
    timeout_s: Annotated[float, Field(ge=0.1, le=120)] = 60.0

    @model_validator(mode="after")
    def _name_and_password(self) -> "SmtpSettings":
        if (self.username is None) != (self.password is None):
            rule = "needs username and password together, or neither"
            raise PydanticCustomError("credentials", "{rule}", {"rule": rule})
        return self


class ApnsSettings(AccountSettings):
    """Apple's push service: devices of platform ios."""

    CHANNEL = Channel.PUSH
    PLATFORMS: ClassVar[frozenset[str]] = frozenset({"ios"})

    vendor: Literal["apns"]
    base_url: Url = "https://api.push.apple.com"
    team_id: Annotated[str, Field(pattern="^[A-Z0-9]{10}$")]
    key_id: Annotated[str, Field(pattern="^[A-Z0-9]{10}$")]
    private_key: Secret  # of the .p8 file, PEM
    apps: list[Text] = Field(default_factory=list)  # bundle ids; empty: all
    max_in_flight: Annotated[int, Field(ge=1, le=1_000)] = 200  # streams of one connection


class FcmSettings(AccountSettings):
    """Firebase Cloud Messaging: devices of platforms android and web."""

    CHANNEL = Channel.PUSH
    PLATFORMS: ClassVar[frozenset[str]] = frozenset({"android", "web"})

    vendor: Literal["fcm"]
    base_url: Url = "https://fcm.googleapis.com"
    project_id: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]{3,62}$")]
    service_account: Secret  # the JSON key file of a service account
    token_url: Url = "https://oauth2.googleapis.com/token"
    apps: list[Text] = Field(default_factory=list)  # package names; empty: all
    # What this process may take of the project's quota (600,000 a minute by default): it climbs to
    # this within a minute, and halves it around quarter hours.
    max_per_second: Annotated[float, Field(gt=0, le=10_000)] = 10_000

    @property
    def pace(self) -> Pace:
        """The quota, as a lane obeys it."""
        burst = max(1.0, self.max_per_second)
        return Pace(self.max_per_second, burst, ramp_s=FCM_RAMP_S, quiet_share=FCM_QUIET_SHARE)


VendorSettings = (
    TwilioSettings
    | SinchSettings
    | SesSettings
    | SendGridSettings
    | SmtpSettings
    | ApnsSettings
    | FcmSettings
)
VENDORS: dict[str, type[VendorSettings]] = {
    get_args(kind.model_fields["vendor"].annotation)[0]: kind for kind in get_args(VendorSettings)
}
