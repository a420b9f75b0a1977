"""The schema `completions_mw` of a PostgreSQL database: made where there is none, and brought up to date."""

from psycopg import errors

from completions_mw.backends.sql.postgres.connection import Connection
from completions_mw.backends.sql.statements import Migration, migrations, script, statements
from completions_mw.core.ports import StoreBrokenError


async def is_up_to_date(connection: Connection) -> bool:
    """Return whether the schema is that of this library.

    Raises:
        StoreBrokenError: the schema is newer than this library.
    """
    try:
        rows = await connection.run(statements("postgres")["schema_version"])
    except (errors.UndefinedTable, errors.InvalidSchemaName):
        return False
    return not _missing(rows[0][0])


async def bring_up_to_date(connection: Connection, seconds: float) -> None:
    """Run the migrations that are missing, and replace the functions. Processes that do so at the same time wait for each other.

    Args:
        connection: to the database, in autocommit mode.
        seconds: time that the migrations may take.

    Raises:
        StoreBrokenError: the schema is newer than this library.
    """
    await connection.run("BEGIN")
    await connection.run(f"SET LOCAL lock_timeout = {seconds * 1000:.0f}")
    await connection.run(f"SET LOCAL statement_timeout = {seconds * 1000:.0f}")
    await connection.run(statements("postgres")["schema_lock"])
    await connection.run(statements("postgres")["schema_create"])
    version = (await connection.run(statements("postgres")["schema_version"]))[0][0]
    if missing := _missing(version):
        for step in missing:
            await connection.run(step.sql)
            await connection.run(statements("postgres")["schema_applied"], {"version": step.version})
        await connection.run(script("postgres", "functions"))
    await connection.run("COMMIT")


def _missing(version: int) -> list[Migration]:
    if version > migrations("postgres")[-1].version:
        raise StoreBrokenError("PostgreSQL: the schema is of a newer version of completions_mw")
    return [step for step in migrations("postgres") if step.version > version]
