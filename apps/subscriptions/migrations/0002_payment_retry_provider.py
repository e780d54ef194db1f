import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('subscriptions', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='paymentretry',
            name='charge_id',
            field=models.CharField(blank=True, help_text="The provider's own name of the charge.", max_length=120),
        ),
        migrations.AddField(
            model_name='paymentretry',
            name='provider',
            field=models.ForeignKey(default=None, help_text='Only it knows what became of the key.', on_delete=django.db.models.deletion.PROTECT, related_name='retries', to='subscriptions.paymentprovider'),
            preserve_default=False,
        ),
    ]
