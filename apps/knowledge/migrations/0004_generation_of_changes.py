"""Whatever readers can see of articles counts the generation on when it changes, whoever writes it.

Counted as the last thing of a transaction, once, so that nobody waits for anything while holding the lock of the one row,
and so that who read a generation before reading articles can never keep older articles under a newer generation.
"""

from django.db import migrations

COUNTED = """
CREATE FUNCTION knowledge_count_generation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE knowledge_searchindex SET generation = generation + 1
    WHERE xmin::text::bigint <> pg_current_xact_id()::text::bigint % 4294967296;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER knowledge_category_counted AFTER INSERT OR UPDATE OR DELETE ON knowledge_category
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION knowledge_count_generation();
CREATE CONSTRAINT TRIGGER knowledge_slugredirect_counted AFTER INSERT OR UPDATE OR DELETE ON knowledge_slugredirect
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION knowledge_count_generation();
CREATE CONSTRAINT TRIGGER knowledge_article_counted AFTER UPDATE ON knowledge_article
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN ((OLD.slug, OLD.category_id, OLD.audience, OLD.language, OLD.scope_id, OLD.archived_at)
        IS DISTINCT FROM (NEW.slug, NEW.category_id, NEW.audience, NEW.language, NEW.scope_id, NEW.archived_at))
    EXECUTE FUNCTION knowledge_count_generation();
CREATE CONSTRAINT TRIGGER knowledge_articleversion_counted AFTER UPDATE ON knowledge_articleversion
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state = 'published' OR NEW.state = 'published'))
    EXECUTE FUNCTION knowledge_count_generation();
"""
UNDO = """
DROP TRIGGER knowledge_category_counted ON knowledge_category;
DROP TRIGGER knowledge_slugredirect_counted ON knowledge_slugredirect;
DROP TRIGGER knowledge_article_counted ON knowledge_article;
DROP TRIGGER knowledge_articleversion_counted ON knowledge_articleversion;
DROP FUNCTION knowledge_count_generation();
"""


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0003_index_build")]
    operations = [migrations.RunSQL(COUNTED, UNDO)]
