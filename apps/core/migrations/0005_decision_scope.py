from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('core', '0004_api_tokens'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='decision',
            index=models.Index(fields=['scope', '-seq'], name='decision_scope'),
        ),
    ]
