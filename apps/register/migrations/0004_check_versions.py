import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("register", "0003_protect"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="CheckVersion",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rule", models.SlugField(max_length=60)),
                ("number", models.PositiveIntegerField()),
                ("enabled", models.BooleanField(default=True)),
                ("settings", models.JSONField(default=dict, help_text="Thresholds, validated by the rule's schema.")),
                ("reason", models.CharField(help_text="Why this version was made.", max_length=300)),
                ("created_at", models.DateTimeField()),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["rule", "-number"],
                "abstract": False,
                "constraints": [models.UniqueConstraint(fields=("rule", "number"), name="checkversion_number")],
            },
        ),
        migrations.RunSQL(
            "CREATE TRIGGER register_checkversion_immutable BEFORE UPDATE OR DELETE ON register_checkversion "
            "FOR EACH ROW EXECUTE FUNCTION riskdesk_refuse_change()",
            "DROP TRIGGER register_checkversion_immutable ON register_checkversion",
        ),
    ]
