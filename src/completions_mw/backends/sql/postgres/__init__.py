"""PostgreSQL: keys, budgets and usage for several hosts. Needs the extra `postgres`.

database.py    `BlockingPostgres` and `AsyncPostgres`: the `Database` protocol
functions.sql  the functions of the database, replaced whole at each version of the schema
connection.py  one connection, with deadlines
schema.py      makes the tables and functions and brings them up to date
ledger.py      `PostgresLedger`: the `Ledger` port; each step is one function of the database
failures.py    from the driver's exceptions to store errors
"""
