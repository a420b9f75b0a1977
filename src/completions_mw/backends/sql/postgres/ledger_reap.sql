SELECT completions_mw.reap(%(batch)s);
