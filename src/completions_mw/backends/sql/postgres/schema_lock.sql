-- `completi` in ASCII: any number that all versions of the library agree on.
SELECT pg_advisory_xact_lock(7165061235044252777);
