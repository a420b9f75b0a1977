"""The only code that does I/O: the implementations of the ports in `completions_mw.core.ports`, one folder a technology.

    http/              calls to upstreams
    models/            models in this process: Python functions, llama.cpp, echo
    memory/            rate limits and the cache of key look-ups, in this process
    redis/             rate limits shared by workers and hosts
    limits_storage.py  rate limits on requests in the storages of the package `limits`
    admission.py       from an address to a store of rate limits
    sql/               keys, budgets and usage in SQLite and PostgreSQL
    spool_file.py      settlements that wait for a ledger, on disk
    locked_file.py     a file that one process owns for as long as it lives
    background/        work beside requests: threads and tasks
    genai_prices.py    prices of well-known models
    clock.py           the machine's clocks
    ownership.py       what belongs to one process, and what to one event loop
    runners.py         where calls that block run
    time_limit.py      a time limit that stands still with the event loop

Each port has a `Blocking...` class, which does its I/O inline and never suspends, and an `Async...` class with the same methods.
"""
