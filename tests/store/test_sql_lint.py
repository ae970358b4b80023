"""Every statement of the store names its environment and tenant, or says why it does not."""

import re
from pathlib import Path

import pytest

from landbridge.store import catalogue
from landbridge.store.sql import Sql
from tests.store.sql_lint import judge, tables

EVERY = catalogue.every()
KNOWN = tables()
ACROSS = Path(__file__).with_name("across.txt")

# Where another clock than lb.now() is meant.
OTHER_CLOCK = {"condition.server": "doctor shows the server's clock beside the offset"}


def test_the_migrations_were_read() -> None:
    assert {"environment", "tenant", "fence", "woken"} <= KNOWN["due"]
    assert "tenant" not in KNOWN["arrival"]
    assert len(KNOWN) > 20
    assert all(columns for columns in KNOWN.values())


@pytest.mark.parametrize("statement", EVERY, ids=lambda each: each.name)
def test_the_statement_is_in_order(statement: Sql) -> None:
    verdict = judge(statement, KNOWN)
    faults = [each for each in verdict.faults if statement.name not in OTHER_CLOCK]
    assert faults == []
    if not statement.across:
        assert verdict.across == (), "bind environment and tenant, or give a reason: across="
    elif verdict.owned:
        assert verdict.across, "it is held to a tenant as it is: take the reason away"


def _listing() -> str:
    return "".join(
        f"{each.name} ({judge(each, KNOWN).reach}): {each.across}\n"
        for each in EVERY
        if each.across
    )


def test_who_works_across_tenants_is_listed() -> None:
    assert ACROSS.read_text() == _listing(), (
        "read the difference as a reviewer would, then: python -m tests.store.test_sql_lint"
    )


def test_a_reason_is_a_sentence() -> None:
    reasons = {each.name: each.across for each in EVERY if each.across}
    sentence = re.compile(r"[A-Z](\S* ){4,}.*\.")
    assert [name for name, reason in reasons.items() if not sentence.fullmatch(reason)] == []


# What the lint must find, one statement each

