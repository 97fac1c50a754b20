from django.apps import AppConfig


class CommandlineConfig(AppConfig):
    name = "dashboard.commandline"
    default_auto_field = "django.db.models.BigAutoField"
