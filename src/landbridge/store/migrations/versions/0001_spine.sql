-- Landbridge: the first schema. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

CREATE FUNCTION lb.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS
$$ SELECT clock_timestamp()
        + coalesce(nullif(current_setting('landbridge.clock_offset', true), '')::interval, interval '0') $$

CREATE FUNCTION lb.shard(environment text, tenant text) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT (hashtextextended(environment || '/' || tenant, 0) & 63)::smallint $$

CREATE FUNCTION lb.id_bound(prefix text, at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT prefix || '_' || string_agg(
       substr('0123456789abcdefghjkmnpqrstvwxyz',
              (((extract(epoch FROM at) * 1000)::bigint >> (5 * place)) & 31)::int + 1, 1),
       '' ORDER BY place DESC) || repeat('0', 16)
   FROM generate_series(0, 9) AS place $$

CREATE TABLE lb.app (
    environment text NOT NULL CHECK (environment ~ '^[a-z][a-z0-9_-]{0,31}$'),
    id          text COLLATE "C" NOT NULL,
    provider    text NOT NULL,
    tenant      text,
    name        text NOT NULL DEFAULT '',
    token       text COLLATE "C" NOT NULL UNIQUE,
    resources   text[] NOT NULL DEFAULT '{}',
    settings    jsonb NOT NULL DEFAULT '{}',
    secrets     bytea,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, id),
    UNIQUE NULLS NOT DISTINCT (environment, provider, tenant, name)
)

COMMENT ON TABLE lb.app IS
'A provider in an environment, with our client there: enabled resources, webhook secrets, intake address. A tenant may bring its own.'

CREATE TABLE lb.tenant_key (
    environment text NOT NULL,
    tenant      text NOT NULL,
    version     int NOT NULL,
    wrapped     bytea NOT NULL,
    wrapped_by  text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, version)
)

COMMENT ON TABLE lb.tenant_key IS
'The data key of a tenant, wrapped by the key provider. Tenant "" holds the installation''s own secrets.'

CREATE TABLE lb.access_grant (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    app         text COLLATE "C" NOT NULL,
    kind        text NOT NULL,
    version     bigint NOT NULL DEFAULT 1,
    secret      bytea,
    scopes      text[] NOT NULL DEFAULT '{}',
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    updated_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, id)
)

COMMENT ON TABLE lb.access_grant IS
'One consent of a tenant: sealed credentials, scopes, expiry. Forgotten when the connection is ended.'

CREATE TABLE lb.connection (
    environment  text NOT NULL,
    tenant       text NOT NULL,
    id           text COLLATE "C" NOT NULL,
    app          text COLLATE "C" NOT NULL,
    access_grant text COLLATE "C" NOT NULL,
    provider     text NOT NULL,
    account      text NOT NULL DEFAULT '',
    account_name text NOT NULL DEFAULT '',
    token        text COLLATE "C" NOT NULL UNIQUE,
    owner        text NOT NULL DEFAULT '',
    label        text NOT NULL DEFAULT '',
    state        text NOT NULL CHECK (state IN ('pending', 'active', 'needs_reauth', 'paused', 'revoked')),
    reason       text NOT NULL DEFAULT '',
    settings     jsonb NOT NULL DEFAULT '{}',
    secrets      bytea,
    created_at   timestamptz NOT NULL DEFAULT lb.now(),
    updated_at   timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, id),
    UNIQUE (environment, tenant, app, account, owner, label)
)

COMMENT ON TABLE lb.connection IS
'A grant at one remote account, of one tenant, with the second half of its intake address.'

CREATE INDEX connection_by_account ON lb.connection (environment, app, account)

CREATE INDEX connection_by_id ON lb.connection (id)

CREATE TABLE lb.sync (
    environment text NOT NULL,
    tenant      text NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    every       interval,
    cursor      jsonb,
    run         text COLLATE "C",
    pulled_at   timestamptz,
    PRIMARY KEY (environment, tenant, connection, resource)
) WITH (fillfactor = 70)

COMMENT ON TABLE lb.sync IS
'The standing order to pull a resource of a connection, and the cursor behind its last page.'

CREATE TABLE lb.run (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    state       text NOT NULL CHECK (state IN ('running', 'done', 'failed', 'cancelled')),
    reason      text NOT NULL DEFAULT '',
    started_at  timestamptz NOT NULL DEFAULT lb.now(),
    ended_at    timestamptz,
    pages       bigint NOT NULL DEFAULT 0,
    seen        bigint NOT NULL DEFAULT 0,
    changed     bigint NOT NULL DEFAULT 0,
    gone        bigint NOT NULL DEFAULT 0,
    parked      bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (environment, tenant, id)
) WITH (fillfactor = 70)

