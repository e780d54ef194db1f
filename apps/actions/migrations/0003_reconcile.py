"""Numbers of evidence, the end of findings, and rule versions that nobody changes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("actions", "0002_initial"), ("core", "0003_protect_trail")]

    operations = [
        migrations.AddField(
            "actioncard",
            "hit_ended_at",
            models.DateTimeField(
                blank=True,
                help_text="When the finding of a decided card went away; until then it is not raised again.",
                null=True,
            ),
        ),
        migrations.AlterField(
            "actioncard",
            "evidence",
            models.JSONField(default=list, help_text="Oldest first; see apps.actions.reconcile."),
        ),
        migrations.AddIndex(
            "actioncard",
            models.Index(
                fields=["rule", "subject"],
                condition=models.Q(hit_ended_at=None, status__in=["dismissed", "escalated", "executed"]),
                name="actioncard_decided",
            ),
        ),
        migrations.RemoveIndex("rulerun", "rulerun_last_good"),
        migrations.AddIndex(
            "rulerun",
            models.Index(
                fields=["rule", "-finished_at"],
                condition=models.Q(status="succeeded", trigger__in=["schedule", "command"]),
                name="rulerun_last_good",
            ),
        ),
        migrations.RunSQL("CREATE SEQUENCE actions_evidence_seq", "DROP SEQUENCE actions_evidence_seq"),
        migrations.RunSQL(
            "CREATE TRIGGER actions_ruleversion_immutable BEFORE UPDATE OR DELETE ON actions_ruleversion "
            "FOR EACH ROW EXECUTE FUNCTION riskdesk_refuse_change()",
            "DROP TRIGGER actions_ruleversion_immutable ON actions_ruleversion",
        ),
    ]
