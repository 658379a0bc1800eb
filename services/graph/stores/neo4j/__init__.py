"""A server that is spoken to over Bolt alone, with one database for all tenants: Neo4j Community and its like."""
