"""Search by parts of words in what cards are about."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    dependencies = [("actions", "0003_reconcile")]

    operations = [
        TrigramExtension(),
        migrations.AddIndex(
            "actioncard", GinIndex(OpClass(Upper("target"), "gin_trgm_ops"), name="actioncard_target_words")
        ),
    ]
