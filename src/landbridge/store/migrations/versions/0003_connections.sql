-- Landbridge: connections by OAuth, quotas, breakers, the call log, shadows. `lb` stands for the installation's own schema.
-- Statements are separated by an empty line, and none contains one.

ALTER TABLE lb.app
    ADD COLUMN client_id text NOT NULL DEFAULT '',
    ADD COLUMN client_secret bytea,
    ADD COLUMN writes text[] NOT NULL DEFAULT '{}'

ALTER TABLE lb.access_grant
    ADD COLUMN access bytea,
    ADD COLUMN secret_version bigint NOT NULL DEFAULT 1,
    ADD COLUMN refresh_expires_at timestamptz,
    ADD COLUMN refreshed_at timestamptz,
    ADD COLUMN state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'dead')),
    ADD COLUMN reason text NOT NULL DEFAULT ''

CREATE INDEX connection_of_provider ON lb.connection (environment, provider, id)

CREATE INDEX connection_pending ON lb.connection (updated_at) WHERE state = 'pending'

CREATE TABLE lb.refresh_intent (
    environment  text NOT NULL,
    tenant       text NOT NULL,
    access_grant text COLLATE "C" NOT NULL,
    version      bigint NOT NULL,
    owner        text NOT NULL,
    tries        int NOT NULL DEFAULT 0,
    opened_at    timestamptz NOT NULL DEFAULT lb.now(),
    until        timestamptz NOT NULL,
    PRIMARY KEY (environment, tenant, access_grant)
) WITH (fillfactor = 70)

COMMENT ON TABLE lb.refresh_intent IS
'A refresh that may have reached the provider: nobody else posts for this version of the grant until its outcome is known.'

CREATE TABLE lb.consent (
    environment text NOT NULL,
    tenant      text NOT NULL,
    state_digest bytea NOT NULL,
    app         text COLLATE "C" NOT NULL,
    connection  text COLLATE "C",
    browser     bytea NOT NULL,
    sealed      bytea NOT NULL,
    scopes      text[] NOT NULL DEFAULT '{}',
    args        jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (environment, state_digest)
)

COMMENT ON TABLE lb.consent IS
'A consent under way: the digest of its state, of the browser it belongs to, and the sealed PKCE verifier. Taken once, for ten minutes.'

CREATE INDEX consent_expiry ON lb.consent (expires_at)

CREATE TABLE lb.connect_session (
    environment text NOT NULL,
    tenant      text NOT NULL,
    token_digest bytea NOT NULL,
    providers   text[] NOT NULL DEFAULT '{}',
    connection  text COLLATE "C",
    args        jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'consenting', 'choosing', 'connected', 'denied', 'failed')),
    connected   jsonb NOT NULL DEFAULT '[]',
    offered     jsonb NOT NULL DEFAULT '[]',
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (token_digest)
)

COMMENT ON TABLE lb.connect_session IS
'What a browser may do on our connect pages, by the digest of its token: one tenant, some providers, for a short time.'

CREATE INDEX connect_session_expiry ON lb.connect_session (expires_at)

CREATE TABLE lb.breaker (
    environment text NOT NULL,
    tenant      text NOT NULL,
    place       text COLLATE "C" NOT NULL,
    failures    int NOT NULL DEFAULT 0,
    opened      int NOT NULL DEFAULT 0,
    open_until  timestamptz,
    probing_until timestamptz,
    error       text,
    updated_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, place)
) WITH (fillfactor = 60)

COMMENT ON TABLE lb.breaker IS
'Places that fail: a connection of a tenant, or a whole provider (tenant empty). Calls wait until open_until, then one probes.'

CREATE TABLE lb.call (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    method      text NOT NULL,
    path        text NOT NULL,
    status      int,
    attempt     int NOT NULL DEFAULT 1,
    took_ms     int NOT NULL,
    outcome     text NOT NULL,
    lane        text NOT NULL DEFAULT '',
    request_id  text,
    error       text,
    request     bytea,
    response    bytea,
    subject     text,
    created_at  timestamptz NOT NULL DEFAULT lb.now()
) PARTITION BY RANGE (id)

COMMENT ON TABLE lb.call IS
'Calls to providers, without their bodies unless they were asked for. Kept for a few days.'

CREATE INDEX call_of_connection ON lb.call (environment, tenant, connection, id)

CREATE INDEX call_of_subject ON lb.call (environment, tenant, subject) WHERE subject IS NOT NULL

CREATE TABLE lb.quota (
    environment text NOT NULL,
    place       text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    most        int NOT NULL,
    step        float8 NOT NULL,
    tick        bigint NOT NULL DEFAULT 0,
    used        int[] NOT NULL DEFAULT '{0}',
    holders     jsonb NOT NULL DEFAULT '{}',
    blocked_until timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, place, name)
) WITH (fillfactor = 60)

COMMENT ON TABLE lb.quota IS
'What is used of a provider''s quotas, by remote account or app: counts by steps of the period, the newest first, in chunks that processes lease; or who holds how many calls at once, and until when.'

