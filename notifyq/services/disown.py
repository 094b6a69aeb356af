"""Disown: close what this process began without knowing it, for nothing was sent."""

from collections.abc import Sequence

from notifyq.domain.model import Attempt, Post
from notifyq.store import disowned
from notifyq.store.db import Committed, Conn, Unknown, transact


async def disown_unsent(conn: Conn, post: Post, known: Sequence[Attempt]) -> int | Unknown:
    """Close attempts of this post that it never sent because the fate of their begin was unclear.

    known: the attempts that it did see committed. Must run on the connection that
    begins: then none is being begun meanwhile.
    """

    async def work(conn: Conn) -> int:
        return await disowned.disown(
            conn,
            cell=post.cell,
            channel=post.lane.channel,
            lane=post.lane.id,
            worker=post.worker,
            known=known,
        )

    fate = await transact(conn, work)
    return fate.value if isinstance(fate, Committed) else fate
