from django.db import migrations, models


class Migration(migrations.Migration):
    """Containers that are there already keep the host's ids: their files belong to them."""

    dependencies = [
        ("containers", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="container",
            name="first_id",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="container",
            name="id_mode",
            field=models.CharField(
                choices=[("own", "Own"), ("shared", "Shared"), ("host", "Host"), ("before", "Before")],
                default="before",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="container",
            name="id_mode",
            field=models.CharField(
                choices=[("own", "Own"), ("shared", "Shared"), ("host", "Host"), ("before", "Before")],
                default="own",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="container",
            constraint=models.UniqueConstraint(
                condition=models.Q(("id_mode", "own")), fields=("first_id",), name="ids_once"
            ),
        ),
    ]