PLANTS = {
    "no tenant": (
        "SELECT r.key FROM lb.record AS r WHERE r.environment = :environment",
        "record AS r: tenant is not bound",
    ),
    "no environment": (
        "SELECT key FROM lb.record WHERE tenant = :tenant",
        "record AS record: environment is not bound",
    ),
    "no environment where there is no tenant": (
        "SELECT number FROM lb.consumer WHERE name = :name",
        "consumer AS consumer: environment is not bound",
    ),
    "a tenant that is optional": (
        """SELECT key FROM lb.record WHERE environment = :environment
           AND (:tenant::text IS NULL OR tenant = :tenant)""",
        "tenant is not bound",
    ),
    "a tenant that may be another": (
        "SELECT key FROM lb.record WHERE environment = :environment AND tenant <> :tenant",
        "tenant is not bound",
    ),
    "a tenant that is a constant": (
        "SELECT key FROM lb.record WHERE environment = :environment AND tenant = 'acme'",
        "tenant is not bound",
    ),
    "a tenant equal to itself": (
        "SELECT key FROM lb.record WHERE environment = :environment AND tenant = tenant",
        "tenant is not bound",
    ),
    "a join that forgets the tenant": (
        """SELECT r.key FROM lb.record AS r
           JOIN lb.connection AS c ON c.id = r.connection AND c.environment = r.environment
           WHERE r.environment = :environment AND r.tenant = :tenant""",
        "connection AS c: tenant is not bound",
    ),
    "a left join's condition on its left side": (
        """SELECT r.key FROM lb.record AS r
           LEFT JOIN lb.seen AS s ON s.environment = r.environment AND s.tenant = r.tenant
             AND r.environment = :environment AND r.tenant = :tenant""",
        "record AS r: tenant is not bound",
    ),
    "a right join": (
        """SELECT r.key FROM lb.record AS r RIGHT JOIN unnest(:keys::text[]) AS k(key)
             ON k.key = r.key WHERE r.environment = :environment AND r.tenant = :tenant""",
        "RIGHT JOIN",
    ),
    "a subquery that forgets the tenant": (
        """SELECT r.key FROM lb.record AS r
           WHERE r.environment = :environment AND r.tenant = :tenant AND NOT EXISTS
             (SELECT FROM lb.seen AS s WHERE s.environment = r.environment)""",
        "seen AS s: tenant is not bound",
    ),
    "an array of another's rows": (
        """SELECT r.key FROM lb.record AS r WHERE r.environment = :environment
           AND r.tenant = :tenant AND r.key = ANY (ARRAY(SELECT s.listing FROM lb.seen AS s))""",
        "seen AS s: environment is not bound",
    ),
    "a CTE that forgets the tenant": (
        """WITH some AS (SELECT r.key FROM lb.record AS r WHERE r.environment = :environment)
           SELECT s.key FROM some AS s""",
        "record AS r: tenant is not bound",
    ),
    "rows of a CTE that are not held to a tenant": (
        """WITH word AS (SELECT i.* FROM unnest(:ids::text[]) AS i(id))
           UPDATE lb.due AS d SET woken = true FROM word AS w WHERE d.id = w.id""",
        "due AS d: environment is not bound",
    ),
    "one half of a union": (
        """SELECT key FROM lb.record WHERE environment = :environment AND tenant = :tenant
           UNION ALL SELECT key FROM lb.parked WHERE environment = :environment""",
        "parked AS parked: tenant is not bound",
    ),
    "an update of all": (
        "UPDATE lb.run SET state = 'failed' WHERE id = :id",
        "run AS run: environment is not bound",
    ),
    "a delete of all": (
        "DELETE FROM lb.due AS d USING unnest(:ids::text[]) AS i(id) WHERE d.id = i.id",
        "due AS d: tenant is not bound",
    ),
    "an insert without a tenant": (
        "INSERT INTO lb.record (environment, key) VALUES (:environment, :key)",
        "INSERT INTO record names no tenant",
    ),
    "an insert that names no columns": (
        "INSERT INTO lb.tally SELECT * FROM unnest(:environments::text[]) AS e(environment)",
        "INSERT names no columns",
    ),
    "an insert of rows whose tenant is not bound": (
        """INSERT INTO lb.due (environment, tenant, id)
           SELECT p.environment, p.tenant, p.id FROM lb.endpoint AS p
           WHERE p.environment = :environment""",
        "INSERT INTO due: tenant is no bind's value",
    ),
    "a conflict with another tenant's row": (
        """INSERT INTO lb.due AS d (environment, tenant, id) VALUES (:environment, :tenant, :id)
           ON CONFLICT (id) DO UPDATE SET woken = true""",
        "its key lacks the tenant",
    ),
    "another clock": (
        """SELECT key FROM lb.record
           WHERE environment = :environment AND tenant = :tenant AND changed_at < now()""",
        "the clock is lb.now()",
    ),
    "the standard's clock": ("SELECT CURRENT_TIMESTAMP", "the clock is lb.now()"),
    "the wall clock": ("SELECT clock_timestamp()", "the clock is lb.now()"),
    "an unqualified table": (
        "SELECT key FROM record WHERE environment = :environment AND tenant = :tenant",
        "record: an unqualified table",
    ),
    "a table that no migration creates": (
        "SELECT key FROM lb.recrod WHERE environment = :environment AND tenant = :tenant",
        "lb.recrod: no migration creates it",
    ),
    "a star": (
        "SELECT * FROM lb.record WHERE environment = :environment AND tenant = :tenant",
        "SELECT * of record",
    ),
    "a star of one table": (
        """SELECT k.key, r.* FROM unnest(:keys::text[]) AS k(key), lb.record AS r
           WHERE r.environment = :environment AND r.tenant = :tenant""",
        "SELECT * of record",
    ),
    "a star that is returned": (
        """DELETE FROM lb.record AS r WHERE r.environment = :environment AND r.tenant = :tenant
           RETURNING r.*""",
        "SELECT * of record",
    ),
    "two statements": ("SELECT 1; SELECT 2", "is not one statement"),
    "no SQL": ("SELEC key FRM", "cannot be parsed"),
    "a kind nobody thought of": ("TRUNCATE lb.record", "nobody checks"),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_the_lint_finds(plant: str) -> None:
    text, says = PLANTS[plant]
    verdict = judge(Sql("plant", text), KNOWN)
    assert any(says in fault for fault in (*verdict.faults, *verdict.across)), verdict


def test_a_statement_built_from_anothers_text_has_lost_its_binds() -> None:
    numbered = Sql("one", "SELECT key FROM lb.record WHERE environment = :environment").text
    assert judge(Sql("two", f"{numbered} LIMIT 1"), KNOWN).faults == (
        "$1 is no bind of this statement",
    )


FINE = {
    "both bound": "SELECT key FROM lb.record WHERE environment = :environment AND tenant = :tenant",
    "through a join": """
        SELECT c.id FROM lb.record AS r JOIN lb.connection AS c
          ON c.environment = r.environment AND c.tenant = r.tenant
        WHERE r.environment = :environment AND r.tenant = :tenant""",
    "through unnest and a CTE": """
        WITH word AS (
            SELECT i.* FROM unnest(:ids::text[], :environments::text[], :tenants::text[])
                AS i(id, environment, tenant)
        )
        DELETE FROM lb.due AS d USING word AS w
        WHERE d.id = w.id AND d.environment = w.environment AND d.tenant = w.tenant""",
    "through a lateral and its output": """
        SELECT e.type FROM unnest(:e::text[], :t::text[]) AS i(environment, tenant),
        LATERAL (SELECT v.environment, v.tenant, v.type FROM lb.event AS v
                 WHERE v.environment = i.environment AND v.tenant = i.tenant LIMIT 1) AS e,
        lb.endpoint AS p WHERE p.environment = e.environment AND p.tenant = e.tenant""",
    "any of some": """
        SELECT key FROM lb.record
        WHERE environment = :environment AND tenant = ANY (:tenants::text[])""",
    "a left join": """
        SELECT r.key FROM lb.record AS r
        LEFT JOIN lb.seen AS s ON s.environment = r.environment AND s.tenant = r.tenant
        WHERE r.environment = :environment AND r.tenant = :tenant""",
    "a count": """
        SELECT count(*) FROM lb.record WHERE environment = :environment AND tenant = :tenant""",
    "our clock": "SELECT lb.now()",
}


@pytest.mark.parametrize("name", FINE)
def test_the_lint_leaves_alone(name: str) -> None:
    verdict = judge(Sql("fine", FINE[name]), KNOWN)
    assert (verdict.faults, verdict.across) == ((), ())


if __name__ == "__main__":
    ACROSS.write_text(_listing())
