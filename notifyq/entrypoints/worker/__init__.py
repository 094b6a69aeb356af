"""The lane worker: claim, begin, send, settle, until told to stop.

    lane.py        claim loop: free room? -> begin_due() -> one task per attempt -> free room? ...
    rules.py       what bounds a lane, from the settings
    sending.py     one attempt: the checks before the call, the call
    settling.py    settle loop: whatever ended since the last commit -> settle() -> ...
    looking_up.py  look-up loop: a doubt whose look-up is due -> reconcile_due() -> ...
    process.py     the lanes of one process, its heartbeat, its ear for hints

A lane that hangs fills its own room and stops claiming; nothing of it is shared with another
lane: not its loops, not its connections, not its provider's sockets.
"""
