//! Schemas, relations and their columns.

use super::OWNER_OID;
use super::type_entry;
use crate::engine::catalog::Kind;
use crate::engine::system::table::Fill::{Bool, Double, Int, NoText, Text};
use crate::engine::system::table::{Cells, Table, int, text};
use crate::engine::system::{Context, INFORMATION_SCHEMA, OWNER, PG_CATALOG, PUBLIC, tables};
use crate::engine::value::{Column, Value};

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

pub(super) const PG_NAMESPACE: Table = Table {
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
pub(in crate::engine::system) struct Entry {
    pub(in crate::engine::system) oid: i64,
    pub(in crate::engine::system) schema: &'static str,
    pub(in crate::engine::system) name: String,
    pub(in crate::engine::system) kind: &'static str,
    pub(in crate::engine::system) columns: Vec<Column>,
}

/// All relations. Views are `v` whether or not MATERIALIZED was said, because every tool lists those, and the engine maintains
/// them all alike; `wikirecent`, which takes rows, is a table.
pub(in crate::engine::system) fn entries(context: &Context<'_>) -> Vec<Entry> {
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

pub(super) const PG_CLASS: Table = Table {
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

pub(super) const PG_ATTRIBUTE: Table = Table {
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

pub(super) const PG_TABLES: Table = Table {
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

pub(super) const PG_VIEWS: Table = Table {
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
pub(in crate::engine::system) fn definition(sql: &str) -> &str {
    let mut words = sql.split_whitespace();
    let found = words.find(|word| word.eq_ignore_ascii_case("as"));
    let Some(word) = found else { return sql };
    // The word is a part of `sql`, so the distance between them is where it stands.
    let at = word.as_ptr() as usize - sql.as_ptr() as usize;
    sql[at + word.len()..].trim_start()
}
