"""Every crash point, one case each: what the providers took against what the database says.

    scenarios.py  what production code is run; registry.py, parts.py, accepting.py … make it up
    steps.py      numbers its statements, commits, provider calls and clock reads
    faults.py     what may go wrong at a step, and how it is brought about
    slot.py       a process that forks one child per case and plays operator, kernel and network
    recover.py    healthy code afterwards, to quiescence
    judge.py      the verdict: duplicates, losses, contradictions, what is left in doubt and why
    outside.py    the sandbox as a process of its own, behind a network that can hold requests
    cover.py      which commit sites and provider calls production code has, by its syntax tree
    wrong.py      wrong versions of the code, which the enumeration must find
    conduct.py    servers, slots, the list of cases, shards, results that can be resumed
    table.py      what came out

A case is (scenario, step, fault). The child runs production code as it is: statements, commits,
calls and clocks are wrapped from outside, and only at the one step does a wrapper do anything.
A step is named by where the code stands and how often it was there, not by a running number:
loops that poll run side by side with the one that matters, and would shift every number.
"""
