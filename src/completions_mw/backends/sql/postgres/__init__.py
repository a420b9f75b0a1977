"""PostgreSQL: keys, budgets and usage, shared by several hosts. Needs the extra `postgres`.

database.py    `BlockingPostgres` and `AsyncPostgres`: the `Database` protocol
pool.py        connections, opened when they are needed and kept
functions.sql  the functions of the database, replaced whole at each version of the schema
connection.py  one connection, with deadlines
schema.py      makes the tables and functions and brings them up to date
ledger.py      `PostgresLedger`: the `Ledger` port; what waits together is one call of a function of the database
steps.py       calls of the ledger as steps of that function
failures.py    turns exceptions of psycopg into store errors
"""
