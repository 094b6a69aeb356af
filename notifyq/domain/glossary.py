"""What states and reasons mean, in a sentence each: for the README and for `/docs`."""

from notifyq.domain.states import Reason, State

STATES: dict[State, str] = {
    State.STANDBY: "`strategy: first`, and no earlier channel has failed for good",
    State.PENDING: "a job exists; shown as `sending` while an attempt is open",
    State.IN_DOUBT: "it may have been carried out; evidence is waited for",
    State.SENT: "the provider took it",
    State.DELIVERED: "the provider says that it arrived",
    State.UNDELIVERED: "the provider took it, and says that it did not arrive",
    State.UNKNOWN: "it may have arrived and no evidence came; never sent again by itself",
    State.SUPPRESSED: "not sent: the recipient does not want it, or the address is dead",
    State.EXPIRED: "not sent: it was no longer worth it",
    State.CANCELED: "not sent: the producer called it back",
    State.DEAD: "definitely not carried out, and given up; see the dead letter",
}

REASONS: dict[Reason, str] = {
    Reason.NOT_BEFORE: "waits for the time that the producer asked for",
    Reason.RETRY_THROTTLED: "the provider was asked too fast; it is tried again",
    Reason.RETRY_UNAVAILABLE: "the provider could not; it is tried again",
    Reason.RETRY_NOT_SENT: "nothing left this machine; it is tried again",
    Reason.RETRY_MISCONFIGURED: "credentials or sender are refused; tried again until it expires",
    Reason.RESENT: "its answer was lost; its category asks to send it again",
    Reason.REDRIVEN: "a dead letter that somebody made due again",
    Reason.NOT_CARRIED_OUT: "in doubt, until somebody showed that it was not carried out",
    Reason.EARLIER_CHANNEL: "waits for an earlier channel to fail for good",
    Reason.TURN_CAME: "the channel before it failed for good",
    Reason.ANSWER_LOST: "the provider's answer was lost, or said nothing",
    Reason.LEASE_EXPIRED: "the worker that was sending it did not report in time",
    Reason.OUTCOME_UNKNOWN: "an attempt may have been carried out, and no evidence came in time",
    Reason.OPTED_OUT: "an opt-out of this brand and channel stands",
    Reason.OPTED_OUT_AT_PROVIDER: "the provider knows of an opt-out to this sender",
    Reason.ADDRESS_DEAD: "a provider called the address dead, and it was not registered since",
    Reason.EXPIRED: "`expires_at` passed before it could be sent",
    Reason.CANCELED: "the producer called it back before it was sent",
    Reason.REFUSED_ADDRESS: "the provider says that the address cannot get it",
    Reason.REFUSED_CONTENT: "the provider says that this content can never be sent",
    Reason.RETRIES_EXHAUSTED: "12 tries that definitely did not get through",
    Reason.UNDELIVERED: "the provider's receipt says so; its code is in the timeline",
}
