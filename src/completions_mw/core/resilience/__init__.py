"""What keeps a failing store from failing every request.

breaker.py       stops asking a store that does not answer
store_health.py  asks a store for all who need it; what its operator is told
throttle.py      something that only one of many threads may do, and only once in a while
"""
