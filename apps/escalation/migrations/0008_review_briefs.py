from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("escalation", "0007_clusters_merge_phrases_have_versions")]

    operations = [
        migrations.AddField(
            model_name="reviewitem",
            name="brief",
            field=models.TextField(
                blank=True, help_text="What to know for it, as it was when the review began. Markdown."
            ),
        ),
        migrations.AddField(
            model_name="review",
            name="summary",
            field=models.TextField(blank=True, help_text="The levels as they were when it began. Markdown."),
        ),
    ]
