//! A plan as a person reads it: an indented tree, one operator a line, what it works on below it.

use std::fmt;

use super::{Aggregate, AggregateFunction, JoinKind, OrderKey, Plan};
use crate::engine::expr::{Expr, Field, Function, PatternKind, Subquery};
use crate::engine::value::Value;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

impl Plan {
    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:indent$}", "", indent = depth * 2)?;
        match self {
            Plan::Get { name, columns } => write!(f, "Get {name} {}", List(columns, column))?,
            Plan::Constant { rows, .. } if rows.len() == 1 => {
                write!(f, "Constant {}", List(rows[0].values(), value))?;
            }
            Plan::Constant { rows, .. } => write!(f, "Constant of {} rows", rows.len())?,
            Plan::Project { columns, .. } => write!(f, "Project {}", List(columns, expr))?,
            Plan::Filter { predicate, .. } => write!(f, "Filter {predicate}")?,
            Plan::Window {
                from_ms, until_ms, ..
            } => {
                f.write_str("Window")?;
                if let Some(from) = from_ms {
                    write!(f, " from {from}")?;
                }
                if let Some(until) = until_ms {
                    write!(f, " until {until}")?;
                }
            }
            Plan::Aggregate {
                keys, aggregates, ..
            } => {
                f.write_str("Aggregate")?;
                if !aggregates.is_empty() {
                    write!(f, " {}", List(aggregates, aggregate))?;
                }
                if !keys.is_empty() {
                    write!(f, " by {}", List(keys, expr))?;
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
                    write!(f, " order by {}", List(order, order_key))?;
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
                    write!(f, " by {}", List(partition, expr))?;
                }
                if !order.is_empty() {
                    write!(f, " order by {}", List(order, order_key))?;
                }
            }
            Plan::UnionAll { .. } => f.write_str("UnionAll")?,
            Plan::Join { kind, on, .. } => {
                let kind = match kind {
                    JoinKind::Inner => "Join",
                    JoinKind::Left => "LeftJoin",
                };
                write!(f, "{kind} on {on}")?;
            }
        }
        for input in self.inputs() {
            f.write_str("\n")?;
            input.write(f, depth + 1)?;
        }
        Ok(())
    }
}

/// `(a, b, c)`
struct List<'a, T>(&'a [T], fn(&T, &mut fmt::Formatter<'_>) -> fmt::Result);

impl<T> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (at, item) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            self.1(item, f)?;
        }
        f.write_str(")")
    }
}

fn column(at: &usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "#{at}")
}

fn expr(expr: &Expr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{expr}")
}

fn value(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (value, value.text()) {
        (Value::Bool(bool), _) => write!(f, "{bool}"),
        (Value::BigInt(_) | Value::Numeric(_) | Value::Double(_), Some(text)) => f.write_str(&text),
        (_, Some(text)) => write!(f, "'{}'", text.replace('\'', "''")),
        (_, None) => f.write_str("NULL"),
    }
}

fn order_key(key: &OrderKey, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{key}")
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expr)?;
        if self.descending {
            f.write_str(" DESC")?;
        }
        // Only what differs from Postgres' default is said.
        match (self.nulls_first, self.descending) {
            (true, false) => f.write_str(" NULLS FIRST"),
            (false, true) => f.write_str(" NULLS LAST"),
            _ => Ok(()),
        }
    }
}

fn aggregate(aggregate: &Aggregate, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(match aggregate.function {
        AggregateFunction::Count => "count",
        AggregateFunction::Sum => "sum",
        AggregateFunction::Min => "min",
        AggregateFunction::Max => "max",
        AggregateFunction::Avg => "avg",
        AggregateFunction::Array => "array_agg",
    })?;
    let distinct = if aggregate.distinct { "DISTINCT " } else { "" };
    match &aggregate.argument {
        Some(argument) if aggregate.order.is_empty() => write!(f, "({distinct}{argument})")?,
        Some(argument) => {
            let order = List(&aggregate.order, order_key);
            write!(f, "({distinct}{argument} order by {order})")?;
        }
        None => f.write_str("(*)")?,
    }
    match &aggregate.filter {
        Some(filter) => write!(f, " FILTER ({filter})"),
        None => Ok(()),
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Column(at) => column(at, f),
            Expr::Literal(literal, _) => value(literal, f),
            Expr::Call(function, arguments) => function.write_call(arguments, f),
            Expr::Matches(input, pattern) => {
                let operator = pattern_operator(pattern.kind());
                write!(f, "({input} {operator} ")?;
                value(&Value::Text(pattern.text().into()), f)?;
                f.write_str(")")
            }
            Expr::In(input, constants) => {
                write!(f, "({input} IN {})", List(constants.values(), value))
            }
            Expr::Outer { depth, column } => write!(f, "outer{depth}.#{column}"),
            Expr::Subquery(kind, plan) => {
                match kind {
                    Subquery::Scalar => {}
                    Subquery::Exists => f.write_str("EXISTS ")?,
                    Subquery::Array => f.write_str("ARRAY")?,
                    Subquery::Any(function, left) => {
                        write!(f, "{left} {} ANY ", function.symbol().unwrap_or("?"))?;
                    }
                }
                write!(f, "({})", plan.to_string().replace('\n', "; "))
            }
        }
    }
}

