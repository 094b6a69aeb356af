"""Everything that takes long and is run in full by bin/chaos.

Each part is a module with `run(options) -> (table, ok)`; `PARTS` in `__main__` names them. What
they have in common is here: options.py.
"""
