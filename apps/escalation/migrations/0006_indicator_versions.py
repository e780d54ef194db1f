"""Versions of the indicators' thresholds, which nobody changes, and on each proposal the one it was found with."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


TABLE = "escalation_indicatorversion"
PROTECT = f"""
CREATE TRIGGER {TABLE}_append_only BEFORE UPDATE OR DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION riskdesk_refuse_change();
CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION riskdesk_refuse_truncate();
"""
UNPROTECT = f"DROP TRIGGER {TABLE}_append_only ON {TABLE}; DROP TRIGGER {TABLE}_no_truncate ON {TABLE};"


class Migration(migrations.Migration):

    dependencies = [
        ('escalation', '0005_freeze_versions'),
        ('core', '0003_protect_trail'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='IndicatorVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rule', models.SlugField(max_length=60)),
                ('number', models.PositiveIntegerField()),
                ('enabled', models.BooleanField(default=True)),
                ('settings', models.JSONField(default=dict, help_text="Thresholds, validated by the rule's schema.")),
                ('reason', models.CharField(help_text='Why this version was made.', max_length=300)),
                ('created_at', models.DateTimeField()),
                ('created_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['rule', '-number'],
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='proposal',
            name='thresholds',
            field=models.ForeignKey(blank=True, help_text='The version it was found with last; empty: found before there were versions.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='proposals', to='escalation.indicatorversion'),
        ),
        migrations.AddConstraint(
            model_name='indicatorversion',
            constraint=models.UniqueConstraint(fields=('rule', 'number'), name='indicatorversion_number'),
        ),
        migrations.RunSQL(PROTECT, UNPROTECT),
    ]
