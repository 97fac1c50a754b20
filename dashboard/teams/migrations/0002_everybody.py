from django.conf import settings
from django.db import migrations


def gather(apps, _schema_editor):
    """Everybody and everything that is there before there are teams becomes the main team's.

    People may go on doing all that they could: as maintainers, administrators of the site as the team's admins.
    """
    main = apps.get_model('teams', 'Team').objects.get_or_create(slug='main', defaults={'name': 'Main'})[0]
    label, model = settings.AUTH_USER_MODEL.split('.')
    members = apps.get_model('teams', 'Membership').objects
    for person in apps.get_model(label, model).objects.exclude(username='host-root'):
        role = 'admin' if person.is_superuser else 'maintainer'
        members.get_or_create(team=main, person=person, defaults={'builtin': role})
    apps.get_model('jobs', 'Job').objects.filter(team_id=None, is_system=False).update(team_id=main.pk)
    events = apps.get_model('history', 'Event').objects.filter(team_id=None)
    events.exclude(type='image').update(team_id=main.pk)


class Migration(migrations.Migration):

    dependencies = [
        ('teams', '0001_initial'),
        ('jobs', '0002_team'),
        ('history', '0003_team'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [migrations.RunPython(gather, migrations.RunPython.noop, elidable=False)]