COMMENT ON TABLE lb.run IS
'One execution of a pull and what it did.'

CREATE INDEX run_latest ON lb.run (environment, tenant, connection, resource, id DESC)

CREATE TABLE lb.seen (
    environment text NOT NULL,
    tenant      text NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    listing     text NOT NULL,
    page        int NOT NULL,
    keys        text[] NOT NULL,
    PRIMARY KEY (environment, tenant, connection, resource, listing, page)
)

COMMENT ON TABLE lb.seen IS
'Keys met so far by a full listing, a row per page: what the listing did not meet is asked for one by one.'

CREATE TABLE lb.record (
    environment text NOT NULL,
    tenant      text NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    key         text COLLATE "C" NOT NULL,
    raw         bytea NOT NULL,
    digest      bytea NOT NULL,
    version     text,
    scope       text NOT NULL DEFAULT '',
    kind        text,
    unified     jsonb,
    subject     text,
    deleted_at  timestamptz,
    changed_at  timestamptz NOT NULL DEFAULT lb.now(),
    read_at     timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, connection, resource, key)
) WITH (fillfactor = 85)

COMMENT ON TABLE lb.record IS
'The mirror of one remote record: raw as it was sent, and its unified form where the resource is mapped. read_at: when the read ended that brought it, or that found it so when it was read by itself.'

CREATE INDEX record_by_subject ON lb.record (environment, tenant, subject) WHERE subject IS NOT NULL

CREATE TABLE lb.parked (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    what        text NOT NULL CHECK (what IN ('record', 'listing', 'arrival', 'change', 'push')),
    place       text COLLATE "C" NOT NULL,
    resource    text NOT NULL DEFAULT '',
    key         text COLLATE "C" NOT NULL,
    reason      text NOT NULL,
    field       text,
    number      bigint,
    raw         bytea,
    attempts    int NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, id),
    UNIQUE (environment, tenant, what, place, resource, key)
)

CREATE INDEX parked_place ON lb.parked (environment, what, place)

COMMENT ON TABLE lb.parked IS
'What could not be read or accepted, with the reason, until it is replayed. place: the connection, the app or the consumer.'

CREATE TABLE lb.change (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    key         text COLLATE "C" NOT NULL,
    kind        text,
    before      jsonb,
    after       jsonb,
    subject     text,
    created_at  timestamptz NOT NULL DEFAULT lb.now()
) PARTITION BY RANGE (id)

COMMENT ON TABLE lb.change IS
'What happened to one record: its unified form before and after.'

CREATE INDEX change_id ON lb.change (id)

CREATE INDEX change_of_record ON lb.change (environment, tenant, connection, resource, key, id)

CREATE TABLE lb.change_new (
    place   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    changes text[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)

COMMENT ON TABLE lb.change_new IS
'Committed changes that have no number yet; a row per transaction. The sequencer empties it. place: who waited for another transaction''s lock comes after it.'

CREATE TABLE lb.change_order (
    number      bigint NOT NULL,
    environment text NOT NULL,
    change      text COLLATE "C" NOT NULL
) PARTITION BY RANGE (change)

COMMENT ON TABLE lb.change_order IS
'The number that each change got after its commit; feeds are read by it.'

CREATE INDEX change_order_number ON lb.change_order (environment, number, change)

CREATE SEQUENCE lb.change_counter

CREATE TABLE lb.consumer (
    environment text NOT NULL,
    name        text NOT NULL,
    number      bigint NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, name)
) WITH (fillfactor = 50)

COMMENT ON TABLE lb.consumer IS
'How far each handler has read the feed of changes.'

CREATE TABLE lb.arrival (
    environment text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    app         text COLLATE "C" NOT NULL,
    connection  text COLLATE "C",
    headers     bytea NOT NULL,
    body        bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT lb.now()
) PARTITION BY RANGE (id)

COMMENT ON TABLE lb.arrival IS
'Raw webhooks, stored before they are answered.'

CREATE INDEX arrival_id ON lb.arrival (id)

CREATE TABLE lb.inbox_event (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    app         text COLLATE "C" NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    arrival     text COLLATE "C" NOT NULL,
    vendor_id   text NOT NULL,
    topic       text NOT NULL,
    resource    text NOT NULL DEFAULT '',
    key         text NOT NULL DEFAULT '',
    outcome     text NOT NULL CHECK (outcome IN ('pull', 'delete', 'ignored')),
    subject     text,
    occurred_at timestamptz,
    created_at  timestamptz NOT NULL DEFAULT lb.now()
) PARTITION BY RANGE (id)

