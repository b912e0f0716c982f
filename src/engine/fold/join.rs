//! Joins: pairs are looked up by the columns that the condition says are equal, then the whole condition decides.

use std::collections::HashMap;

use super::{Folder, Outside};
use crate::engine::error::SqlError;
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::{JoinKind, Plan};
use crate::engine::value::{Row, Value};

impl Folder<'_> {
    pub(super) fn joined(
        &self,
        left: &Plan,
        right: &Plan,
        kind: JoinKind,
        on: &Expr,
        outside: &Outside<'_>,
    ) -> Result<Vec<Row>, SqlError> {
        let left_arity = left.arity();
        let padding = vec![Value::Null; right.arity()];
        let (left, right) = (self.rows(left, outside)?, self.rows(right, outside)?);
        let keys = equal_columns(on, left_arity);
        let mut by_key: HashMap<Vec<&Value>, Vec<&Row>> = HashMap::new();
        for row in &right {
            let key = keys
                .iter()
                .map(|(_, at)| &row.values()[at - left_arity])
                .collect();
            by_key.entry(key).or_default().push(row);
        }
        let mut joined = Vec::new();
        for row in &left {
            let key: Vec<&Value> = keys.iter().map(|(at, _)| &row.values()[*at]).collect();
            let mut alone = true;
            let partners = by_key.get(&key).map_or(&[][..], Vec::as_slice);
            self.spend(partners.len())?;
            for partner in partners {
                let pair = concatenated(row.values(), partner.values());
                if self.is_true(on, pair.values(), outside)? {
                    alone = false;
                    joined.push(pair);
                }
            }
            if alone && kind == JoinKind::Left {
                joined.push(concatenated(row.values(), &padding));
            }
            self.check_rows(joined.len())?;
        }
        Ok(joined)
    }
}

fn concatenated(left: &[Value], right: &[Value]) -> Row {
    left.iter().chain(right).cloned().collect()
}

/// Pairs of columns, one of each side, that the condition requires to be equal.
fn equal_columns(on: &Expr, left_arity: usize) -> Vec<(usize, usize)> {
    on.clone()
        .conjuncts()
        .into_iter()
        .filter_map(|conjunct| match conjunct {
            Expr::Call(Function::Equal, arguments) => match arguments[..] {
                [Expr::Column(a), Expr::Column(b)] if a < left_arity && b >= left_arity => {
                    Some((a, b))
                }
                [Expr::Column(a), Expr::Column(b)] if b < left_arity && a >= left_arity => {
                    Some((b, a))
                }
                _ => None,
            },
            _ => None,
        })
        .collect()
}
