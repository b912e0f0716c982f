//! What PostgreSQL keeps for a whole server: databases, roles, tablespaces, sessions. There is one of each.

use super::OWNER_OID;
use crate::engine::system::table::Fill::{Bool, Int, NoInt, NoText, Text};
use crate::engine::system::table::{Table, int, text};
use crate::engine::system::{OWNER, PG_CATALOG};

pub(super) const PG_DATABASE: Table = Table {
    schema: PG_CATALOG,
    name: "pg_database",
    oid: 1262,
    columns: &[
        ("oid", Int(16_383)),
        ("datname", Text("")),
        ("datdba", Int(OWNER_OID)),
        ("encoding", Int(6)),
        ("datlocprovider", Text("c")),
        ("datistemplate", Bool(false)),
        ("datallowconn", Bool(true)),
        ("datconnlimit", Int(-1)),
        ("datlastsysoid", Int(0)),
        ("datfrozenxid", Int(0)),
        ("datminmxid", Int(0)),
        ("dattablespace", Int(1663)),
        ("datcollate", Text("C")),
        ("datctype", Text("C")),
        ("daticulocale", NoText),
        ("datacl", NoText),
    ],
    rows: |context| vec![vec![("datname", text(&context.session.database))]],
};

pub(super) const PG_ROLES: Table = Table {
    schema: PG_CATALOG,
    name: "pg_roles",
    oid: 12_001,
    columns: &[
        ("oid", Int(OWNER_OID)),
        ("rolname", Text(OWNER)),
        ("rolsuper", Bool(false)),
        ("rolinherit", Bool(true)),
        ("rolcreaterole", Bool(false)),
        ("rolcreatedb", Bool(false)),
        ("rolcanlogin", Bool(true)),
        ("rolreplication", Bool(false)),
        ("rolbypassrls", Bool(false)),
        ("rolconnlimit", Int(-1)),
        ("rolpassword", NoText),
        ("rolvaliduntil", NoText),
        ("rolconfig", NoText),
    ],
    rows: |_| vec![Vec::new()],
};

pub(super) const PG_USER: Table = Table {
    schema: PG_CATALOG,
    name: "pg_user",
    oid: 12_002,
    columns: &[
        ("usename", Text(OWNER)),
        ("usesysid", Int(OWNER_OID)),
        ("usecreatedb", Bool(false)),
        ("usesuper", Bool(false)),
        ("userepl", Bool(false)),
        ("usebypassrls", Bool(false)),
        ("passwd", NoText),
        ("valuntil", NoText),
        ("useconfig", NoText),
    ],
    rows: |_| vec![Vec::new()],
};

pub(super) const PG_TABLESPACE: Table = Table {
    schema: PG_CATALOG,
    name: "pg_tablespace",
    oid: 1213,
    columns: &[
        ("oid", Int(1663)),
        ("spcname", Text("pg_default")),
        ("spcowner", Int(OWNER_OID)),
        ("spcacl", NoText),
        ("spcoptions", NoText),
    ],
    rows: |_| vec![Vec::new()],
};

pub(super) const PG_STAT_ACTIVITY: Table = Table {
    schema: PG_CATALOG,
    name: "pg_stat_activity",
    oid: 12_006,
    columns: &[
        ("datid", Int(16_383)),
        ("datname", Text("")),
        ("pid", Int(0)),
        ("usesysid", Int(OWNER_OID)),
        ("usename", Text("")),
        ("application_name", Text("")),
        ("client_addr", NoText),
        ("client_hostname", NoText),
        ("client_port", NoInt),
        ("backend_start", NoText),
        ("xact_start", NoText),
        ("query_start", NoText),
        ("state_change", NoText),
        ("wait_event_type", NoText),
        ("wait_event", NoText),
        ("state", Text("active")),
        ("query", Text("")),
        ("backend_type", Text("client backend")),
    ],
    rows: |context| {
        vec![vec![
            ("datname", text(&context.session.database)),
            ("pid", int(context.session.pid)),
            ("usename", text(&context.session.user)),
        ]]
    },
};
