//! How a system relation is written down: its columns, each with what it holds unless a row says otherwise, and a function
//! that makes the rows.

use super::{Context, SystemRelation};
use crate::engine::value::{Column, OrderedDouble, Row, Type, Value};

/// A system relation.
pub(super) struct Table {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    pub(super) oid: i64,
    pub(super) columns: &'static [(&'static str, Fill)],
    pub(super) rows: fn(&Context<'_>) -> Vec<Cells>,
}

/// What a column holds unless a row says otherwise; it fixes the column's type, too.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fill {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(&'static str),
    NoInt,
    NoText,
}

/// The cells of one row that differ from the fill.
pub(super) type Cells = Vec<(&'static str, Value)>;

impl Fill {
    pub(super) fn ty(self) -> Type {
        match self {
            Fill::Bool(_) => Type::Bool,
            Fill::Int(_) | Fill::NoInt => Type::BigInt,
            Fill::Double(_) => Type::Double,
            Fill::Text(_) | Fill::NoText => Type::Text,
        }
    }

    fn value(self) -> Value {
        match self {
            Fill::Bool(bool) => Value::Bool(bool),
            Fill::Int(int) => Value::BigInt(int),
            Fill::Double(double) => Value::Double(OrderedDouble(double)),
            Fill::Text(text) => Value::Text(text.into()),
            Fill::NoInt | Fill::NoText => Value::Null,
        }
    }

    pub(super) fn is_nullable(self) -> bool {
        matches!(self, Fill::NoInt | Fill::NoText)
    }
}

impl Table {
    pub(super) fn build(&self, context: &Context<'_>) -> SystemRelation {
        let columns = self.columns.iter().map(|(name, fill)| Column {
            name: (*name).into(),
            ty: fill.ty(),
            nullable: fill.is_nullable(),
        });
        SystemRelation {
            columns: columns.collect(),
            rows: (self.rows)(context)
                .into_iter()
                .map(|cells| self.row(cells))
                .collect(),
        }
    }

    fn row(&self, cells: Cells) -> Row {
        let mut values: Vec<Value> = self.columns.iter().map(|(_, fill)| fill.value()).collect();
        for (name, value) in cells {
            let at = self.columns.iter().position(|column| column.0 == name);
            let at = at.expect("a row names only columns of its table; a test builds every table");
            values[at] = value;
        }
        values.into_iter().collect()
    }
}

/// A text value.
pub(super) fn text(text: impl AsRef<str>) -> Value {
    Value::Text(text.as_ref().into())
}

/// An integer value.
pub(super) fn int(int: impl Into<i64>) -> Value {
    Value::BigInt(int.into())
}
