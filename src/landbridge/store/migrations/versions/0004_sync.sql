-- Landbridge: schedules, mappings, sweeps and links of streams. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

ALTER TABLE lb.sync
    ADD COLUMN least interval,
    ADD COLUMN most interval,
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN backfill jsonb,
    ADD COLUMN reading text NOT NULL DEFAULT '',
    ADD COLUMN remapped jsonb

COMMENT ON TABLE lb.sync IS
'The standing order to pull a resource of a connection, and the cursor behind its last page. every: how far apart its pulls are at present, between least and most; null: it is pulled by hand alone. backfill: the last load beside its pulls, and how far it is. reading: the mapping that its records were read by, or are being read by again; empty: not one alone. remapped: how far that is; null: it is whole.'

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
'What a tenant added at its provider: a custom field of a resource, or a custom object (field empty). connection: the one that it holds for; empty: all of the tenant to this provider.'
