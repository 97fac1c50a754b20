from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('teams', '0002_everybody'),
        ('volumes', '0002_restoring'),
    ]

    operations = [
        migrations.AddField(
            model_name='volume',
            name='team',
            field=models.ForeignKey(null=True, on_delete=models.PROTECT, related_name='volumes', to='teams.team'),
        ),
        migrations.AddField(model_name='volume', name='key', field=models.CharField(default='', max_length=255)),
    ]