COMMENT ON TABLE lb.inbox_event IS
'What arrivals brought, one row for each tenant and event.'

CREATE INDEX inbox_event_id ON lb.inbox_event (environment, tenant, id)

CREATE TABLE lb.inbox_key (
    environment text NOT NULL,
    tenant      text NOT NULL,
    app         text COLLATE "C" NOT NULL,
    key         text COLLATE "C" NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (environment, tenant, app, key)
)

COMMENT ON TABLE lb.inbox_key IS
'Ids of events that came in lately, so that none is admitted twice.'

CREATE INDEX inbox_key_expiry ON lb.inbox_key (expires_at)

CREATE TABLE lb.emitted (
    place           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    environment     text NOT NULL,
    tenant          text NOT NULL,
    id              text COLLATE "C" NOT NULL,
    type            text NOT NULL,
    schema_version  int NOT NULL DEFAULT 1,
    content_type    text NOT NULL DEFAULT 'application/json',
    idempotency_key text,
    ordering_key    text,
    subject         text,
    payload         bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT lb.now()
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)

COMMENT ON TABLE lb.emitted IS
'What bridge.emit() writes into the caller''s transaction. The dispatcher moves committed rows on; nothing else touches it. place: who waited for another transaction''s lock comes after it.'

CREATE TABLE lb.event (
    environment     text NOT NULL,
    tenant          text NOT NULL,
    id              text COLLATE "C" NOT NULL,
    number          bigint NOT NULL,
    type            text NOT NULL,
    schema_version  int NOT NULL,
    content_type    text NOT NULL,
    ordering_key    text,
    subject         text,
    payload         bytea NOT NULL,
    digest          bytea NOT NULL,
    created_at      timestamptz NOT NULL
) PARTITION BY RANGE (id)

COMMENT ON TABLE lb.event IS
'What was emitted, once it is committed and numbered; the body as every delivery sends it.'

CREATE INDEX event_id ON lb.event (id)

CREATE INDEX event_number ON lb.event (environment, tenant, number)

CREATE INDEX event_by_subject ON lb.event (environment, tenant, subject) WHERE subject IS NOT NULL

CREATE SEQUENCE lb.event_counter

CREATE TABLE lb.emit_key (
    environment text NOT NULL,
    tenant      text NOT NULL,
    key         text COLLATE "C" NOT NULL,
    event       text COLLATE "C" NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (environment, tenant, key)
)

COMMENT ON TABLE lb.emit_key IS
'Idempotency keys of emitted events, until they run out.'

CREATE INDEX emit_key_expiry ON lb.emit_key (expires_at)

CREATE TABLE lb.endpoint (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    url         text NOT NULL,
    types       text[] NOT NULL DEFAULT '{*}',
    state       text NOT NULL DEFAULT 'enabled' CHECK (state IN ('enabled', 'disabled')),
    reason      text NOT NULL DEFAULT '',
    secrets     bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    updated_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, id)
)

COMMENT ON TABLE lb.endpoint IS
'An address of a tenant that wants events, which ones, and the sealed secrets that sign them.'

CREATE TABLE lb.due (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL PRIMARY KEY,
    lane        text NOT NULL,
    kind        text NOT NULL,
    shard       smallint NOT NULL,
    due_at      timestamptz NOT NULL,
    ref         text COLLATE "C",
    target      text COLLATE "C",
    key         text COLLATE "C",
    args        jsonb,
    repeat      text,
    attempt     int NOT NULL DEFAULT 0,
    owner       text,
    fence       bigint NOT NULL DEFAULT 0,
    woken       bool NOT NULL DEFAULT false,
    error       text,
    created_at  timestamptz NOT NULL DEFAULT lb.now()
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)

COMMENT ON TABLE lb.due IS
'Work with a time. owner null: waiting since due_at. owner set: leased until due_at; then anyone may take it and the fence rises.'

CREATE INDEX due_next ON lb.due (lane, shard, due_at)

CREATE UNIQUE INDEX due_key ON lb.due (environment, tenant, kind, key) WHERE key IS NOT NULL

CREATE INDEX due_ref ON lb.due (ref) WHERE ref IS NOT NULL

CREATE TABLE lb.attempt (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    delivery    text COLLATE "C" NOT NULL,
    event       text COLLATE "C" NOT NULL,
    endpoint    text COLLATE "C" NOT NULL,
    number      int NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('delivered', 'failing', 'abandoned')),
    status      int,
    error       text,
    took_ms     int NOT NULL,
    retry_at    timestamptz,
    created_at  timestamptz NOT NULL DEFAULT lb.now()
) PARTITION BY RANGE (id)

