//! Functions of time: `date_trunc`, `extract`, `now()` and its kind, AT TIME ZONE.

use sqlparser::ast;

use super::bind::{Binder, Place};
use super::bound::{Bound, called};
use super::context::Purpose;
use super::scope::Scope;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Field, Function};
use crate::engine::value::Type::{self, Double, Numeric, Text};
use crate::engine::value::Value;

impl Binder<'_> {
    pub(super) fn calendar(
        &self,
        name: &str,
        field: &ast::Expr,
        value: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let Expr::Literal(Value::Text(field), _) = self.bind_as(field, Text, scope, place)? else {
            return Err(SqlError::unsupported(format_args!(
                "{name}() with a field that is not constant"
            )));
        };
        let value = self.bind(value, scope, place)?;
        if name == "date_trunc" {
            self.date_trunc(&field, value)
        } else {
            // date_part is extract as a double; a date is a time there.
            let (value, ty) = self.moment(value)?;
            let extracted = self.extracted(&field, Bound::Typed(value, ty))?;
            Ok(Bound::Typed(self.coerce(extracted, Double)?, Double))
        }
    }

    fn date_trunc(&self, name: &str, value: Bound) -> Result<Bound, SqlError> {
        let (value, ty) = self.moment(value)?;
        let field = field_named(name, ty)?;
        if !field.truncates() {
            return Err(unknown_field(name, ty));
        }
        Ok(called(Function::DateTrunc(field), vec![value], ty))
    }

    pub(super) fn extracted(&self, name: &str, value: Bound) -> Result<Bound, SqlError> {
        let (value, ty) = match value {
            Bound::Typed(date, Type::Date) => (date, Type::Date),
            value => self.moment(value)?,
        };
        let field = field_named(name, ty)?;
        if ty == Type::Date && field.is_within_day() {
            return Err(SqlError::new(
                SqlState::FeatureNotSupported,
                format!("unit \"{name}\" not supported for type date"),
            ));
        }
        Ok(called(Function::Extract(field), vec![value], Numeric))
    }

    /// A point in time or an interval.
    fn moment(&self, value: Bound) -> Result<(Expr, Type), SqlError> {
        let ty = match value.ty() {
            Some(ty @ (Type::Interval | Type::Timestamp)) => ty,
            _ => Type::TimestampTz,
        };
        Ok((self.coerce(value, ty)?, ty))
    }

    pub(super) fn now(&self, name: &str, ty: Type) -> Result<Bound, SqlError> {
        if self.context.purpose == Purpose::Maintained {
            return Err(SqlError::new(
                SqlState::FeatureNotSupported,
                format!("{name}() cannot be kept up to date in a view or a subscription"),
            )
            .hint("Compare mz_now() in WHERE instead: mz_now() <= dt + INTERVAL '1 hour'."));
        }
        let micros = i64::try_from(self.context.now_ms)
            .ok()
            .and_then(|ms| ms.checked_mul(1_000))
            .unwrap_or(i64::MAX);
        let now = Bound::constant(Value::TimestampTz(micros), Type::TimestampTz);
        Ok(Bound::Typed(self.explicit(now, ty)?, ty))
    }

    /// There is no time zone but UTC: in it a point in time is what a clock shows, and the other way round.
    pub(super) fn at_time_zone(&self, moment: Bound, zone: &Expr) -> Result<Bound, SqlError> {
        let is_utc = match zone {
            Expr::Literal(Value::Text(zone), _) => {
                let zone = zone.to_ascii_uppercase();
                matches!(
                    &*zone,
                    "UTC" | "GMT" | "Z" | "ETC/UTC" | "ETC/GMT" | "ZULU" | "UCT"
                )
            }
            _ => false,
        };
        if !is_utc {
            return Err(SqlError::unsupported("a time zone other than UTC"));
        }
        let (expr, from) = self.moment(moment)?;
        let to = match from {
            Type::TimestampTz => Type::Timestamp,
            Type::Timestamp => Type::TimestampTz,
            _ => return Err(SqlError::unsupported("an interval AT TIME ZONE")),
        };
        Ok(Bound::Typed(
            self.explicit(Bound::Typed(expr, from), to)?,
            to,
        ))
    }
}

fn field_named(name: &str, ty: Type) -> Result<Field, SqlError> {
    Field::named(&name.to_lowercase()).ok_or_else(|| unknown_field(name, ty))
}

fn unknown_field(name: &str, ty: Type) -> SqlError {
    SqlError::new(
        SqlState::InvalidParameterValue,
        format!("unit \"{name}\" not recognized for type {ty}"),
    )
}
