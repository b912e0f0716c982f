//! pg_catalog: the relations that drivers and tools read, in the shape of PostgreSQL 9.5 (the version the engine claims) with
//! the later columns that newer clients ask for without looking.

use super::table::Fill::{Bool, Double, Int, NoInt, NoText, Text};
use super::table::{Cells, Table, int, text};
use super::{Context, INFORMATION_SCHEMA, OWNER, PG_CATALOG, PUBLIC, tables};
use crate::engine::catalog::Kind;
use crate::engine::value::{Column, Type, Value};

/// The one role and owner of everything.
const OWNER_OID: i64 = 10;

/// The relations of this schema.
pub(super) const TABLES: &[&Table] = &[
    &PG_NAMESPACE,
    &PG_CLASS,
    &PG_ATTRIBUTE,
    &PG_TYPE,
    &PG_DATABASE,
    &PG_ROLES,
    &PG_USER,
    &PG_TABLES,
    &PG_VIEWS,
    &PG_SETTINGS,
    &PG_AM,
    &PG_COLLATION,
    &PG_LANGUAGE,
    &PG_TABLESPACE,
    &PG_STAT_ACTIVITY,
    &PG_PROC,
];

/// The schemas and their numbers, PostgreSQL's own where it has one.
const SCHEMAS: [(&str, i64); 3] = [
    (PG_CATALOG, 11),
    (PUBLIC, 2_200),
    (INFORMATION_SCHEMA, 13_000),
];

fn schema_oid(name: &str) -> i64 {
    SCHEMAS
        .iter()
        .find(|schema| schema.0 == name)
        .map_or(0, |schema| schema.1)
}

const PG_NAMESPACE: Table = Table {
    schema: PG_CATALOG,
    name: "pg_namespace",
    oid: 2615,
    columns: &[
        ("oid", Int(0)),
        ("nspname", Text("")),
        ("nspowner", Int(OWNER_OID)),
        ("nspacl", NoText),
    ],
    rows: |_| {
        let row = |(name, oid)| vec![("oid", int(oid)), ("nspname", text(name))];
        SCHEMAS.map(row).into()
    },
};

/// A relation of any schema, as pg_class and its companions see it.
pub(super) struct Entry {
    pub(super) oid: i64,
    pub(super) schema: &'static str,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) columns: Vec<Column>,
}

/// All relations. Views are `v` whether or not MATERIALIZED was said, because every tool lists those, and the engine maintains
/// them all alike; `wikirecent`, which takes rows, is a table.
pub(super) fn entries(context: &Context<'_>) -> Vec<Entry> {
    let public = context.catalog.relations.values().map(|relation| Entry {
        oid: relation.oid.into(),
        schema: PUBLIC,
        name: relation.name.to_string(),
        kind: if relation.kind == Kind::Input {
            "r"
        } else {
            "v"
        },
        columns: relation.columns.clone(),
    });
    let system = tables().map(|table| Entry {
        oid: table.oid,
        schema: table.schema,
        name: table.name.to_owned(),
        kind: if table.schema == PG_CATALOG { "r" } else { "v" },
        columns: table
            .columns
            .iter()
            .map(|(name, fill)| Column {
                name: (*name).into(),
                ty: fill.ty(),
                nullable: fill.is_nullable(),
            })
            .collect(),
    });
    public.chain(system).collect()
}

const PG_CLASS: Table = Table {
    schema: PG_CATALOG,
    name: "pg_class",
    oid: 1259,
    columns: &[
        ("oid", Int(0)),
        ("relname", Text("")),
        ("relnamespace", Int(0)),
        ("reltype", Int(0)),
        ("reloftype", Int(0)),
        ("relowner", Int(OWNER_OID)),
        ("relam", Int(0)),
        ("relfilenode", Int(0)),
        ("reltablespace", Int(0)),
        ("relpages", Int(0)),
        ("reltuples", Double(-1.0)),
        ("relallvisible", Int(0)),
        ("reltoastrelid", Int(0)),
        ("relhasindex", Bool(false)),
        ("relisshared", Bool(false)),
        ("relpersistence", Text("p")),
        ("relkind", Text("")),
        ("relnatts", Int(0)),
        ("relchecks", Int(0)),
        ("relhasoids", Bool(false)),
        ("relhaspkey", Bool(false)),
        ("relhasrules", Bool(false)),
        ("relhastriggers", Bool(false)),
        ("relhassubclass", Bool(false)),
        ("relrowsecurity", Bool(false)),
        ("relforcerowsecurity", Bool(false)),
        ("relispopulated", Bool(true)),
        ("relreplident", Text("n")),
        ("relispartition", Bool(false)),
        ("relrewrite", Int(0)),
        ("relfrozenxid", Int(0)),
        ("relminmxid", Int(0)),
        ("relacl", NoText),
        ("reloptions", NoText),
        ("relpartbound", NoText),
    ],
    rows: |context| {
        let row = |entry: Entry| {
            vec![
                ("oid", int(entry.oid)),
                ("relname", text(&entry.name)),
                ("relnamespace", int(schema_oid(entry.schema))),
                ("relkind", text(entry.kind)),
                ("relnatts", int(entry.columns.len() as i64)),
                ("relhasrules", Value::Bool(entry.kind == "v")),
            ]
        };
        entries(context).into_iter().map(row).collect()
    },
};

