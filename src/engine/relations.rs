//! The relations that are there before any view: where changes go in, and where they come out.

use std::sync::Arc;

use super::catalog::{Catalog, Kind, Relation};
use super::value::{Column, Type};

/// Where changes go in.
pub(crate) const WIKIRECENT: &str = "wikirecent";
/// One row a change.
pub(crate) const RECENTCHANGES: &str = "recentchanges";
/// How far each partition of the stream has been read.
pub(crate) const INGEST_POSITION: &str = "ingest_position";

/// The first number that a view can have: pg_catalog's own are below 16,384, as in Postgres.
pub(crate) const FIRST_VIEW_OID: u32 = 20_000;

/// The columns of `recentchanges`.
pub(crate) const CHANGE_COLUMNS: [(&str, Type); 22] = [
    ("r_schema", Type::Text),
    ("bot", Type::Bool),
    ("comment", Type::Text),
    ("id", Type::BigInt),
    ("length_new", Type::BigInt),
    ("length_old", Type::BigInt),
    ("meta_uri", Type::Text),
    ("meta_id", Type::Text),
    ("minor", Type::Bool),
    ("namespace", Type::BigInt),
    ("parsedcomment", Type::Text),
    ("revision_new", Type::BigInt),
    ("revision_old", Type::BigInt),
    ("server_name", Type::Text),
    ("server_script_path", Type::Text),
    ("server_url", Type::Text),
    ("r_ts", Type::BigInt),
    ("title", Type::Text),
    ("type", Type::Text),
    ("user", Type::Text),
    ("wiki", Type::Text),
    ("dt", Type::TimestampTz),
];

/// Where `meta_id` stands in [`CHANGE_COLUMNS`].
pub(crate) const META_ID: usize = 7;

/// Where `dt` stands in [`CHANGE_COLUMNS`].
pub(crate) const DT: usize = 21;

const POSITION_COLUMNS: [(&str, Type); 4] = [
    ("topic", Type::Text),
    ("partition", Type::BigInt),
    ("timestamp_ms", Type::BigInt),
    ("event_offset", Type::BigInt),
];

/// The catalog of an engine without views.
pub(crate) fn catalog() -> Catalog {
    let relation = |oid, name: &str, kind, columns: &[(&str, Type)]| {
        let relation = Relation {
            oid,
            name: name.into(),
            columns: columns.iter().copied().map(column).collect(),
            kind,
        };
        (relation.name.clone(), Arc::new(relation))
    };
    Catalog {
        relations: [
            relation(16_384, WIKIRECENT, Kind::Input, &[("data", Type::Text)]),
            relation(16_385, RECENTCHANGES, Kind::BuiltIn, &CHANGE_COLUMNS),
            relation(16_386, INGEST_POSITION, Kind::BuiltIn, &POSITION_COLUMNS),
        ]
        .into(),
    }
}

fn column((name, ty): (&str, Type)) -> Column {
    Column {
        name: name.into(),
        ty,
        nullable: true,
    }
}