fn pattern_operator(kind: PatternKind) -> &'static str {
    match kind {
        PatternKind::Like {
            ignore_case: false, ..
        } => "LIKE",
        PatternKind::Like {
            ignore_case: true, ..
        } => "ILIKE",
        PatternKind::Regex { ignore_case: false } => "~",
        PatternKind::Regex { ignore_case: true } => "~*",
    }
}

impl Function {
    /// The operator between two arguments, for functions that have one.
    fn symbol(self) -> Option<&'static str> {
        Some(match self {
            Function::Equal => "=",
            Function::NotEqual => "<>",
            Function::Less => "<",
            Function::LessOrEqual => "<=",
            Function::Greater => ">",
            Function::GreaterOrEqual => ">=",
            Function::NotDistinct => "IS NOT DISTINCT FROM",
            Function::And => "AND",
            Function::Or => "OR",
            Function::Add => "+",
            Function::Subtract => "-",
            Function::Multiply => "*",
            Function::Divide => "/",
            Function::Modulo => "%",
            Function::BitAnd => "&",
            Function::BitOr => "|",
            Function::Concat => "||",
            Function::EqualsAny(_) => "= ANY",
            Function::Match(kind) => pattern_operator(kind),
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Function::Abs => "abs",
            Function::Floor => "floor",
            Function::Ceil => "ceil",
            Function::Round => "round",
            Function::Lower => "lower",
            Function::Upper => "upper",
            Function::Length => "length",
            Function::Substring => "substring",
            Function::Position => "strpos",
            Function::Left => "left",
            Function::Right => "right",
            Function::Replace => "replace",
            Function::TrimStart => "ltrim",
            Function::TrimEnd => "rtrim",
            Function::Trim => "btrim",
            Function::StartsWith => "starts_with",
            Function::SplitPart => "split_part",
            Function::QuoteIdent => "quote_ident",
            Function::Coalesce => "coalesce",
            Function::NullIf => "nullif",
            Function::Case => "case",
            Function::Greatest => "greatest",
            Function::Least => "least",
            Function::ToTimestamp => "to_timestamp",
            Function::Milliseconds => "milliseconds",
            Function::ArrayToString => "array_to_string",
            Function::ArrayElement => "element",
            Function::ArrayLength => "array_length",
            Function::MakeArray => "array",
            Function::DateTrunc(_) => "date_trunc",
            Function::Extract(_) => "extract",
            _ => "?",
        }
    }

    fn write_call(self, arguments: &[Expr], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, arguments) {
            (Function::Not, [only]) => write!(f, "(NOT {only})"),
            (Function::Negate, [only]) => write!(f, "(-{only})"),
            (Function::IsNull, [only]) => write!(f, "({only} IS NULL)"),
            (Function::IsTrue, [only]) => write!(f, "({only} IS TRUE)"),
            (Function::IsFalse, [only]) => write!(f, "({only} IS FALSE)"),
            (Function::Cast(ty), [only]) => write!(f, "{only}::{ty}"),
            (Function::FitsBits(bits), [only]) => write!(f, "{only}::int{}", bits / 8),
            (Function::DateTrunc(field) | Function::Extract(field), [only]) => {
                write!(f, "{}({}, {only})", self.name(), field_name(field))
            }
            _ => match self.symbol() {
                Some(symbol) => {
                    f.write_str("(")?;
                    for (at, argument) in arguments.iter().enumerate() {
                        if at > 0 {
                            write!(f, " {symbol} ")?;
                        }
                        write!(f, "{argument}")?;
                    }
                    f.write_str(")")
                }
                None => write!(f, "{}{}", self.name(), List(arguments, expr)),
            },
        }
    }
}

fn field_name(field: Field) -> String {
    format!("{field:?}").to_lowercase()
}
