"""The bench: figures F1 to F5, each beside its baseline, on a server of its own. See bin/bench.

Not collected by pytest: a figure is no test, a noisy machine must not fail a build.

    __main__.py   the command: which figures, how often; table and JSON
    report.py     samples, medians with spread, targets, what limits
    machine.py    what the numbers were measured on
    meter.py      CPU time per process, from /proc
    parts.py      child processes, tied to this one
    ground.py     the server, a tenant, a key, a lane; bytes of WAL
    backlog.py    accepted notifications by the ten thousand, and the same again
    pgbench.py    the production statements as a pgbench script
    f1_cycle.py f2_http.py f3_accept.py f4_latency.py f5_wal.py   the figures
    clients.py clients_parts/     CLIENTS: each vendor's client beside its transport; no server
    drain.py receiver.py load.py bare_api.py bare_client.py       children of the figures
"""
