//! Types, and what belongs to them: the functions that read and write them, collations, languages, access methods.

use super::OWNER_OID;
use crate::engine::system::PG_CATALOG;
use crate::engine::system::table::Fill::{Bool, Double, Int, NoInt, NoText, Text};
use crate::engine::system::table::{Table, int, text};
use crate::engine::value::{Type, Value};

/// A type of PostgreSQL's that a client may meet here.
pub(in crate::engine::system) struct TypeEntry {
    pub(super) oid: i64,
    pub(in crate::engine::system) name: &'static str,
    pub(super) length: i64,
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

pub(in crate::engine::system) fn type_entry(ty: Type) -> &'static TypeEntry {
    let oid = match ty {
        Type::Bool => 16,
        Type::BigInt => 20,
        Type::Double => 701,
        Type::Numeric => 1700,
        Type::Text => 25,
        Type::Date => 1082,
        Type::Timestamp => 1114,
        Type::TimestampTz => 1184,
        Type::Interval => 1186,
    };
    TYPES
        .iter()
        .find(|entry| entry.oid == oid)
        .expect("every type of the engine is in the table")
}

pub(super) const PG_TYPE: Table = Table {
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

/// The functions of arrays, which clients know arrays by; their numbers are PostgreSQL's.
const ARRAY_FUNCTIONS: [(&str, i64); 4] = [
    ("array_in", 750),
    ("array_out", 751),
    ("array_recv", 2_400),
    ("array_send", 2_401),
];

/// The functions that pg_type names: by them clients tell arrays from other types.
pub(super) const PG_PROC: Table = Table {
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

pub(super) const PG_COLLATION: Table = Table {
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

pub(super) const PG_LANGUAGE: Table = Table {
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

pub(super) const PG_AM: Table = Table {
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
