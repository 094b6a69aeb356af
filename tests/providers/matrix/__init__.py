"""Every vendor's client against every failure: what it says, what is decided, what was accepted.

`python -m tests.providers.matrix` prints it; `tests/providers/test_matrix.py` holds it to a table.

A cell is one failure of one vendor, and one delivery of a category that is `never_twice`:

    failures   what fails, vendor by vendor, and why a cell cannot exist
    accounts   the client, made from a settings file as a worker makes it
    ground     the vendors' side: notifyq's own sandbox, which counts what it accepted
    delivery   who gets which text; how an acceptance names its delivery
    door       a port before the sandbox's, for what happens to connections on the way
    decision   what the domain's rules make of the outcome
    cell       the first call fails; only if the decision is to send again is there a second one
    run        all cells
    wrong      a client that reads lost answers as never sent: the matrix must turn red by it
    report     the table

It is an example by example check of the line between "not carried out" and "perhaps": the number
of acceptances is the sandbox's, never the client's.
"""
