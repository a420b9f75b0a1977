INSERT INTO completions_mw.migrations (version) VALUES (%(version)s);
