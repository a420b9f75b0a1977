SELECT coalesce(max(version), 0) FROM completions_mw.migrations;