const PG_ATTRIBUTE: Table = Table {
    schema: PG_CATALOG,
    name: "pg_attribute",
    oid: 1249,
    columns: &[
        ("attrelid", Int(0)),
        ("attname", Text("")),
        ("atttypid", Int(0)),
        ("attstattarget", Int(-1)),
        ("attlen", Int(-1)),
        ("attnum", Int(0)),
        ("attndims", Int(0)),
        ("attcacheoff", Int(-1)),
        ("atttypmod", Int(-1)),
        ("attbyval", Bool(false)),
        ("attstorage", Text("p")),
        ("attalign", Text("i")),
        ("attnotnull", Bool(false)),
        ("atthasdef", Bool(false)),
        ("atthasmissing", Bool(false)),
        ("attidentity", Text("")),
        ("attgenerated", Text("")),
        ("attisdropped", Bool(false)),
        ("attislocal", Bool(true)),
        ("attinhcount", Int(0)),
        ("attcollation", Int(0)),
        ("attcompression", Text("")),
        ("attacl", NoText),
        ("attoptions", NoText),
        ("attfdwoptions", NoText),
    ],
    rows: |context| {
        let columns_of = |entry: Entry| {
            let attribute = move |(at, column): (usize, Column)| {
                let ty = type_entry(column.ty);
                vec![
                    ("attrelid", int(entry.oid)),
                    ("attname", text(&column.name)),
                    ("atttypid", int(ty.oid)),
                    ("attlen", int(ty.length)),
                    ("attnum", int(at as i64 + 1)),
                    ("attbyval", Value::Bool(ty.length > 0)),
                    ("attnotnull", Value::Bool(!column.nullable)),
                ]
            };
            entry
                .columns
                .clone()
                .into_iter()
                .enumerate()
                .map(attribute)
                .collect::<Vec<Cells>>()
        };
        entries(context).into_iter().flat_map(columns_of).collect()
    },
};

/// A type of PostgreSQL's that a client may meet here.
pub(super) struct TypeEntry {
    oid: i64,
    pub(super) name: &'static str,
    length: i64,
    category: &'static str,
    array: i64,
}

const fn type_of(
    oid: i64,
    name: &'static str,
    length: i64,
    category: &'static str,
    array: i64,
) -> TypeEntry {
    TypeEntry {
        oid,
        name,
        length,
        category,
        array,
    }
}

/// The types that the engine speaks, and those that clients send as parameters or cast to.
const TYPES: [TypeEntry; 20] = [
    type_of(16, "bool", 1, "B", 1000),
    type_of(17, "bytea", -1, "U", 1001),
    type_of(18, "char", 1, "S", 1002),
    type_of(19, "name", 64, "S", 1003),
    type_of(20, "int8", 8, "N", 1016),
    type_of(21, "int2", 2, "N", 1005),
    type_of(23, "int4", 4, "N", 1007),
    type_of(25, "text", -1, "S", 1009),
    type_of(26, "oid", 4, "N", 1028),
    type_of(114, "json", -1, "U", 199),
    type_of(700, "float4", 4, "N", 1021),
    type_of(701, "float8", 8, "N", 1022),
    type_of(705, "unknown", -2, "X", 0),
    type_of(1043, "varchar", -1, "S", 1015),
    type_of(1082, "date", 4, "D", 1182),
    type_of(1114, "timestamp", 8, "D", 1115),
    type_of(1184, "timestamptz", 8, "D", 1185),
    type_of(1186, "interval", 16, "T", 1187),
    type_of(1700, "numeric", -1, "N", 1231),
    type_of(3802, "jsonb", -1, "U", 3807),
];

