"""Scores know their organisation and their place in the list; the database keeps both right."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Case, F, Value, When

_FOLLOW = """
    CREATE FUNCTION riskdesk_score_begins() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT owner_id, scope_id INTO NEW.user_id, NEW.scope_id FROM subscriptions_subscription WHERE id = NEW.subscription_id;
        RETURN NEW;
    END $$;
    CREATE TRIGGER risk_score_begins BEFORE INSERT ON subscription_risk_scores
    FOR EACH ROW EXECUTE FUNCTION riskdesk_score_begins();
    CREATE FUNCTION riskdesk_score_follows() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE subscription_risk_scores SET user_id = NEW.owner_id, scope_id = NEW.scope_id WHERE subscription_id = NEW.id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER subscription_score_follows AFTER UPDATE OF owner_id, scope_id ON subscriptions_subscription
    FOR EACH ROW WHEN (OLD.owner_id <> NEW.owner_id OR OLD.scope_id IS DISTINCT FROM NEW.scope_id)
    EXECUTE FUNCTION riskdesk_score_follows()
"""
_LEAVE = """
    DROP TRIGGER subscription_score_follows ON subscriptions_subscription;
    DROP FUNCTION riskdesk_score_follows();
    DROP TRIGGER risk_score_begins ON subscription_risk_scores;
    DROP FUNCTION riskdesk_score_begins()
"""
_FILL = """
    UPDATE subscription_risk_scores r SET user_id = s.owner_id, scope_id = s.scope_id
    FROM subscriptions_subscription s WHERE s.id = r.subscription_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0006_judged_as_of"),
        ("subscriptions", "0003_payment_method_of_tries"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="riskscore", name="riskscore_worst"),
        migrations.RemoveIndex(model_name="riskscore", name="riskscore_of_user"),
        migrations.RemoveIndex(model_name="riskscore", name="riskscore_degraded"),
        migrations.AddField(
            model_name="riskscore",
            name="scope",
            field=models.ForeignKey(
                blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+",
                to="core.scope",
            ),
        ),
        migrations.AddField(
            model_name="riskscore",
            name="place",
            field=models.GeneratedField(
                db_persist=True,
                expression=Case(
                    When(risk_level="HIGH", then=-F("total_weight")),
                    When(risk_level="MEDIUM", then=Value(1_000_000) - F("total_weight")),
                    default=Value(2_000_000) - F("total_weight"),
                ),
                help_text="Orders all scores, the worst first: HIGH before MEDIUM before LOW, then by the sum of weights.",
                output_field=models.DecimalField(decimal_places=2, max_digits=9),
            ),
        ),
        migrations.AlterModelOptions(name="riskscore", options={"ordering": ["place", "id"]}),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),  # or no index could be made now
        *(
            migrations.AddIndex(model_name="riskscore", index=index)
            for index in (
                models.Index(fields=["place", "id"], name="riskscore_worst"),
                models.Index(fields=["user", "place", "id"], name="riskscore_of_user"),
                models.Index(fields=["scope", "place", "id"], name="riskscore_of_scope"),
                models.Index(fields=["place", "id"], condition=models.Q(risk_level="HIGH"), name="riskscore_high"),
                models.Index(fields=["place", "id"], condition=models.Q(degraded=True), name="riskscore_degraded"),
            )
        ),
        migrations.RunSQL(_FOLLOW, _LEAVE),
    ]  # fmt: skip
