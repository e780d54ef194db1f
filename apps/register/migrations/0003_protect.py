"""What the register never changes: matrix versions, scores, attestations, timelines, approved versions."""

from django.db import migrations

IMMUTABLE = ("register_matrixversion", "register_attestation", "register_incidentevent")

LATEST = """
CREATE FUNCTION register_only_superseded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.latest AND NOT NEW.latest AND to_jsonb(OLD) - 'latest' = to_jsonb(NEW) - 'latest' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% keeps its rows as they were written', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER register_rating_kept BEFORE UPDATE ON register_rating
    FOR EACH ROW EXECUTE FUNCTION register_only_superseded();
CREATE TRIGGER register_rating_not_deleted BEFORE DELETE ON register_rating
    FOR EACH ROW EXECUTE FUNCTION riskdesk_refuse_change();
CREATE TRIGGER register_checkresult_kept BEFORE UPDATE ON register_checkresult
    FOR EACH ROW EXECUTE FUNCTION register_only_superseded();
"""
UNDO_LATEST = """
DROP TRIGGER register_checkresult_kept ON register_checkresult;
DROP TRIGGER register_rating_not_deleted ON register_rating;
DROP TRIGGER register_rating_kept ON register_rating;
DROP FUNCTION register_only_superseded();
"""
VERSIONS = """
CREATE FUNCTION register_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'draft' THEN
        RETURN COALESCE(NEW, OLD);
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state = 'approved' AND NEW.state = 'superseded'
       AND to_jsonb(OLD) - 'state' = to_jsonb(NEW) - 'state' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'An approved version is not changed' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER register_assessmentversion_frozen BEFORE UPDATE OR DELETE ON register_assessmentversion
    FOR EACH ROW EXECUTE FUNCTION register_version_frozen();
"""
UNDO_VERSIONS = """
DROP TRIGGER register_assessmentversion_frozen ON register_assessmentversion;
DROP FUNCTION register_version_frozen();
"""


class Migration(migrations.Migration):
    dependencies = [("register", "0002_the_register"), ("core", "0003_protect_trail")]
    operations = [
        *(
            migrations.RunSQL(
                f"CREATE TRIGGER {table}_immutable BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION riskdesk_refuse_change()",
                f"DROP TRIGGER {table}_immutable ON {table}",
            )
            for table in IMMUTABLE
        ),
        migrations.RunSQL(LATEST, UNDO_LATEST),
        migrations.RunSQL(VERSIONS, UNDO_VERSIONS),
        migrations.RunSQL(
            "CREATE SEQUENCE register_incident_reference", "DROP SEQUENCE register_incident_reference"
        ),
    ]
