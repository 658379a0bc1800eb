"""How PostgreSQL is reached: connections and tenants, migrations, notifications, and what its errors mean."""
