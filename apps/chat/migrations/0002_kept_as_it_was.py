"""Events are kept as they happened; only their words can be forgotten. Readings of transcripts never change."""

from django.db import migrations

PROTECT = """
CREATE FUNCTION chat_event_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.text = '' AND NEW.data = '{}'::jsonb
       AND (to_jsonb(NEW) - ARRAY['text', 'data']) = (to_jsonb(OLD) - ARRAY['text', 'data']) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'What happened in a conversation stays; only its words can be forgotten'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER chat_event_kept BEFORE UPDATE OR DELETE ON chat_event
    FOR EACH ROW EXECUTE FUNCTION chat_event_rules();
CREATE TRIGGER chat_event_no_truncate BEFORE TRUNCATE ON chat_event
    FOR EACH STATEMENT EXECUTE FUNCTION riskdesk_refuse_truncate();
CREATE TRIGGER chat_reading_append_only BEFORE UPDATE OR DELETE ON chat_reading
    FOR EACH ROW EXECUTE FUNCTION riskdesk_refuse_change();
CREATE TRIGGER chat_reading_no_truncate BEFORE TRUNCATE ON chat_reading
    FOR EACH STATEMENT EXECUTE FUNCTION riskdesk_refuse_truncate();
"""
RELEASE = """
DROP TRIGGER chat_event_kept ON chat_event;
DROP TRIGGER chat_event_no_truncate ON chat_event;
DROP TRIGGER chat_reading_append_only ON chat_reading;
DROP TRIGGER chat_reading_no_truncate ON chat_reading;
DROP FUNCTION chat_event_rules();
"""


class Migration(migrations.Migration):
    dependencies = [("chat", "0001_initial"), ("core", "0003_protect_trail")]
    operations = [migrations.RunSQL(PROTECT, RELEASE)]
