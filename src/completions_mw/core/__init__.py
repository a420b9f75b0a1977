"""The core: what happens to a request. No I/O, no event loop, no framework; it awaits nothing but its ports.

pipeline.py      HTTP requests, from their arrival to their response, and the list of all steps
direct_calls.py  calls from Python
steps.py         the steps of a parsed request, from its model to its settlement
explain.py       dry runs: what would happen to a request
context.py       the request context: data about one request
routes.py        the paths of the gateway
hooks.py         checks of functions of the host app, before they are called
ports/           every protocol that is awaited: stores, upstreams, models, background work

One folder a capability, in the order in which a request meets them:

inbound/      dialects: the forms of requests, answers and errors that clients use
validation/   headers, JSON and parameters
keys/         callers, and the API keys that are stored
dispatch/     from a model's name to its targets, and to an answer
limits/       rate limits and concurrency
cache/        the response cache: identical requests cost one call
budgets/      money: reservations and settlements
costs/        tokens and prices
charging/     leases, tokens and money of one request, from its admission to its settlement
answers/      what upstreams really send, corrected
streaming/    a streamed answer on its way to the client
resilience/   stores and targets that fail: breakers, health, cooldowns, budgets for retries
telemetry/    observers and logs
"""