pub(super) fn type_entry(ty: Type) -> &'static TypeEntry {
    let oid = match ty {
        Type::Bool => 16,
        Type::BigInt => 20,
        Type::Double => 701,
        Type::Numeric => 1700,
        Type::Text => 25,
        Type::TimestampTz => 1184,
        Type::Interval => 1186,
    };
    TYPES
        .iter()
        .find(|entry| entry.oid == oid)
        .expect("every type of the engine is in the table")
}

const PG_TYPE: Table = Table {
    schema: PG_CATALOG,
    name: "pg_type",
    oid: 1247,
    columns: &[
        ("oid", Int(0)),
        ("typname", Text("")),
        ("typnamespace", Int(11)),
        ("typowner", Int(OWNER_OID)),
        ("typlen", Int(-1)),
        ("typbyval", Bool(false)),
        ("typtype", Text("b")),
        ("typcategory", Text("U")),
        ("typispreferred", Bool(false)),
        ("typisdefined", Bool(true)),
        ("typdelim", Text(",")),
        ("typrelid", Int(0)),
        ("typelem", Int(0)),
        ("typarray", Int(0)),
        ("typinput", Int(0)),
        ("typoutput", Int(0)),
        ("typreceive", Int(0)),
        ("typsend", Int(0)),
        ("typalign", Text("i")),
        ("typstorage", Text("p")),
        ("typnotnull", Bool(false)),
        ("typbasetype", Int(0)),
        ("typtypmod", Int(-1)),
        ("typndims", Int(0)),
        ("typcollation", Int(0)),
        ("typdefault", NoText),
        ("typacl", NoText),
        ("typsubscript", NoInt),
    ],
    rows: |_| {
        let scalar = |entry: &TypeEntry| {
            vec![
                ("oid", int(entry.oid)),
                ("typname", text(entry.name)),
                ("typlen", int(entry.length)),
                ("typbyval", Value::Bool((1..=8).contains(&entry.length))),
                ("typcategory", text(entry.category)),
                ("typarray", int(entry.array)),
            ]
        };
        let array = |entry: &TypeEntry| {
            vec![
                ("oid", int(entry.array)),
                ("typname", text(format!("_{}", entry.name))),
                ("typcategory", text("A")),
                ("typelem", int(entry.oid)),
                ("typinput", int(750)),
                ("typoutput", int(751)),
                ("typreceive", int(2_400)),
                ("typsend", int(2_401)),
            ]
        };
        let arrays = TYPES.iter().filter(|entry| entry.array != 0).map(array);
        TYPES.iter().map(scalar).chain(arrays).collect()
    },
};

