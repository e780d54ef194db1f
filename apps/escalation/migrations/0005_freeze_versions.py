"""Approved versions of controlled documents are frozen: all that may change of one is that another supersedes it."""

from django.db import migrations

FREEZE = """
CREATE FUNCTION escalation_freeze_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'draft' THEN
        RETURN COALESCE(NEW, OLD);
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state = 'approved' AND NEW.state = 'superseded'
            AND to_jsonb(OLD) - 'state' = to_jsonb(NEW) - 'state' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'An approved version of a document cannot be changed.';
END $$;
CREATE TRIGGER escalation_documentversion_frozen BEFORE UPDATE OR DELETE ON escalation_documentversion
    FOR EACH ROW EXECUTE FUNCTION escalation_freeze_version();
"""
THAW = """
DROP TRIGGER escalation_documentversion_frozen ON escalation_documentversion;
DROP FUNCTION escalation_freeze_version();
"""


class Migration(migrations.Migration):
    dependencies = [("escalation", "0004_report_words")]

    operations = [migrations.RunSQL(FREEZE, THAW)]