ALTER TABLE lb.intent
    ADD COLUMN tried_at timestamptz,
    ADD COLUMN shadow text COLLATE "C",
    DROP CONSTRAINT intent_state_check,
    ADD CONSTRAINT intent_state_check
        CHECK (state IN ('waiting', 'done', 'refused', 'conflict', 'unknown', 'shadowed'))

CREATE TABLE lb.shadow (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    place       text COLLATE "C" NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('provider', 'connection', 'handler')),
    state       text NOT NULL CHECK (state IN ('running', 'promoted', 'stopped', 'failed')),
    reason      text NOT NULL DEFAULT '',
    rule        jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    until       timestamptz NOT NULL,
    ended_at    timestamptz,
    PRIMARY KEY (environment, tenant, id)
)

COMMENT ON TABLE lb.shadow IS
'A provider, connection or handler whose writes are recorded and not sent, until it is promoted or stopped. Failed: its window is over and its rule did not hold, so writes are still kept back. Without a tenant it holds for all.'

CREATE UNIQUE INDEX shadow_holding ON lb.shadow (environment, place, tenant)
WHERE state IN ('running', 'failed')

CREATE TABLE lb.shadow_call (
    environment text NOT NULL,
    tenant      text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    shadow      text COLLATE "C" NOT NULL,
    connection  text COLLATE "C" NOT NULL,
    resource    text NOT NULL DEFAULT '',
    action      text NOT NULL DEFAULT '',
    key         text NOT NULL DEFAULT '',
    idempotency text NOT NULL DEFAULT '',
    intent      text COLLATE "C",
    state       text NOT NULL DEFAULT 'recorded'
                CHECK (state IN ('recorded', 'sending', 'sent', 'refused', 'unknown', 'discarded')),
    error       text NOT NULL DEFAULT '',
    sent_key    text,
    request     bytea NOT NULL,
    response    bytea NOT NULL,
    diff        jsonb NOT NULL DEFAULT '[]',
    subject     text,
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    tried_at    timestamptz,
    PRIMARY KEY (environment, tenant, id)
)

CREATE INDEX shadow_call_of ON lb.shadow_call (environment, shadow, id)

CREATE INDEX shadow_call_key ON lb.shadow_call (environment, tenant, connection, key, id)

CREATE INDEX shadow_call_subject ON lb.shadow_call (environment, tenant, subject) WHERE subject IS NOT NULL

CREATE UNIQUE INDEX shadow_call_once ON lb.shadow_call (environment, tenant, shadow, idempotency)
WHERE idempotency <> ''

COMMENT ON TABLE lb.shadow_call IS
'A write that a shadow kept back: the exact request without credentials, what it would have changed, and the answer that was made up. Sent once it is replayed.'

CREATE TABLE lb.shadow_field (
    environment text NOT NULL,
    tenant      text NOT NULL,
    shadow      text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    field       text NOT NULL,
    compared    bigint NOT NULL DEFAULT 0,
    diverged    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (environment, tenant, shadow, resource, field)
) WITH (fillfactor = 70)

COMMENT ON TABLE lb.shadow_field IS
'A candidate beside the current page on the same records: how often each field was compared, and how often the two differ.'

CREATE TABLE lb.shadow_sample (
    environment text NOT NULL,
    tenant      text NOT NULL,
    shadow      text COLLATE "C" NOT NULL,
    resource    text NOT NULL,
    field       text NOT NULL,
    key         text NOT NULL,
    current     jsonb,
    candidate   jsonb,
    subject     text,
    PRIMARY KEY (environment, tenant, shadow, resource, field, key)
)

CREATE INDEX shadow_sample_subject ON lb.shadow_sample (environment, tenant, subject) WHERE subject IS NOT NULL

COMMENT ON TABLE lb.shadow_sample IS
'A few of the records in which the candidate and the current page differ, by field.'

CREATE TABLE lb.drill (
    environment text NOT NULL,
    id          text COLLATE "C" NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('revoke', 'rotate')),
    args        jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
    cursor      text NOT NULL DEFAULT '',
    counts      jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT lb.now(),
    ended_at    timestamptz,
    PRIMARY KEY (environment, id)
)

COMMENT ON TABLE lb.drill IS
'A revocation of many grants, or a rotation of keys: how far it came.'

CREATE TABLE lb.drill_grant (
    environment  text NOT NULL,
    tenant       text NOT NULL,
    drill        text COLLATE "C" NOT NULL,
    access_grant text COLLATE "C" NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('revoked', 'failed', 'unsupported')),
    reason       text NOT NULL DEFAULT '',
    at           timestamptz NOT NULL DEFAULT lb.now(),
    PRIMARY KEY (environment, tenant, drill, access_grant)
)

COMMENT ON TABLE lb.drill_grant IS
'What became of each grant of a revocation.'

CREATE OR REPLACE FUNCTION lb.partitioned() RETURNS TABLE (parent text, prefix text) LANGUAGE sql IMMUTABLE AS
$$ VALUES ('change', 'chg'), ('change_order', 'chg'), ('arrival', 'arr'),
          ('inbox_event', 'inb'), ('event', 'evt'), ('attachment', 'evt'), ('attempt', 'att'),
          ('call', 'cal') $$

SELECT lb.ensure_partitions(15)
