"""What happens to a request. No I/O, no event loop, no framework: the core awaits nothing but its ports.

    pipeline.py   the steps of a request, in their order
    context.py    what is known of one request
    routes.py     which paths are ours
    hooks.py      functions of the host app, checked before they are called
    ports/        every protocol that is awaited: what the core needs from the outside world

One folder a capability, in the order in which a request meets them:

    inbound/      how the clients of a route spell requests, answers and errors
    validation/   headers, JSON and parameters
    keys/         who is calling, and the API keys that are stored
    dispatch/     from a model's name to its targets, and from those to an answer
    limits/       rate limits and concurrency
    cache/        the place of stored answers
    budgets/      money: reservations and settlements
    costs/        tokens and prices
    charging/     what one request holds, from its admission to its settlement
    streaming/    a streamed answer on its way out
    resilience/   stores that fail: breakers, health, throttled log lines
    telemetry/    logs
"""
