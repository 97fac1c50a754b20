from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('teams', '0002_everybody'),
        ('networks', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='network',
            name='team',
            field=models.ForeignKey(null=True, on_delete=models.PROTECT, related_name='networks', to='teams.team'),
        ),
    ]
