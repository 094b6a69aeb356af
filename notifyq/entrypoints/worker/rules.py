"""What bounds the work of a lane."""

from dataclasses import dataclass

from notifyq.domain.pace import Pace
from notifyq.entrypoints.worker.sending import SendRules
from notifyq.services.reconcile import LookUpRules
from notifyq.services.settle import SettleRules


@dataclass(frozen=True, slots=True)
class LaneRules:
    """What bounds one lane, from the settings."""

    send: SendRules
    settle: SettleRules
    max_in_flight: int
    pace: Pace | None = None  # where the vendor has a quota

    @property
    def look_up(self) -> LookUpRules:
        """What bounds its look-ups."""
        doubt, send = self.settle.doubt, self.send
        return LookUpRules(doubt.look_up_s, send.timeout_s, send.sender, self.settle.dedupe_days)
