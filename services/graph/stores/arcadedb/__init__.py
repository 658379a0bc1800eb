"""ArcadeDB: a database a tenant, read-only logins, Bolt for the data and HTTP for the rest."""
