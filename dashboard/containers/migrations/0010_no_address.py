from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('containers', '0009_endpoints'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='container',
            name='address',
        ),
    ]
