-- Landbridge: webhooks in and out. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

CREATE TABLE lb.event_type (
    type        text COLLATE "C" PRIMARY KEY,
    description text NOT NULL DEFAULT '',
    versions    jsonb NOT NULL DEFAULT '[]',
    schedule    interval[],
    updated_at  timestamptz NOT NULL DEFAULT lb.now()
)

COMMENT ON TABLE lb.event_type IS
'The catalogue as the application declares it, the same in every environment. versions: newest first; schedule: the waits between tries.'

ALTER TABLE lb.emitted ADD COLUMN older bytea, ADD COLUMN attachment bytea, ADD COLUMN digest bytea

ALTER TABLE lb.event ADD COLUMN older bytea

DROP INDEX lb.event_id

CREATE UNIQUE INDEX event_id ON lb.event (id)

CREATE TABLE lb.attachment (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    body        bytea NOT NULL
) PARTITION BY RANGE (id)

COMMENT ON TABLE lb.attachment IS
'Bodies too large to be posted, by the id of their event: the delivery names the address where they are fetched.'

CREATE UNIQUE INDEX attachment_id ON lb.attachment (id)

ALTER TABLE lb.endpoint
    ADD COLUMN description text NOT NULL DEFAULT '',
    ADD COLUMN filter jsonb,
    ADD COLUMN headers bytea,
    ADD COLUMN api_version text NOT NULL DEFAULT '',
    ADD COLUMN schedule interval[],
    ADD COLUMN concurrency int,
    ADD COLUMN rate float8,
    ADD COLUMN ordered bool NOT NULL DEFAULT false,
    ADD COLUMN skip_after int,
    ADD COLUMN slow bool NOT NULL DEFAULT false,
    ADD COLUMN disabled_at timestamptz

CREATE TABLE lb.endpoint_health (
    environment   text NOT NULL,
    tenant        text NOT NULL,
    endpoint      text COLLATE "C" NOT NULL,
    failing_since timestamptz,
    failures      bigint NOT NULL DEFAULT 0,
    noticed_at    timestamptz,
    opened        int NOT NULL DEFAULT 0,
    open_until    timestamptz,
    probing_until timestamptz,
    paced_until   timestamptz,
    under_way     text[],
    error         text,
    PRIMARY KEY (environment, tenant, endpoint)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200)

COMMENT ON TABLE lb.endpoint_health IS
'Endpoints that fail, are slowed down by their limits or held back by their breaker; none of it is written for one that just works. under_way: the claims, id:fence, that have a place among the posts at a time.'

CREATE TABLE lb.line (
    environment  text NOT NULL,
    tenant       text NOT NULL,
    endpoint     text COLLATE "C" NOT NULL,
    ordering_key text COLLATE "C" NOT NULL,
    number       bigint NOT NULL,
    event        text COLLATE "C" NOT NULL,
    delivery     text COLLATE "C" NOT NULL,
    PRIMARY KEY (environment, tenant, endpoint, ordering_key, number)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000)

COMMENT ON TABLE lb.line IS
'Deliveries of ordered endpoints that wait until the one before them, of the same ordering key, is through. The first of each line is a due row.'

CREATE TABLE lb.replay (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    endpoint    text COLLATE "C" NOT NULL,
    selection   jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'running'
                CHECK (state IN ('running', 'paused', 'done', 'cancelled')),
    reason      text NOT NULL DEFAULT '',
    rate        float8 NOT NULL,
    cursor      bigint NOT NULL DEFAULT 0,
    until       bigint NOT NULL,
    total       bigint NOT NULL,
    exact       bool NOT NULL DEFAULT true,
    done        bigint NOT NULL DEFAULT 0,
    paced_until timestamptz NOT NULL DEFAULT lb.now(),
    begun_at    timestamptz NOT NULL DEFAULT lb.now(),
    begun_done  bigint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    ended_at    timestamptz,
    PRIMARY KEY (environment, tenant, id)
) WITH (fillfactor = 70)

