//! Groups and their aggregates, from all their rows at once.

use std::collections::HashMap;
use std::collections::HashSet;

use rust_decimal::Decimal;

use super::{Folder, Outside};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, divide_numeric};
use crate::engine::plan::{Aggregate, AggregateFunction};
use crate::engine::value::{OrderedDouble, Row, Value};

impl Folder<'_> {
    pub(super) fn grouped(
        &self,
        rows: &[Row],
        keys: &[Expr],
        aggregates: &[Aggregate],
        outside: &Outside<'_>,
    ) -> Result<Vec<Row>, SqlError> {
        let mut groups: HashMap<Vec<Value>, Vec<&Row>> = HashMap::new();
        if keys.is_empty() {
            groups.insert(Vec::new(), Vec::new());
        }
        for row in rows {
            let key = keys
                .iter()
                .map(|key| self.eval(key, row.values(), outside))
                .collect::<Result<Vec<_>, _>>()?;
            groups.entry(key).or_default().push(row);
        }
        groups
            .into_iter()
            .map(|(mut values, members)| {
                for aggregate in aggregates {
                    values.push(self.aggregated(aggregate, &members, outside)?);
                }
                Ok(values.into_iter().collect())
            })
            .collect()
    }

    fn aggregated(
        &self,
        aggregate: &Aggregate,
        members: &[&Row],
        outside: &Outside<'_>,
    ) -> Result<Value, SqlError> {
        let mut values = Vec::new();
        let mut ordered = Vec::new();
        let mut seen = HashSet::new();
        for row in members {
            if let Some(filter) = &aggregate.filter
                && !self.is_true(filter, row.values(), outside)?
            {
                continue;
            }
            let value = match &aggregate.argument {
                Some(argument) => self.eval(argument, row.values(), outside)?,
                None => Value::Bool(true),
            };
            if aggregate.function == AggregateFunction::Array {
                let keys = aggregate.order.iter();
                let keys = keys.map(|key| self.eval(&key.expr, row.values(), outside));
                ordered.push(keys.chain([Ok(value)]).collect::<Result<Row, SqlError>>()?);
            } else if value != Value::Null && (!aggregate.distinct || seen.insert(value.clone())) {
                values.push(value);
            }
        }
        let smallest =
            |left: &Value, right: &Value| left.sql_cmp(right).unwrap_or_else(|| left.cmp(right));
        Ok(match aggregate.function {
            AggregateFunction::Count => Value::BigInt(values.len() as i64),
            AggregateFunction::Min => values.into_iter().min_by(smallest).unwrap_or(Value::Null),
            AggregateFunction::Max => values.into_iter().max_by(smallest).unwrap_or(Value::Null),
            AggregateFunction::Sum => sum(&values)?,
            AggregateFunction::Avg => average(&values)?,
            AggregateFunction::Array => aggregate.array_of(ordered),
        })
    }
}

fn sum(values: &[Value]) -> Result<Value, SqlError> {
    let mut total = Value::Null;
    for value in values {
        total = match (&total, value) {
            (Value::Null, Value::Double(_)) => value.clone(),
            (Value::Double(total), Value::Double(value)) => {
                Value::Double(OrderedDouble(total.0 + value.0))
            }
            (total, value) => {
                let so_far = match total {
                    Value::Numeric(total) => *total,
                    _ => Decimal::ZERO,
                };
                let sum = so_far.checked_add(decimal(value)?).ok_or_else(|| {
                    SqlError::new(
                        SqlState::NumericValueOutOfRange,
                        "value overflows numeric format",
                    )
                })?;
                Value::Numeric(sum)
            }
        };
    }
    Ok(total)
}

fn average(values: &[Value]) -> Result<Value, SqlError> {
    Ok(match sum(values)? {
        Value::Numeric(total) => {
            Value::Numeric(divide_numeric(total, Decimal::from(values.len()))?)
        }
        Value::Double(total) => Value::Double(OrderedDouble(total.0 / values.len() as f64)),
        other => other,
    })
}

fn decimal(value: &Value) -> Result<Decimal, SqlError> {
    match value {
        Value::BigInt(int) => Ok(Decimal::from(*int)),
        Value::Numeric(numeric) => Ok(*numeric),
        other => Err(SqlError::new(
            SqlState::InternalError,
            format!("{other:?} is no number to add up"),
        )),
    }
}
