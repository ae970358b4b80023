-- Landbridge: schedules that adapt, pause and backfill. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

ALTER TABLE lb.sync
    ADD COLUMN least interval,
    ADD COLUMN most interval,
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN generation text COLLATE "C" NOT NULL DEFAULT ''
