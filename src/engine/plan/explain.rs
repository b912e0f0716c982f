//! A plan as a person reads it: an indented tree, one operator a line, what it works on below it.
//!
//! Columns are positions in a plan. Where they come from a relation EXPLAIN shows them by its names; what has been computed stays a
//! position, and of two that go by one name each is told its position.

mod expr;

use std::fmt;
use std::sync::Arc;

use super::{JoinKind, Plan};
use crate::engine::expr::Expr;

/// Tells the name of a column of a maintained relation by its position there.
pub type ColumnNames<'n> = dyn Fn(&str, usize) -> Option<Arc<str>> + 'n;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0, &|_, _| None)
    }
}

/// The columns that an operator's expressions read.
struct Columns<'n> {
    names: Vec<Option<Arc<str>>>,
    relations: &'n ColumnNames<'n>,
}

impl Columns<'_> {
    const UNKNOWN: Columns<'static> = Columns {
        names: Vec::new(),
        relations: &|_, _| None,
    };

    fn write(&self, at: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names.get(at) {
            Some(Some(name)) => {
                f.write_str(name)?;
                let is_shared = self.names.iter().flatten().filter(|other| *other == name);
                if is_shared.count() > 1 {
                    write!(f, "#{at}")?;
                }
                Ok(())
            }
            _ => write!(f, "#{at}"),
        }
    }
}

/// A part of an operator, over its columns.
struct In<'a, T>(&'a T, &'a Columns<'a>);

/// `(a, b, c)`
struct List<'a, T>(&'a [T], &'a Columns<'a>);

impl<T> fmt::Display for List<'_, T>
where
    for<'a> In<'a, T>: fmt::Display,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            In(item, self.1).fmt(f)?;
        }
        f.write_str(")")
    }
}

impl Plan {
    /// The plan as EXPLAIN prints it.
    pub fn explained(&self, names: &ColumnNames<'_>) -> String {
        struct Explained<'a>(&'a Plan, &'a ColumnNames<'a>);
        impl fmt::Display for Explained<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.write(f, 0, self.1)
            }
        }
        Explained(self, names).to_string()
    }

    /// What its output columns are called.
    fn names(&self, relations: &ColumnNames<'_>) -> Vec<Option<Arc<str>>> {
        let of_exprs = |input: &Plan, exprs: &[Expr]| -> Vec<Option<Arc<str>>> {
            let names = input.names(relations);
            exprs
                .iter()
                .map(|expr| match expr {
                    Expr::Column(at) => names.get(*at).cloned().flatten(),
                    _ => None,
                })
                .collect()
        };
        match self {
            Plan::Get { name, columns } => columns.iter().map(|at| relations(name, *at)).collect(),
            Plan::Constant { arity, .. } => vec![None; *arity],
            Plan::Project { input, columns } => of_exprs(input, columns),
            Plan::Filter { input, .. }
            | Plan::Window { input, .. }
            | Plan::Distinct { input }
            | Plan::TopK { input, .. } => input.names(relations),
            Plan::Aggregate {
                input,
                keys,
                aggregates,
            } => {
                let columns = Columns {
                    names: input.names(relations),
                    relations,
                };
                let mut names = of_exprs(input, keys);
                names.extend(aggregates.iter().map(|aggregate| {
                    let is_short = aggregate.filter.is_none() && aggregate.order.is_empty();
                    is_short.then(|| In(aggregate, &columns).to_string().into())
                }));
                names
            }
            Plan::Number { input, .. } => {
                let mut names = input.names(relations);
                names.push(Some("row_number".into()));
                names
            }
            Plan::UnionAll { inputs } => inputs
                .first()
                .map_or_else(Vec::new, |first| first.names(relations)),
            Plan::Join { left, right, .. } => {
                [left.names(relations), right.names(relations)].concat()
            }
        }
    }

    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        depth: usize,
        relations: &ColumnNames<'_>,
    ) -> fmt::Result {
        write!(f, "{:indent$}", "", indent = depth * 2)?;
        let names = match self {
            Plan::Get { .. } => self.names(relations),
            _ => self
                .inputs()
                .iter()
                .flat_map(|input| input.names(relations))
                .collect(),
        };
        let columns = &Columns { names, relations };
        match self {
            Plan::Get { name, columns: at } => {
                write!(f, "Get {name} (")?;
                for (shown, at) in at.iter().enumerate() {
                    let comma = if shown > 0 { ", " } else { "" };
                    match &columns.names[shown] {
                        Some(name) => write!(f, "{comma}{name}")?,
                        None => write!(f, "{comma}#{at}")?,
                    }
                }
                f.write_str(")")?;
            }
            Plan::Constant { rows, .. } if rows.len() == 1 => {
                write!(f, "Constant {}", List(rows[0].values(), columns))?;
            }
            Plan::Constant { rows, .. } => write!(f, "Constant of {} rows", rows.len())?,
            Plan::Project { columns: exprs, .. } => write!(f, "Project {}", List(exprs, columns))?,
            Plan::Filter { predicate, .. } => write!(f, "Filter {}", In(predicate, columns))?,
            Plan::Window {
                from_ms, until_ms, ..
            } => {
                f.write_str("Window")?;
                if let Some(from) = from_ms {
                    write!(f, " from {}", In(from, columns))?;
                }
                if let Some(until) = until_ms {
                    write!(f, " until {}", In(until, columns))?;
                }
            }
            Plan::Aggregate {
                keys, aggregates, ..
            } => {
                f.write_str("Aggregate")?;
                if !aggregates.is_empty() {
                    write!(f, " {}", List(aggregates, columns))?;
                }
                if !keys.is_empty() {
                    write!(f, " by {}", List(keys, columns))?;
                }
            }
            Plan::Distinct { .. } => f.write_str("Distinct")?,
            Plan::TopK {
                order,
                limit,
                offset,
                ..
            } => {
                f.write_str("TopK")?;
                if let Some(limit) = limit {
                    write!(f, " limit {limit}")?;
                }
                if *offset > 0 {
                    write!(f, " offset {offset}")?;
                }
                if !order.is_empty() {
                    write!(f, " order by {}", List(order, columns))?;
                }
            }
            Plan::Number {
                partition,
                order,
                limit,
                ..
            } => {
                f.write_str("Number")?;
                if let Some(limit) = limit {
                    write!(f, " limit {limit}")?;
                }
                if !partition.is_empty() {
                    write!(f, " by {}", List(partition, columns))?;
                }
                if !order.is_empty() {
                    write!(f, " order by {}", List(order, columns))?;
                }
            }
            Plan::UnionAll { .. } => f.write_str("UnionAll")?,
            Plan::Join { kind, on, .. } => {
                let kind = match kind {
                    JoinKind::Inner => "Join",
                    JoinKind::Left => "LeftJoin",
                };
                write!(f, "{kind} on {}", In(on, columns))?;
            }
        }
        for input in self.inputs() {
            f.write_str("\n")?;
            input.write(f, depth + 1, relations)?;
        }
        Ok(())
    }
}
