//! The session's settings.

use std::sync::Arc;

use crate::engine::system::table::Fill::{Bool, NoInt, NoText, Text};
use crate::engine::system::table::{Cells, Fill, Table, text};
use crate::engine::system::{Context, PG_CATALOG, Setting};

pub(super) const PG_SETTINGS: Table = Table {
    schema: PG_CATALOG,
    name: "pg_settings",
    oid: 12_005,
    columns: COLUMNS,
    rows,
};

/// The function behind it, which is called like a relation.
pub(super) const PG_SHOW_ALL_SETTINGS: Table = Table {
    name: "pg_show_all_settings",
    oid: 12_007,
    ..PG_SETTINGS
};

const COLUMNS: &[(&str, Fill)] = &[
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
];

fn rows(context: &Context<'_>) -> Vec<Cells> {
    let row = |(name, setting): (&Arc<str>, &Setting)| {
        vec![
            ("name", text(name)),
            ("setting", text(&setting.value)),
            ("boot_val", text(&setting.default)),
            ("reset_val", text(&setting.default)),
            ("short_desc", text(setting.description)),
            (
                "context",
                text(if setting.is_fixed { "internal" } else { "user" }),
            ),
        ]
    };
    context.session.settings.iter().map(row).collect()
}
