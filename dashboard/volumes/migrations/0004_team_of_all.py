from django.db import migrations
from django.db.models import F


def give(apps, _schema_editor):
    """Whatever is there becomes the main team's. Apart from the change of columns: PostgreSQL refuses both in one."""
    main = apps.get_model('teams', 'Team').objects.get(slug='main')
    apps.get_model('volumes', 'Volume').objects.filter(team=None).update(team=main, key=F('name'))


class Migration(migrations.Migration):

    dependencies = [('volumes', '0003_team')]
    operations = [migrations.RunPython(give, migrations.RunPython.noop, elidable=False)]
