//! information_schema: what the SQL standard tells of schemas, relations and columns.

use super::table::Fill::{NoText, Text};
use super::table::{Table, text};
use super::{INFORMATION_SCHEMA, PG_CATALOG, PUBLIC};

/// The relations of this schema.
pub(super) const TABLES: &[&Table] = &[&SCHEMATA];

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
                ("schema_owner", text(&context.session.user)),
            ]
        };
        [PG_CATALOG, PUBLIC, INFORMATION_SCHEMA].map(row).into()
    },
};
