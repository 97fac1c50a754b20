from django.db import migrations


def give(apps, _schema_editor):
    """Whatever is there but the predefined ones becomes the main team's. Apart from the change of columns: PostgreSQL refuses both in one."""
    main = apps.get_model('teams', 'Team').objects.get(slug='main')
    apps.get_model('networks', 'Network').objects.filter(team=None).exclude(name__in=('bridge', 'none')).update(team=main)


class Migration(migrations.Migration):

    dependencies = [('networks', '0002_team')]
    operations = [migrations.RunPython(give, migrations.RunPython.noop, elidable=False)]
