-- Landbridge: what payments and accounting ask for. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

ALTER TABLE lb.inbox_event ADD COLUMN kind text NOT NULL DEFAULT ''

CREATE TABLE lb.listener (
    name       text COLLATE "C" PRIMARY KEY,
    kinds      text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT lb.now()
) WITH (fillfactor = 50)

COMMENT ON TABLE lb.listener IS
'Handlers that are told of inbox events, in every environment, and which kinds of them.'

CREATE TABLE lb.inbox_line (
    environment text NOT NULL,
    tenant      text NOT NULL,
    listener    text COLLATE "C" NOT NULL,
    line        text COLLATE "C" NOT NULL,
    event       text COLLATE "C" NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    retry_at    timestamptz,
    PRIMARY KEY (environment, tenant, listener, line, event)
) WITH (fillfactor = 70)

CREATE INDEX inbox_line_event ON lb.inbox_line (event)

COMMENT ON TABLE lb.inbox_line IS
'Inbox events that wait for a handler, one behind the other for each record. line: a digest of whose record it is.'

ALTER TABLE lb.parked DROP CONSTRAINT parked_what_check, ADD CONSTRAINT parked_what_check CHECK (what IN ('record', 'listing', 'arrival', 'change', 'push', 'event'))
