async def load(conn, **k):
    return {}
