-- Landbridge: what payments and accounting ask for. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

ALTER TABLE lb.inbox_event ADD COLUMN kind text NOT NULL DEFAULT ''
