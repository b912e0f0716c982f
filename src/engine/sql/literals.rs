//! What stands for itself in an expression: literals, parameters, and `mz_now()`.

use sqlparser::ast;

use super::bind::Binder;
use super::bound::Bound;
use super::context::{Parameters, Purpose};
use super::scope::Scope;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value::{Interval, Type, Value};

impl Binder<'_> {
    pub(super) fn value(&self, value: &ast::Value, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        use ast::Value as V;
        Ok(match value {
            V::Number(digits, false) => number(digits)?,
            V::SingleQuotedString(text)
            | V::EscapedStringLiteral(text)
            | V::UnicodeStringLiteral(text)
            | V::NationalStringLiteral(text) => Bound::Text(text.clone()),
            V::DollarQuotedString(quoted) => Bound::Text(quoted.value.clone()),
            V::Boolean(bool) => Bound::constant(Value::Bool(*bool), Type::Bool),
            V::Null => Bound::Null,
            V::Placeholder(name) => self.parameter(name, scope)?,
            other => return Err(SqlError::unsupported(format_args!("literal {other}"))),
        })
    }

    fn parameter(&self, name: &str, scope: &Scope<'_>) -> Result<Bound, SqlError> {
        let missing = || {
            SqlError::new(
                SqlState::UndefinedParameter,
                format!("there is no parameter {name}"),
            )
        };
        let at = name
            .strip_prefix('$')
            .and_then(|digits| digits.parse::<usize>().ok())
            .and_then(|number| number.checked_sub(1))
            .ok_or_else(missing)?;
        if let Some(argument) = function_argument(scope, at) {
            return argument.ok_or_else(missing);
        }
        match &self.context.parameters {
            Parameters::Values(values) => {
                let (value, ty) = values.get(at).ok_or_else(missing)?;
                Ok(Bound::constant(value.clone(), *ty))
            }
            Parameters::Infer(types) => {
                if at >= super::PARAMETERS_MAX {
                    return Err(missing());
                }
                let mut types = types.borrow_mut();
                if types.len() <= at {
                    types.resize(at + 1, None);
                }
                Ok(match types[at] {
                    Some(ty) => Bound::constant(Value::Null, ty),
                    None => Bound::Parameter(at),
                })
            }
        }
    }

    pub(super) fn interval(&self, interval: &ast::Interval) -> Result<Bound, SqlError> {
        let ast::Expr::Value(value) = interval.value.as_ref() else {
            return Err(SqlError::unsupported("INTERVAL of an expression"));
        };
        let text = match &value.value {
            ast::Value::SingleQuotedString(text) => text.clone(),
            ast::Value::Number(digits, _) => digits.clone(),
            other => return Err(SqlError::unsupported(format_args!("INTERVAL {other}"))),
        };
        if interval.last_field.is_some() {
            return Err(SqlError::unsupported("INTERVAL with a range of fields"));
        }
        // `INTERVAL '1' HOUR` and `INTERVAL '1 hour'` are the same.
        let text = match &interval.leading_field {
            Some(field) => format!("{text} {field}"),
            None => text,
        };
        let value = Value::Interval(Interval::parse(&text)?);
        Ok(Bound::constant(value, Type::Interval))
    }

    /// The time, in milliseconds since the epoch, as a value.
    pub(super) fn mz_now(&self) -> Result<Bound, SqlError> {
        self.uses_now.set(true);
        let now = i64::try_from(self.context.now_ms).unwrap_or(i64::MAX);
        match self.context.purpose {
            Purpose::Once => Ok(Bound::constant(Value::BigInt(now), Type::BigInt)),
            Purpose::Maintained => Err(now_misplaced()),
        }
    }
}

/// The error for `mz_now()` where only time itself could answer.
pub(super) fn now_misplaced() -> SqlError {
    SqlError::new(
        SqlState::FeatureNotSupported,
        "mz_now() can only be compared, as a condition of WHERE on its own",
    )
    .hint("Write WHERE mz_now() <= dt + INTERVAL '1 hour', joined to other conditions by AND.")
}

/// The argument of the innermost function whose body is being bound here; `None` when no body is. Inside the body's own
/// subqueries the argument lies outwards.
fn function_argument(scope: &Scope<'_>, at: usize) -> Option<Option<Bound>> {
    let mut scope = scope;
    let mut depth = 0;
    loop {
        if let Some(arguments) = scope.arguments {
            return Some(arguments.get(at).map(|argument| match argument {
                Bound::Typed(expr, ty) => Bound::Typed(expr.seen_from_inside(depth), *ty),
                Bound::Element(expr) => Bound::Element(expr.seen_from_inside(depth)),
                other => other.clone(),
            }));
        }
        scope = scope.names.outer?;
        depth += 1;
    }
}

fn number(digits: &str) -> Result<Bound, SqlError> {
    if let Ok(int) = digits.parse() {
        return Ok(Bound::constant(Value::BigInt(int), Type::BigInt));
    }
    if let Ok(numeric) = Value::parse(digits, Type::Numeric) {
        return Ok(Bound::constant(numeric, Type::Numeric));
    }
    // What is written with an exponent may be a double; of other numbers no digit may get lost.
    match Value::parse(digits, Type::Double) {
        Ok(double) if digits.contains(['e', 'E']) => Ok(Bound::constant(double, Type::Double)),
        _ => Err(SqlError::new(
            SqlState::NumericValueOutOfRange,
            format!("number {digits} has more digits than numeric can hold"),
        )),
    }
}
