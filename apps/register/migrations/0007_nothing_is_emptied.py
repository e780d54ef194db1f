"""What was decided stays: no table of kept rows is emptied, no acceptance gets other terms, no held review other minutes.

TRUNCATE is let through in databases of tests only, as for the decision log.
"""

from django.db import migrations

KEPT = (
    "register_matrixversion", "register_attestation", "register_incidentevent", "register_rating",
    "register_assessmentversion", "register_checkversion", "register_acceptance", "register_registerreview",
)  # fmt: skip

TERMS = """
CREATE FUNCTION register_terms_kept() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE changing text[] := ARRAY['state', 'decided_by_id', 'decided_at', 'decision_reason', 'warned_at', 'ended_at'];
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - changing = to_jsonb(NEW) - changing
       AND (OLD.state IN ('requested', 'approved') OR OLD.state = NEW.state)
       AND (OLD.decided_at IS NULL OR (OLD.decided_at, OLD.decision_reason, OLD.decided_by_id)
            IS NOT DISTINCT FROM (NEW.decided_at, NEW.decision_reason, NEW.decided_by_id)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'What was asked and decided is kept as it was' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER register_acceptance_kept BEFORE UPDATE OR DELETE ON register_acceptance
    FOR EACH ROW EXECUTE FUNCTION register_terms_kept();
"""
UNDO_TERMS = """
DROP TRIGGER register_acceptance_kept ON register_acceptance;
DROP FUNCTION register_terms_kept();
"""
MINUTES = """
CREATE FUNCTION register_minutes_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'completed' THEN
        RETURN COALESCE(NEW, OLD);
    END IF;
    IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - 'notified_at' = to_jsonb(NEW) - 'notified_at' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'A completed review is not changed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER register_registerreview_kept BEFORE UPDATE OR DELETE ON register_registerreview
    FOR EACH ROW EXECUTE FUNCTION register_minutes_kept();
CREATE FUNCTION register_point_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM register_registerreview WHERE id = OLD.review_id AND status = 'completed') THEN
        RAISE EXCEPTION 'A completed review is not changed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN COALESCE(NEW, OLD);
END $$;
CREATE TRIGGER register_reviewpoint_kept BEFORE UPDATE OR DELETE ON register_reviewpoint
    FOR EACH ROW EXECUTE FUNCTION register_point_kept();
"""
UNDO_MINUTES = """
DROP TRIGGER register_reviewpoint_kept ON register_reviewpoint;
DROP FUNCTION register_point_kept();
DROP TRIGGER register_registerreview_kept ON register_registerreview;
DROP FUNCTION register_minutes_kept();
"""


class Migration(migrations.Migration):
    dependencies = [("register", "0006_control_version")]
    operations = [
        migrations.RunSQL(TERMS, UNDO_TERMS),
        migrations.RunSQL(MINUTES, UNDO_MINUTES),
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION riskdesk_refuse_truncate()",
                f"DROP TRIGGER {table}_no_truncate ON {table}",
            )
            for table in KEPT
        ),
    ]