const PG_DATABASE: Table = Table {
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

const PG_ROLES: Table = Table {
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

const PG_USER: Table = Table {
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

const PG_TABLES: Table = Table {
    schema: PG_CATALOG,
    name: "pg_tables",
    oid: 12_003,
    columns: &[
        ("schemaname", Text("")),
        ("tablename", Text("")),
        ("tableowner", Text(OWNER)),
        ("tablespace", NoText),
        ("hasindexes", Bool(false)),
        ("hasrules", Bool(false)),
        ("hastriggers", Bool(false)),
        ("rowsecurity", Bool(false)),
    ],
    rows: |context| {
        let tables = entries(context)
            .into_iter()
            .filter(|entry| entry.kind == "r");
        tables
            .map(|entry| {
                vec![
                    ("schemaname", text(entry.schema)),
                    ("tablename", text(&entry.name)),
                ]
            })
            .collect()
    },
};

const PG_VIEWS: Table = Table {
    schema: PG_CATALOG,
    name: "pg_views",
    oid: 12_004,
    columns: &[
        ("schemaname", Text(PUBLIC)),
        ("viewname", Text("")),
        ("viewowner", Text(OWNER)),
        ("definition", NoText),
    ],
    rows: |context| {
        let views = context.catalog.relations.values();
        views
            .filter(|relation| relation.kind != Kind::Input)
            .map(|relation| {
                let mut row = vec![("viewname", text(&relation.name))];
                if let Kind::View { sql, .. } = &relation.kind {
                    row.push(("definition", text(definition(sql))));
                }
                row
            })
            .collect()
    },
};

/// A view's query within the statement that made it: what follows the first AS that stands alone, as far as words tell.
pub(super) fn definition(sql: &str) -> &str {
    let mut words = sql.split_whitespace();
    let found = words.find(|word| word.eq_ignore_ascii_case("as"));
    let Some(word) = found else { return sql };
    // The word is a part of `sql`, so the distance between them is where it stands.
    let at = word.as_ptr() as usize - sql.as_ptr() as usize;
    sql[at + word.len()..].trim_start()
}

const PG_SETTINGS: Table = Table {
    schema: PG_CATALOG,
    name: "pg_settings",
    oid: 12_005,
    columns: &[
        ("name", Text("")),
        ("setting", Text("")),
        ("unit", NoText),
        ("category", Text("")),
        ("short_desc", Text("")),
        ("extra_desc", NoText),
        ("context", Text("user")),
        ("vartype", Text("string")),
        ("source", Text("session")),
        ("min_val", NoText),
        ("max_val", NoText),
        ("enumvals", NoText),
        ("boot_val", NoText),
        ("reset_val", NoText),
        ("sourcefile", NoText),
        ("sourceline", NoInt),
        ("pending_restart", Bool(false)),
    ],
    rows: |context| {
        let settings = context.session.settings.iter();
        settings
            .map(|(name, value)| vec![("name", text(name)), ("setting", text(value))])
            .collect()
    },
};

const PG_AM: Table = Table {
    schema: PG_CATALOG,
    name: "pg_am",
    oid: 2601,
    columns: &[
        ("oid", Int(2)),
        ("amname", Text("heap")),
        ("amhandler", Text("")),
        ("amtype", Text("t")),
        ("amcanorder", Bool(false)),
    ],
    rows: |_| vec![Vec::new()],
};

const PG_COLLATION: Table = Table {
    schema: PG_CATALOG,
    name: "pg_collation",
    oid: 3456,
    columns: &[
        ("oid", Int(950)),
        ("collname", Text("C")),
        ("collnamespace", Int(11)),
        ("collowner", Int(OWNER_OID)),
        ("collprovider", Text("c")),
        ("collencoding", Int(-1)),
        ("collcollate", Text("C")),
        ("collctype", Text("C")),
    ],
    rows: |_| vec![Vec::new()],
};

const PG_LANGUAGE: Table = Table {
    schema: PG_CATALOG,
    name: "pg_language",
    oid: 2612,
    columns: &[
        ("oid", Int(14)),
        ("lanname", Text("sql")),
        ("lanowner", Int(OWNER_OID)),
        ("lanispl", Bool(false)),
        ("lanpltrusted", Bool(true)),
        ("lanacl", NoText),
    ],
    rows: |_| vec![Vec::new()],
};

const PG_TABLESPACE: Table = Table {
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

const PG_STAT_ACTIVITY: Table = Table {
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

/// The functions of arrays, which clients know arrays by; their numbers are PostgreSQL's.
const ARRAY_FUNCTIONS: [(&str, i64); 4] = [
    ("array_in", 750),
    ("array_out", 751),
    ("array_recv", 2_400),
    ("array_send", 2_401),
];

/// The functions that pg_type names: by them clients tell arrays from other types.
const PG_PROC: Table = Table {
    schema: PG_CATALOG,
    name: "pg_proc",
    oid: 1255,
    columns: &[
        ("oid", Int(0)),
        ("proname", Text("")),
        ("pronamespace", Int(11)),
        ("proowner", Int(OWNER_OID)),
        ("prolang", Int(14)),
        ("procost", Double(0.0)),
        ("prorows", Double(0.0)),
        ("provariadic", Int(0)),
        ("protransform", Int(0)),
        ("proisagg", Bool(false)),
        ("proiswindow", Bool(false)),
        ("prokind", Text("f")),
        ("prosecdef", Bool(false)),
        ("proleakproof", Bool(false)),
        ("proretset", Bool(false)),
        ("provolatile", Text("v")),
        ("proparallel", NoText),
        ("pronargs", Int(0)),
        ("pronargdefaults", Int(0)),
        ("prorettype", Int(0)),
        ("proargtypes", Text("")),
        ("proallargtypes", NoText),
        ("proargmodes", NoText),
        ("proargnames", NoText),
        ("proargdefaults", NoText),
        ("prosrc", Text("")),
        ("proconfig", NoText),
        ("proacl", NoText),
    ],
    rows: |_| {
        ARRAY_FUNCTIONS
            .map(|(name, oid)| vec![("oid", int(oid)), ("proname", text(name))])
            .into()
    },
};
