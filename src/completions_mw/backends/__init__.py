"""The only code that does I/O: the implementations of the ports in `completions_mw.core.ports`, one folder a technology.

http/              calls to upstreams
credentials.py     tokens of upstreams, from functions of the host app
aws_signature.py   signatures of requests to AWS, by botocore
models/            models in this process: Python functions, llama.cpp, echo
memory/            rate limits, cached answers and the cache of key look-ups, in this process
redis/             rate limits and cached answers shared by workers and hosts
limits_storage.py  rate limits on requests in the storages of the package `limits`
limits_clients.py  calls to the storages of the package `limits`, inline or on event loops
admission.py       opens the store of rate limits at an address
responses.py       opens the shared store of cached answers at an address
flights/           how identical requests wait for one call
waiting/           how requests wait between their attempts, and for the sooner of two
batches/           calls of a store that wait together are made together
sql/               keys, budgets and usage in SQLite and PostgreSQL
spool_file.py      settlements that wait for a ledger, on disk
locked_file.py     a file that one process owns until the process ends
pool.py            what callers share fairly: connections to an upstream, threads of models
blocking_turns.py, async_turns.py  waiting for one's turn in a pool
background/        work beside requests: threads and tasks
genai_prices.py    prices of well-known models
clock.py           the machine's clocks
ownership.py       state of one process, and state of one event loop
runners.py         runs calls that block: inline, or in threads
one_thread.py      runs calls that block one after another, in one thread
polling.py         waits for sockets, with eventlet too
time_limit.py      a time limit that does not pass while the event loop is busy

Each port has a `Blocking...` class, which does its I/O inline and never suspends, and an `Async...` class with the same methods.
"""
