-- Rotations of a key take turns: each ends the secrets of those before it.
SELECT id FROM completions_mw.keys WHERE id = %(id)s FOR UPDATE;
