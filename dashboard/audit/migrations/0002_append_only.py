"""The database itself refuses to change a row. (Whoever may alter tables can take that away: docs/security.md.)"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import migrations

_SQLITE = """
CREATE TRIGGER audit_entry_stays BEFORE UPDATE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'a row of the audit log is never changed'); END
"""
_POSTGRESQL = """
CREATE FUNCTION audit_entry_stays() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'a row of the audit log is never changed'; END $$;
CREATE TRIGGER audit_entry_stays BEFORE UPDATE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_entry_stays()
"""


def guard(apps: Any, schema_editor: Any) -> None:  # Django's interface
    schema_editor.execute(_POSTGRESQL if schema_editor.connection.vendor == "postgresql" else _SQLITE)


def unguard(apps: Any, schema_editor: Any) -> None:  # Django's interface
    is_postgresql = schema_editor.connection.vendor == "postgresql"
    schema_editor.execute("DROP TRIGGER audit_entry_stays" + (" ON audit_entry" if is_postgresql else ""))
    if is_postgresql:
        schema_editor.execute("DROP FUNCTION audit_entry_stays()")


class Migration(migrations.Migration):
    dependencies: ClassVar = [("audit", "0001_initial")]
    operations: ClassVar = [migrations.RunPython(guard, unguard)]
