"""Who approved a version, and when, does not change from the approval on; a live version changes in nothing but its end.

Nor is it forgotten that a version was in review once, which would let it be deleted, and the table is not emptied.
"""

from django.db import migrations, models

FACTS = """
CREATE FUNCTION knowledge_version_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'approved' AND NEW.state IN ('approved', 'published')
            AND (NEW.reviewer_id, NEW.reviewed_at, NEW.approved_digest)
            IS DISTINCT FROM (OLD.reviewer_id, OLD.reviewed_at, OLD.approved_digest) THEN
        RAISE EXCEPTION 'Who approved a version does not change'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_frozen';
    END IF;
    IF OLD.state = 'published' AND (to_jsonb(NEW) - 'state' - 'closed_at' IS DISTINCT FROM to_jsonb(OLD) - 'state' - 'closed_at'
            OR (NEW.state = OLD.state AND NEW.closed_at IS DISTINCT FROM OLD.closed_at)) THEN
        RAISE EXCEPTION 'A live version changes in nothing but its end'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_frozen';
    END IF;
    IF OLD.submitted_at IS NOT NULL AND NEW.submitted_at IS NULL THEN
        RAISE EXCEPTION 'It is not forgotten that a version was in review'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER knowledge_articleversion_facts BEFORE UPDATE ON knowledge_articleversion
    FOR EACH ROW EXECUTE FUNCTION knowledge_version_facts();
CREATE TRIGGER knowledge_articleversion_no_truncate BEFORE TRUNCATE ON knowledge_articleversion
    FOR EACH STATEMENT EXECUTE FUNCTION riskdesk_refuse_truncate();
"""
UNDO = """
DROP TRIGGER knowledge_articleversion_no_truncate ON knowledge_articleversion;
DROP TRIGGER knowledge_articleversion_facts ON knowledge_articleversion;
DROP FUNCTION knowledge_version_facts();
"""


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0004_generation_of_changes")]
    operations = [
        migrations.RunSQL(FACTS, UNDO),
        migrations.AddConstraint(
            "article",
            models.CheckConstraint(condition=models.Q(("audience__in", ["public", "internal"])), name="article_audience"),
        ),
        migrations.AddConstraint(
            "article",
            models.CheckConstraint(condition=models.Q(("review_every_days__gte", 1)), name="article_reviewed_again"),
        ),
        migrations.AddConstraint(
            "article",
            models.CheckConstraint(condition=models.Q(("slug", ""), _negated=True), name="article_has_address"),
        ),
    ]