COMMENT ON TABLE lb.replay IS
'An order to deliver past events to an endpoint again, and how far it has come. cursor: the number of the last event that was looked at; until: the last one when it was ordered.'

CREATE TABLE lb.erasure (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    subject     text,
    state       text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done')),
    report      jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    ended_at    timestamptz,
    PRIMARY KEY (environment, tenant, id)
)

COMMENT ON TABLE lb.erasure IS
'An order to erase what is kept of a tenant, or of one person of it, and how many rows of each table went. subject: the SHA-256 of it and the id once it is done.'

ALTER TABLE lb.arrival ADD COLUMN source text NOT NULL DEFAULT 'webhook'

ALTER TABLE lb.inbox_event ADD COLUMN source text NOT NULL DEFAULT 'webhook'

CREATE TABLE lb.reconciliation (
    environment text NOT NULL,
    tenant      text NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    through     timestamptz NOT NULL,
    cursor      jsonb,
    checked_at  timestamptz,
    checked     bigint NOT NULL DEFAULT 0,
    repaired    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (environment, tenant, connection)
)

COMMENT ON TABLE lb.reconciliation IS
'How far a connection''s webhooks were compared with the provider''s own list of events, and how many had not come. cursor: the place in a comparison under way.'

CREATE INDEX endpoint_disabled ON lb.endpoint (environment) WHERE state = 'disabled'

CREATE INDEX arrival_app ON lb.arrival (environment, app, id)

CREATE INDEX inbox_event_newest ON lb.inbox_event (environment, id)

CREATE INDEX inbox_event_by_subject ON lb.inbox_event (environment, tenant, subject) WHERE subject IS NOT NULL

CREATE INDEX inbox_event_of_record ON lb.inbox_event (environment, tenant, connection, resource, key)
WHERE subject IS NULL AND outcome <> 'ignored'

CREATE INDEX change_by_subject ON lb.change (environment, tenant, subject) WHERE subject IS NOT NULL

CREATE INDEX intent_by_subject ON lb.intent (environment, tenant, subject) WHERE subject IS NOT NULL

CREATE OR REPLACE FUNCTION lb.partitioned() RETURNS TABLE (parent text, prefix text) LANGUAGE sql IMMUTABLE AS
$$ VALUES ('change', 'chg'), ('change_order', 'chg'), ('arrival', 'arr'),
          ('inbox_event', 'inb'), ('event', 'evt'), ('attachment', 'evt'), ('attempt', 'att') $$

CREATE FUNCTION lb.passes(payload bytea, filter jsonb) RETURNS bool LANGUAGE plpgsql STABLE PARALLEL SAFE AS
$$
DECLARE
    body jsonb;
BEGIN
    body := convert_from(payload, 'UTF8');
    IF jsonb_typeof(body->'data') = 'object' AND body->'data' ?& ARRAY['$ref', 'sha256'] THEN
        RETURN true;
    END IF;
    RETURN coalesce(jsonb_path_match(body, (filter->>'path')::jsonpath), false);
EXCEPTION WHEN OTHERS THEN
    RETURN true;
END
$$

COMMENT ON FUNCTION lb.passes IS
'Whether an event''s body passes an endpoint''s filter (its compiled form is under "path"). A body that cannot be asked, or is only referred to, passes: better one delivery too many than one lost.'

CREATE OR REPLACE FUNCTION lb.ensure_partitions(days_ahead int, of_table text DEFAULT '') RETURNS int
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
            -- Rows of this day may lie in the default partition and come at any moment. Whoever began
            -- to plan with the partitions as they were would find the moved ones in neither.
            IF i <= 1 THEN
                EXECUTE format('LOCK TABLE lb.%I IN ACCESS EXCLUSIVE MODE', p.parent);
            END IF;
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

SELECT lb.ensure_partitions(15)
