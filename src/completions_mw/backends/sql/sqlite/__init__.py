"""SQLite: keys, budgets and usage in a file that all workers of one machine share, or in memory.

database.py      `BlockingSqlite` and `AsyncSqlite`: the `Database` protocol
file.py          the connections to a file, or to a database in memory
schema.py        makes the tables and brings them up to date
ledger.py        `SqliteLedger`: the `Ledger` port
failures.py      turns exceptions of sqlite3 into store errors
transactions.py  the steps of the ledger: any number of them is one transaction
books.py         what a transaction reads and changes, each row once
rows.py          the rows, as far as money is concerned
"""
