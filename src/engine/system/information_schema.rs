//! information_schema: what the SQL standard tells of schemas, relations and columns.

use super::pg_catalog::{Entry, entries, type_entry};
use super::table::Fill::{Int, NoInt, NoText, Text};
use super::table::{Cells, Table, int, text};
use super::{Context, INFORMATION_SCHEMA, PG_CATALOG, PUBLIC};
use crate::engine::catalog::Kind;
use crate::engine::value::{Column, Type};

/// The relations of this schema.
pub(super) const TABLES: &[&Table] = &[&SCHEMATA, &RELATIONS, &COLUMNS, &VIEWS, &PRIVILEGES];

const SCHEMATA: Table = Table {
    schema: INFORMATION_SCHEMA,
    name: "schemata",
    oid: 13_001,
    columns: &[
        ("catalog_name", Text("")),
        ("schema_name", Text("")),
        ("schema_owner", Text("")),
        ("default_character_set_catalog", NoText),
        ("default_character_set_schema", NoText),
        ("default_character_set_name", NoText),
        ("sql_path", NoText),
    ],
    rows: |context| {
        let row = |schema| {
            vec![
                ("catalog_name", text(&context.session.database)),
                ("schema_name", text(schema)),
                ("schema_owner", text(super::OWNER)),
            ]
        };
        [PG_CATALOG, PUBLIC, INFORMATION_SCHEMA].map(row).into()
    },
};

fn table_type(entry: &Entry) -> &'static str {
    if entry.kind == "r" {
        "BASE TABLE"
    } else {
        "VIEW"
    }
}

const RELATIONS: Table = Table {
    schema: INFORMATION_SCHEMA,
    name: "tables",
    oid: 13_002,
    columns: &[
        ("table_catalog", Text("")),
        ("table_schema", Text("")),
        ("table_name", Text("")),
        ("table_type", Text("")),
        ("self_referencing_column_name", NoText),
        ("reference_generation", NoText),
        ("user_defined_type_catalog", NoText),
        ("user_defined_type_schema", NoText),
        ("user_defined_type_name", NoText),
        ("is_insertable_into", Text("NO")),
        ("is_typed", Text("NO")),
        ("commit_action", NoText),
    ],
    rows: |context| {
        let row = |entry: Entry| {
            let takes_rows = entry.kind == "r" && entry.schema == PUBLIC;
            vec![
                ("table_catalog", text(&context.session.database)),
                ("table_schema", text(entry.schema)),
                ("table_name", text(&entry.name)),
                ("table_type", text(table_type(&entry))),
                (
                    "is_insertable_into",
                    text(if takes_rows { "YES" } else { "NO" }),
                ),
            ]
        };
        entries(context).into_iter().map(row).collect()
    },
};

const COLUMNS: Table = Table {
    schema: INFORMATION_SCHEMA,
    name: "columns",
    oid: 13_003,
    columns: &[
        ("table_catalog", Text("")),
        ("table_schema", Text("")),
        ("table_name", Text("")),
        ("column_name", Text("")),
        ("ordinal_position", Int(0)),
        ("column_default", NoText),
        ("is_nullable", Text("YES")),
        ("data_type", Text("")),
        ("character_maximum_length", NoInt),
        ("character_octet_length", NoInt),
        ("numeric_precision", NoInt),
        ("numeric_precision_radix", NoInt),
        ("numeric_scale", NoInt),
        ("datetime_precision", NoInt),
        ("interval_type", NoText),
        ("character_set_name", NoText),
        ("collation_name", NoText),
        ("domain_name", NoText),
        ("udt_catalog", Text("")),
        ("udt_schema", Text(PG_CATALOG)),
        ("udt_name", Text("")),
        ("dtd_identifier", Text("")),
        ("is_self_referencing", Text("NO")),
        ("is_identity", Text("NO")),
        ("identity_generation", NoText),
        ("is_generated", Text("NEVER")),
        ("generation_expression", NoText),
        ("is_updatable", Text("NO")),
    ],
    rows: |context| {
        let columns_of = |entry: Entry| {
            let numbered = entry.columns.iter().enumerate();
            numbered
                .map(|(at, column)| column_row(context, &entry, at, column))
                .collect::<Vec<Cells>>()
        };
        entries(context).into_iter().flat_map(columns_of).collect()
    },
};

fn column_row(context: &Context<'_>, entry: &Entry, at: usize, column: &Column) -> Cells {
    let mut row = vec![
        ("table_catalog", text(&context.session.database)),
        ("table_schema", text(entry.schema)),
        ("table_name", text(&entry.name)),
        ("column_name", text(&column.name)),
        ("ordinal_position", int(at as i64 + 1)),
        (
            "is_nullable",
            text(if column.nullable { "YES" } else { "NO" }),
        ),
        ("data_type", text(column.ty.to_string())),
        ("udt_catalog", text(&context.session.database)),
        ("udt_name", text(type_entry(column.ty).name)),
        ("dtd_identifier", text((at + 1).to_string())),
    ];
    match column.ty {
        Type::BigInt => row.extend([
            ("numeric_precision", int(64)),
            ("numeric_precision_radix", int(2)),
            ("numeric_scale", int(0)),
        ]),
        Type::Double => row.extend([
            ("numeric_precision", int(53)),
            ("numeric_precision_radix", int(2)),
        ]),
        Type::TimestampTz | Type::Timestamp | Type::Interval => {
            row.push(("datetime_precision", int(6)));
        }
        Type::Date => row.push(("datetime_precision", int(0))),
        Type::Bool | Type::Numeric | Type::Text => {}
    }
    row
}

const VIEWS: Table = Table {
    schema: INFORMATION_SCHEMA,
    name: "views",
    oid: 13_004,
    columns: &[
        ("table_catalog", Text("")),
        ("table_schema", Text(PUBLIC)),
        ("table_name", Text("")),
        ("view_definition", NoText),
        ("check_option", Text("NONE")),
        ("is_updatable", Text("NO")),
        ("is_insertable_into", Text("NO")),
        ("is_trigger_updatable", Text("NO")),
        ("is_trigger_deletable", Text("NO")),
        ("is_trigger_insertable_into", Text("NO")),
    ],
    rows: |context| {
        let views = context.catalog.relations.values();
        let row = |relation: &std::sync::Arc<crate::engine::catalog::Relation>| {
            let mut row = vec![
                ("table_catalog", text(&context.session.database)),
                ("table_name", text(&relation.name)),
            ];
            if let Kind::View { sql, .. } = &relation.kind {
                row.push(("view_definition", text(super::pg_catalog::definition(sql))));
            }
            row
        };
        views
            .filter(|relation| relation.kind != Kind::Input)
            .map(row)
            .collect()
    },
};

const PRIVILEGES: Table = Table {
    schema: INFORMATION_SCHEMA,
    name: "table_privileges",
    oid: 13_005,
    columns: &[
        ("grantor", Text(super::OWNER)),
        ("grantee", Text(super::OWNER)),
        ("table_catalog", Text("")),
        ("table_schema", Text("")),
        ("table_name", Text("")),
        ("privilege_type", Text("SELECT")),
        ("is_grantable", Text("NO")),
        ("with_hierarchy", Text("YES")),
    ],
    rows: |context| {
        let row = |entry: Entry| {
            vec![
                ("table_catalog", text(&context.session.database)),
                ("table_schema", text(entry.schema)),
                ("table_name", text(&entry.name)),
            ]
        };
        entries(context).into_iter().map(row).collect()
    },
};
