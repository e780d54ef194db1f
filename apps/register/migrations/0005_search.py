"""Search by parts of words in the titles of risks and mitigations."""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    dependencies = [("register", "0004_check_versions")]

    operations = [
        TrigramExtension(),
        migrations.AddIndex("risk", GinIndex(OpClass(Upper("title"), "gin_trgm_ops"), name="risk_title_words")),
        migrations.AddIndex(
            "mitigation", GinIndex(OpClass(Upper("title"), "gin_trgm_ops"), name="mitigation_title_words")
        ),
    ]
