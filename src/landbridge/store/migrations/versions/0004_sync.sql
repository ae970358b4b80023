-- Landbridge: schedules, mappings, sweeps and links of streams. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

ALTER TABLE lb.sync
    ADD COLUMN least interval,
    ADD COLUMN most interval,
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN reading text NOT NULL DEFAULT '',
    ADD COLUMN remapped jsonb

COMMENT ON TABLE lb.sync IS
'The standing order to pull a resource of a connection, and the cursor behind its last page. every: how far apart its pulls are at present, between least and most; null: it is pulled by hand alone. reading: the mapping that its records were read by, or are being read by again; empty: not one alone. remapped: how far that is; null: it is whole.'
