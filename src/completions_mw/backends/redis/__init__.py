"""Rate limits, leases and cached answers in Redis, shared by workers and hosts. Needs the extra `redis`.

admission.py                      `RedisAdmission`: the `AdmissionStore` port; one script a step
admit.lua, renew.lua, finish.lua  its scripts
responses.py                      `RedisResponses`: the `SharedResponseStore` port
answer_*.lua                      its scripts
answer_values.py                  the values of cached answers
scripts.py                        runs scripts
session.py                        the connection pool that both sessions share
blocking.py, asynchronous.py      `BlockingRedis` and `AsyncRedis`
failures.py                       from the client's exceptions to store errors

What happens while Redis is out is decided in the core: core/limits/guarded_store.py, core/cache/guarded_store.py.
"""
