"""Children of CLIENTS: a vendor's other side, its client, and the same requests without a client.

answering.py  what every receiver is asked: its port, the last request
http1.py http2.py smtp.py      receivers: canned answers, as cheap as can be
answers.py    what a vendor says to a request that it takes
loading.py    what every load is told: which request, and for how long
sender.py     the load that is measured: a vendor's client, called as a worker calls it
messages.py accounts.py        what it sends, and by which account
bare_http1.py bare_aiohttp.py bare_http2.py bare_smtp.py       the baselines
"""
