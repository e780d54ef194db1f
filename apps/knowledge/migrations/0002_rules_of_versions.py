"""What the database itself keeps of the rules of versions, whoever writes: the service, bulk updates, or psql."""

from django.db import migrations

VERSIONS = """
CREATE FUNCTION knowledge_version_rules() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    allowed text[];
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.state <> 'draft' OR OLD.submitted_at IS NOT NULL THEN
            RAISE EXCEPTION 'Only a draft that was never submitted can be deleted'
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_kept';
        END IF;
        RETURN OLD;
    END IF;
    NEW.digest := encode(sha256(convert_to(NEW.title || E'\\x1f' || NEW.body, 'UTF8')), 'hex');
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'draft' THEN
            RAISE EXCEPTION 'A version begins as a draft'
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_begins_as_draft';
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.state <> OLD.state THEN
        allowed := CASE OLD.state
            WHEN 'draft' THEN ARRAY['in_review']
            WHEN 'in_review' THEN ARRAY['draft', 'approved', 'rejected']
            WHEN 'approved' THEN ARRAY['published', 'draft']
            WHEN 'published' THEN ARRAY['superseded', 'archived']
            ELSE ARRAY[]::text[] END;
        IF NOT NEW.state = ANY (allowed) THEN
            RAISE EXCEPTION 'A version does not go from % to %', OLD.state, NEW.state
                USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_way';
        END IF;
    END IF;
    IF (NEW.id, NEW.article_id, NEW.number, NEW.author_id, NEW.created_at)
            IS DISTINCT FROM (OLD.id, OLD.article_id, OLD.number, OLD.author_id, OLD.created_at) THEN
        RAISE EXCEPTION 'Whose version it is does not change'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_identity';
    END IF;
    IF OLD.state <> 'draft' AND (NEW.title, NEW.body, NEW.changes) IS DISTINCT FROM (OLD.title, OLD.body, OLD.changes) THEN
        RAISE EXCEPTION 'Only a draft can be rewritten'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_frozen';
    END IF;
    IF OLD.state IN ('superseded', 'rejected', 'archived') AND to_jsonb(NEW) IS DISTINCT FROM to_jsonb(OLD) THEN
        RAISE EXCEPTION 'A closed version is frozen'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_frozen';
    END IF;
    IF OLD.state = 'published' AND (NEW.reviewer_id, NEW.reviewed_at, NEW.approved_digest, NEW.published_at)
            IS DISTINCT FROM (OLD.reviewer_id, OLD.reviewed_at, OLD.approved_digest, OLD.published_at) THEN
        RAISE EXCEPTION 'Who approved a published version does not change'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'articleversion_frozen';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER knowledge_articleversion_rules BEFORE INSERT OR UPDATE OR DELETE ON knowledge_articleversion
    FOR EACH ROW EXECUTE FUNCTION knowledge_version_rules();
CREATE TRIGGER knowledge_answersettings_immutable BEFORE UPDATE OR DELETE ON knowledge_answersettings
    FOR EACH ROW EXECUTE FUNCTION riskdesk_refuse_change();
"""
UNDO = """
DROP TRIGGER knowledge_answersettings_immutable ON knowledge_answersettings;
DROP TRIGGER knowledge_articleversion_rules ON knowledge_articleversion;
DROP FUNCTION knowledge_version_rules();
"""
# For the search: text configurations without accents, one for each language that the database can stem.
SEARCH = """
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['english', 'french', 'german', 'spanish', 'italian', 'portuguese', 'dutch', 'simple'] LOOP
        EXECUTE format('CREATE TEXT SEARCH CONFIGURATION knowledge_%1$s (COPY = pg_catalog.%1$s)', name);
        EXECUTE format('ALTER TEXT SEARCH CONFIGURATION knowledge_%s ALTER MAPPING FOR hword, hword_part, word '
                       'WITH unaccent, %s', name, CASE name WHEN 'simple' THEN 'simple' ELSE name || '_stem' END);
    END LOOP;
END $$;
CREATE FUNCTION knowledge_words(language text) RETURNS regconfig LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE left(language, 2)
        WHEN 'en' THEN 'public.knowledge_english' WHEN 'fr' THEN 'public.knowledge_french'
        WHEN 'de' THEN 'public.knowledge_german' WHEN 'es' THEN 'public.knowledge_spanish'
        WHEN 'it' THEN 'public.knowledge_italian' WHEN 'pt' THEN 'public.knowledge_portuguese'
        WHEN 'nl' THEN 'public.knowledge_dutch' ELSE 'public.knowledge_simple' END::regconfig
$$;
CREATE FUNCTION knowledge_synonym_stems() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.stems := tsvector_to_array(to_tsvector(knowledge_words(NEW.language), array_to_string(NEW.words, ' ')));
    RETURN NEW;
END $$;
CREATE TRIGGER knowledge_synonym_stemmed BEFORE INSERT OR UPDATE ON knowledge_synonym
    FOR EACH ROW EXECUTE FUNCTION knowledge_synonym_stems();
CREATE INDEX passagevector_near ON knowledge_passagevector USING hnsw (vector halfvec_ip_ops);
INSERT INTO knowledge_searchindex (id, generation, passages) VALUES (1, 0, 0);
"""
UNDO_SEARCH = """
DROP INDEX passagevector_near;
DROP TRIGGER knowledge_synonym_stemmed ON knowledge_synonym;
DROP FUNCTION knowledge_synonym_stems();
DROP FUNCTION knowledge_words(text);
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['english', 'french', 'german', 'spanish', 'italian', 'portuguese', 'dutch', 'simple'] LOOP
        EXECUTE format('DROP TEXT SEARCH CONFIGURATION knowledge_%s', name);
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0001_initial"), ("core", "0003_protect_trail")]
    operations = [migrations.RunSQL(VERSIONS, UNDO), migrations.RunSQL(SEARCH, UNDO_SEARCH)]
