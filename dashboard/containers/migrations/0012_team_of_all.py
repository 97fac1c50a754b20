from django.db import migrations


def give(apps, _schema_editor):
    """Whatever is there becomes the main team's. Apart from the change of columns: PostgreSQL refuses both in one."""
    main = apps.get_model('teams', 'Team').objects.get(slug='main')
    apps.get_model('containers', 'Container').objects.filter(team=None).update(team=main)


class Migration(migrations.Migration):

    dependencies = [('containers', '0011_team')]
    operations = [migrations.RunPython(give, migrations.RunPython.noop, elidable=False)]
