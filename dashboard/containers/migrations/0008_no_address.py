from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('containers', '0007_endpoints'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='container',
            name='address',
        ),
    ]