COMMENT ON TABLE lb.attempt IS
'One try of a delivery, without the payload.'

CREATE INDEX attempt_id ON lb.attempt (environment, tenant, id)

CREATE INDEX attempt_delivery ON lb.attempt (delivery)

CREATE TABLE lb.intent (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    action      text NOT NULL CHECK (action IN ('create', 'update', 'delete')),
    key         text,
    document    jsonb,
    state       text NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'done', 'refused', 'conflict', 'unknown')),
    reason      text NOT NULL DEFAULT '',
    problems    jsonb,
    subject     text,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    settled_at  timestamptz,
    PRIMARY KEY (environment, tenant, id)
)

COMMENT ON TABLE lb.intent IS
'What bridge.push() promised: one remote effect. Its id is the idempotency key and the marker at the provider.'

CREATE TABLE lb.tally (
    environment text NOT NULL,
    app         text COLLATE "C" NOT NULL,
    day         date NOT NULL,
    what        text NOT NULL,
    n           bigint NOT NULL,
    PRIMARY KEY (environment, app, day, what)
)

COMMENT ON TABLE lb.tally IS 'Counts of what is refused and so never stored: forged, too old, too large.'

CREATE FUNCTION lb.partitioned() RETURNS TABLE (parent text, prefix text) LANGUAGE sql IMMUTABLE AS
$$ VALUES ('change', 'chg'), ('change_order', 'chg'), ('arrival', 'arr'),
          ('inbox_event', 'inb'), ('event', 'evt'), ('attempt', 'att') $$

CREATE FUNCTION lb.ensure_partitions(days_ahead int, of_table text DEFAULT '') RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    p record;
    day date;
    child text;
    low text;
    high text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('lb.partitions', 0));
    FOR p IN SELECT * FROM lb.partitioned() WHERE of_table IN ('', parent) LOOP
        IF to_regclass(format('lb.%I', p.parent || '_default')) IS NULL THEN
            EXECUTE format('CREATE TABLE lb.%I PARTITION OF lb.%I DEFAULT', p.parent || '_default', p.parent);
        END IF;
        FOR i IN -1 .. days_ahead LOOP
            day := (lb.now() AT TIME ZONE 'UTC')::date + i;
            child := p.parent || '_' || to_char(day, 'YYYYMMDD');
            CONTINUE WHEN to_regclass(format('lb.%I', child)) IS NOT NULL;
            low := lb.id_bound(p.prefix, day::timestamp AT TIME ZONE 'UTC');
            high := lb.id_bound(p.prefix, (day + 1)::timestamp AT TIME ZONE 'UTC');
            EXECUTE format('CREATE TABLE lb.%I (LIKE lb.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', child, p.parent);
            EXECUTE format('WITH moved AS (DELETE FROM lb.%I WHERE %I >= %L AND %I < %L RETURNING *)
                            INSERT INTO lb.%I SELECT * FROM moved', p.parent || '_default',
                           CASE p.parent WHEN 'change_order' THEN 'change' ELSE 'id' END, low,
                           CASE p.parent WHEN 'change_order' THEN 'change' ELSE 'id' END, high, child);
            EXECUTE format('ALTER TABLE lb.%I ATTACH PARTITION lb.%I FOR VALUES FROM (%L) TO (%L)',
                           p.parent, child, low, high);
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$

CREATE FUNCTION lb.drop_partitions(before date, of_table text DEFAULT '') RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    child record;
    dropped int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('lb.partitions', 0));
    FOR child IN
        SELECT c.relname AS name, p.parent
        FROM lb.partitioned() AS p
        JOIN pg_inherits AS i ON i.inhparent = to_regclass(format('lb.%I', p.parent))
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE c.relname ~ ('^' || p.parent || '_[0-9]{8}$')
          AND right(c.relname, 8) < to_char(before, 'YYYYMMDD')
          AND of_table IN ('', p.parent)
    LOOP
        EXECUTE format('ALTER TABLE lb.%I DETACH PARTITION lb.%I', child.parent, child.name);
        EXECUTE format('DROP TABLE lb.%I', child.name);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$

CREATE FUNCTION lb.stray_rows() RETURNS TABLE (parent text, strays bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
$$
DECLARE
    p record;
BEGIN
    FOR p IN SELECT * FROM lb.partitioned() LOOP
        parent := p.parent;
        EXECUTE format('SELECT count(*) FROM lb.%I', p.parent || '_default') INTO strays;
        RETURN NEXT;
    END LOOP;
END
$$

SELECT lb.ensure_partitions(15)
