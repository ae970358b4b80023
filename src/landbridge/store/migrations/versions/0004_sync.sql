-- Landbridge: schedules, mappings, sweeps and links of streams. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

ALTER TABLE lb.sync
    ADD COLUMN least interval,
    ADD COLUMN most interval,
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN backfill jsonb,
    ADD COLUMN sweep jsonb,
    ADD COLUMN reading text NOT NULL DEFAULT '',
    ADD COLUMN remapped jsonb

COMMENT ON TABLE lb.sync IS
'The standing order to pull a resource of a connection, and the cursor behind its last page. every: how far apart its pulls are at present, between least and most; null: it is pulled by hand alone. backfill: the last load beside its pulls, and how far it is. sweep: how far the rolling look for deleted records is. reading: the mapping that its records were read by, or are being read by again; empty: not one alone. remapped: how far that is; null: it is whole.'

ALTER TABLE lb.record ADD COLUMN sent bytea

COMMENT ON COLUMN lb.record.sent IS
'Stands for the bytes of raw, as digest does for what they say; null: not known.'

CREATE TABLE lb.overlay (
    environment text NOT NULL,
    tenant      text NOT NULL,
    provider    text NOT NULL,
    connection  text COLLATE "C" NOT NULL DEFAULT '',
    resource    text NOT NULL,
    field       text NOT NULL DEFAULT '',
    facts       jsonb NOT NULL,
    changed_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, provider, connection, resource, field)
)

COMMENT ON TABLE lb.overlay IS
'What a tenant added at its provider: a custom field of a resource, a custom object (field empty) or a code table (resource empty; facts: our word for each code). connection: the one that it holds for; empty: all of the tenant to this provider.'

ALTER TABLE lb.intent
    ADD COLUMN seen jsonb,
    ADD COLUMN answer jsonb,
    ADD COLUMN link text COLLATE "C"

COMMENT ON COLUMN lb.intent.seen IS
'For a link: the fields to write, with what the record held when that was decided. Others are left alone.'

COMMENT ON COLUMN lb.intent.answer IS
'For a link: what the provider answered that those fields are after the write.'

CREATE INDEX connection_by_provider ON lb.connection (environment, provider) WHERE state = 'active'

CREATE TABLE lb.linking (
    environment text NOT NULL,
    tenant      text NOT NULL,
    name        text NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    state       text NOT NULL DEFAULT 'loading' CHECK (state IN ('loading', 'scanning', 'live')),
    place       text NOT NULL DEFAULT '',
    reason      text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, name, connection)
)

COMMENT ON TABLE lb.linking IS
'How far a link is with a connection: its remote records first, then the rows that have none yet (place: the last one seen), then what changes.'

CREATE TABLE lb.link (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    name        text NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    key         text COLLATE "C",
    local       text COLLATE "C",
    state       text NOT NULL DEFAULT 'linked' CHECK (state IN ('linked', 'review')),
    reason      text NOT NULL DEFAULT '',
    candidates  text[] NOT NULL DEFAULT '{}',
    ours        jsonb,
    theirs      jsonb,
    intent      text COLLATE "C",
    pending     jsonb,
    refused     text,
    tries       int NOT NULL DEFAULT 0,
    subject     text,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    updated_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, id)
) WITH (fillfactor = 85)

COMMENT ON TABLE lb.link IS
'A local id and the remote key it belongs to. ours, theirs: what each side held when both agreed last; pending: what an intent on its way writes; refused: what the provider did not take.'

CREATE UNIQUE INDEX link_by_key ON lb.link (environment, tenant, name, connection, key) WHERE key IS NOT NULL

CREATE UNIQUE INDEX link_by_local ON lb.link (environment, tenant, name, connection, local) WHERE local IS NOT NULL

CREATE INDEX link_unmade ON lb.link (environment, tenant, name, connection) WHERE key IS NULL

CREATE INDEX link_by_subject ON lb.link (environment, tenant, subject) WHERE subject IS NOT NULL

CREATE INDEX link_review ON lb.link (environment, tenant, name) WHERE state = 'review' OR reason <> ''

CREATE TABLE lb.conflict (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    link        text COLLATE "C" NOT NULL,
    field       text NOT NULL,
    baseline    jsonb,
    ours        jsonb,
    theirs      jsonb,
    take        text CHECK (take IN ('ours', 'theirs')),
    opened_at   timestamptz NOT NULL DEFAULT lb.now(),
    resolved_at timestamptz,
    PRIMARY KEY (environment, tenant, id)
)

COMMENT ON TABLE lb.conflict IS
'A field that both sides changed, with both values. take: which was chosen; resolved_at: when both sides agreed again.'

CREATE INDEX conflict_by_link ON lb.conflict (environment, tenant, link)

CREATE UNIQUE INDEX conflict_open ON lb.conflict (environment, tenant, link, field) WHERE resolved_at IS NULL

CREATE TABLE lb.local_change (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    local       text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)

COMMENT ON TABLE lb.local_change IS
'Rows of linked tables that changed, until they are looked at. Written by a trigger in the transaction of the change.'

CREATE INDEX local_change_of ON lb.local_change (environment, tenant)

CREATE FUNCTION lb.note_local_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
BEGIN
    IF before IS DISTINCT FROM after THEN
        INSERT INTO lb.local_change (environment, tenant, name, local)
        SELECT DISTINCT TG_ARGV[0], row ->> TG_ARGV[3], TG_ARGV[1], row ->> TG_ARGV[2]
        FROM (VALUES (before), (after)) AS of_both (row)
        WHERE row ->> TG_ARGV[3] IS NOT NULL AND row ->> TG_ARGV[2] IS NOT NULL;
    END IF;
    RETURN NULL;
END
$$

COMMENT ON FUNCTION lb.note_local_change() IS
'Notes that a row changed whose table is linked. Its arguments: environment, link, column of the id, column of the tenant.'
