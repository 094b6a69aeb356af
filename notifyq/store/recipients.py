EVERYBODY = "*"


async def profiles(conn, **k):
    return {}
