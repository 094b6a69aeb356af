"""Where everything is built and bound together; nothing else constructs a part it uses.

accounts.py   providers from the settings, and who speaks by them
lines.py      our numbers: whose each is, and what is answered there
rules.py      by which rules requests are taken
api.py        the HTTP side
loops.py      workers and the janitor
"""
