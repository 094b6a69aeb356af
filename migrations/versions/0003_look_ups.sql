-- Look-ups: which attempts may have made a message that a provider lists, and whose turn it is.

SET LOCAL lock_timeout = '3s';

-- Attempts of a lane by time, once they are not open any more (those are in attempt_open): one
-- entry an attempt, made when it ends, in the order of time, so it costs a settle 75 bytes of WAL.
-- Attempts wait while it is built over the ones that there are: seconds for some millions.
CREATE INDEX attempt_by_time ON notifyq.attempt (cell, lane, began_at) WHERE outcome <> 'open';
-- Each lane's look-ups apart: one lane's backlog is not read by another's worker.
CREATE INDEX timer_look_up ON notifyq.timer (cell, lane, due) WHERE kind = 'look_up';
