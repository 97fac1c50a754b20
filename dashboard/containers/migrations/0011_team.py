from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('teams', '0002_everybody'),
        ('containers', '0010_no_address'),
    ]

    operations = [
        migrations.AddField(
            model_name='container',
            name='team',
            field=models.ForeignKey(null=True, on_delete=models.PROTECT, related_name='containers', to='teams.team'),
        ),
    ]
