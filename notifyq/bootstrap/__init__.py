"""Where everything is built and bound together; nothing else constructs a part it uses.

accounts.py   providers from the settings, and who speaks by them
api.py        the HTTP side
loops.py      workers and the janitor
"""
