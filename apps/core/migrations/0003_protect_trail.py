"""Triggers that keep the decision log and the audit trail append-only.

TRUNCATE is let through in databases called ``test_...`` only, where Django's test runner empties tables by it (a test
of the refusal itself sets ``riskdesk.protect`` to ``on``).
"""

from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION riskdesk_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION riskdesk_refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_database() LIKE 'test\\_%' AND coalesce(current_setting('riskdesk.protect', true), '') <> 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only: TRUNCATE refused', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE FUNCTION riskdesk_allow_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.decision_id = OLD.decision_id AND OLD.erased_at IS NULL AND NEW.erased_at IS NOT NULL
       AND NEW.rationale = '' AND NEW.salt = '' AND NEW.details = '{}'::jsonb THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the text of a decision can only be erased' USING ERRCODE = 'insufficient_privilege';
END $$;
"""

TABLES = {"core_decision": "UPDATE OR DELETE", "core_decisiontext": "DELETE", "auditlog_logentry": "UPDATE OR DELETE"}


def protect(table: str, events: str) -> str:
    return f"""
CREATE TRIGGER {table}_append_only BEFORE {events} ON {table}
    FOR EACH ROW EXECUTE FUNCTION riskdesk_refuse_change();
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION riskdesk_refuse_truncate();
"""


def release(table: str) -> str:
    return f"DROP TRIGGER {table}_append_only ON {table}; DROP TRIGGER {table}_no_truncate ON {table};"


ERASURE = """
CREATE TRIGGER core_decisiontext_erasure BEFORE UPDATE ON core_decisiontext
    FOR EACH ROW EXECUTE FUNCTION riskdesk_allow_erasure();
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0002_trail"), ("auditlog", "0017_add_actor_email")]

    operations = [
        migrations.RunSQL(
            FUNCTIONS + "".join(protect(table, events) for table, events in TABLES.items()) + ERASURE,
            "".join(release(table) for table in TABLES)
            + "DROP TRIGGER core_decisiontext_erasure ON core_decisiontext;"
            + "DROP FUNCTION riskdesk_refuse_change(); DROP FUNCTION riskdesk_refuse_truncate();"
            + "DROP FUNCTION riskdesk_allow_erasure();",
        )
    ]
