//! Expressions as a person reads them, over columns that may have names.

use std::fmt;

use super::{Columns, In, List};
use crate::engine::expr::{Expr, Field, Function, PatternKind, Subquery};
use crate::engine::plan::{Aggregate, AggregateFunction, OrderKey};
use crate::engine::value::Value;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        In(self, &Columns::UNKNOWN).fmt(f)
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        In(self, &Columns::UNKNOWN).fmt(f)
    }
}

impl fmt::Display for In<'_, Value> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.0.text()) {
            (Value::Bool(bool), _) => write!(f, "{bool}"),
            (Value::BigInt(_) | Value::Numeric(_) | Value::Double(_), Some(text)) => {
                f.write_str(&text)
            }
            (_, Some(text)) => write!(f, "'{}'", text.replace('\'', "''")),
            (_, None) => f.write_str("NULL"),
        }
    }
}

impl fmt::Display for In<'_, OrderKey> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let In(key, columns) = self;
        write!(f, "{}", In(&key.expr, columns))?;
        if key.descending {
            f.write_str(" DESC")?;
        }
        // Only what differs from Postgres' default is said.
        match (key.nulls_first, key.descending) {
            (true, false) => f.write_str(" NULLS FIRST"),
            (false, true) => f.write_str(" NULLS LAST"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for In<'_, Aggregate> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let In(aggregate, columns) = self;
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
            None => f.write_str("(*)")?,
            Some(argument) => {
                write!(f, "({distinct}{}", In(argument, columns))?;
                if !aggregate.order.is_empty() {
                    write!(f, " order by {}", List(&aggregate.order, columns))?;
                }
                f.write_str(")")?;
            }
        }
        match &aggregate.filter {
            Some(filter) => write!(f, " FILTER ({})", In(filter, columns)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for In<'_, Expr> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let In(expr, columns) = self;
        match expr {
            Expr::Column(at) => columns.write(*at, f),
            Expr::Literal(value, _) => In(value, columns).fmt(f),
            Expr::Call(function, arguments) => function.write_call(arguments, columns, f),
            Expr::Matches(input, pattern) => {
                let operator = pattern_operator(pattern.kind());
                let text = Value::Text(pattern.text().into());
                write!(
                    f,
                    "({} {operator} {})",
                    In(&**input, columns),
                    In(&text, columns)
                )
            }
            Expr::In(input, constants) => {
                let constants = List(constants.values(), columns);
                write!(f, "({} IN {constants})", In(&**input, columns))
            }
            Expr::Outer { depth, column } => write!(f, "outer{depth}.#{column}"),
            Expr::Subquery(kind, plan) => {
                match kind {
                    Subquery::Scalar => {}
                    Subquery::Exists => f.write_str("EXISTS ")?,
                    Subquery::Array => f.write_str("ARRAY")?,
                    Subquery::Any(function, left) => {
                        let symbol = function.symbol().unwrap_or("?");
                        write!(f, "{} {symbol} ANY ", In(&**left, columns))?;
                    }
                }
                let plan = plan.explained(columns.relations);
                write!(f, "({})", plan.replace('\n', "; "))
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
            Function::OnlyRow => "only_row",
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

    fn write_call(
        self,
        arguments: &[Expr],
        columns: &Columns<'_>,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        let only = || In(&arguments[0], columns);
        match (self, arguments.len()) {
            (Function::Not, 1) => write!(f, "(NOT {})", only()),
            (Function::Negate, 1) => write!(f, "(-{})", only()),
            (Function::IsNull, 1) => write!(f, "({} IS NULL)", only()),
            (Function::IsTrue, 1) => write!(f, "({} IS TRUE)", only()),
            (Function::IsFalse, 1) => write!(f, "({} IS FALSE)", only()),
            (Function::Cast(ty), 1) => write!(f, "{}::{ty}", only()),
            (Function::FitsBits(bits), 1) => write!(f, "{}::int{}", only(), bits / 8),
            (Function::DateTrunc(field) | Function::Extract(field), 1) => {
                write!(f, "{}({}, {})", self.name(), field_name(field), only())
            }
            _ => match self.symbol() {
                Some(symbol) => {
                    f.write_str("(")?;
                    for (at, argument) in arguments.iter().enumerate() {
                        if at > 0 {
                            write!(f, " {symbol} ")?;
                        }
                        write!(f, "{}", In(argument, columns))?;
                    }
                    f.write_str(")")
                }
                None => write!(f, "{}{}", self.name(), List(arguments, columns)),
            },
        }
    }
}

fn field_name(field: Field) -> String {
    format!("{field:?}").to_lowercase()
}
