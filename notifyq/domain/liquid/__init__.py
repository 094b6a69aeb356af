"""The Liquid engine, as far as it is given to untrusted templates: see engine.py.

source.py    looks a source over before the engine sees it
filters.py   the filters that there are
tags.py      the tags that there are, and what loops cost
engine.py    parsing and rendering, within one budget
"""
