"""Rate limits and leases in Redis, shared by workers and hosts. Needs the extra `redis`.

admission.py                      `RedisAdmission`: the `AdmissionStore` port; one script a step
admit.lua, renew.lua, finish.lua  the scripts
session.py                        the connection pool that both sessions share
blocking.py, asynchronous.py      `BlockingRedis` and `AsyncRedis`
failures.py                       from the client's exceptions to store errors

What happens while Redis is out is decided for every store alike, in core/limits/guarded_store.py.
"""
