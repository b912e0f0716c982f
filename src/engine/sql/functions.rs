//! Functions by name: those that are more than their arguments' types, one by one; the others are in a table
//! ([`super::signatures`]).

use sqlparser::ast;

use super::aggregates::aggregate_named;
use super::bind::{Binder, Place};
use super::bound::{Bound, call, called};
use super::scope::{Names, Scope};
use super::{cursor, parse};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::value::{Type, Value};

use Type::{BigInt, Bool, Text};

impl Binder<'_> {
    pub(super) fn function(
        &self,
        function: &ast::Function,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let name = cursor::name_of(&function.name)?.name;
        if let Some(over) = &function.over {
            return self.window_function(&name, function, over, scope, place);
        }
        if !function.within_group.is_empty() || function.null_treatment.is_some() {
            return Err(SqlError::unsupported(format_args!(
                "such a call of {name}()"
            )));
        }
        let list = match &function.args {
            ast::FunctionArguments::None => &[][..],
            ast::FunctionArguments::Subquery(query) if name == "array" => {
                return self.array_of_query(query, scope);
            }
            ast::FunctionArguments::Subquery(_) => {
                return Err(SqlError::unsupported("a query as a function's argument"));
            }
            ast::FunctionArguments::List(list) => {
                if !list.clauses.is_empty() && aggregate_named(&name).is_none() {
                    return Err(SqlError::unsupported(format_args!(
                        "a clause inside the call of {name}()"
                    )));
                }
                &list.args[..]
            }
        };
        if let Some(aggregate) = aggregate_named(&name) {
            return self.aggregate(&name, aggregate, function, scope, place);
        }
        let distinct = matches!(&function.args, ast::FunctionArguments::List(list)
            if list.duplicate_treatment.is_some());
        if function.filter.is_some() || distinct {
            return Err(SqlError::new(
                SqlState::WrongObjectType,
                format!("{name}() is no aggregate function"),
            ));
        }
        let exprs = list
            .iter()
            .map(plain_argument)
            .collect::<Result<Vec<_>, _>>()?;
        match (name.as_str(), &exprs[..]) {
            ("date_trunc" | "date_part", [field, value]) => {
                return self.calendar(&name, field, value, scope, place);
            }
            ("mz_now" | "mz_logical_timestamp", []) => return self.mz_now(),
            (
                "now"
                | "current_timestamp"
                | "transaction_timestamp"
                | "statement_timestamp"
                | "clock_timestamp",
                [],
            ) => {
                return self.now(&name, Type::TimestampTz);
            }
            ("localtimestamp", []) => return self.now(&name, Type::Timestamp),
            ("current_date", []) => return self.now(&name, Type::Date),
            _ => {}
        }
        let mut arguments = exprs
            .into_iter()
            .map(|expr| self.bind(expr, scope, place))
            .collect::<Result<Vec<_>, _>>()?;
        match (name.as_str(), arguments.len()) {
            ("unnest" | "_pg_expandarray", 1) => {
                self.several_rows(&name, arguments.remove(0), place)
            }
            _ => self.apply_named(&name, arguments),
        }
    }

    /// The function of that name, applied.
    pub(super) fn apply_named(&self, name: &str, arguments: Vec<Bound>) -> Result<Bound, SqlError> {
        match (name, arguments.len()) {
            ("coalesce", 1..) => self.uniform(Function::Coalesce, "COALESCE", arguments),
            ("greatest", 1..) => self.uniform(Function::Greatest, "GREATEST", arguments),
            ("least", 1..) => self.uniform(Function::Least, "LEAST", arguments),
            ("nullif", 2) => {
                let (exprs, ty) = self.coerce_all("NULLIF", arguments)?;
                Ok(called(Function::NullIf, exprs, ty))
            }
            ("concat", 1..) => self.concatenated(arguments),
            ("ltrim" | "rtrim" | "btrim", 1) => {
                let space = Bound::Text(" ".to_owned());
                let arguments = arguments.into_iter().chain([space]).collect();
                self.apply_named(name, arguments)
            }
            ("array_length" | "array_upper", 2) => {
                let array = arguments.into_iter().take(1).collect();
                self.apply_named("cardinality", array)
            }
            ("date", 1) => {
                let date = arguments.into_iter().next().unwrap_or(Bound::Null);
                Ok(Bound::Typed(self.explicit(date, Type::Date)?, Type::Date))
            }
            ("timezone", 2) => {
                let mut arguments = arguments.into_iter();
                let zone = self.coerce(arguments.next().unwrap_or(Bound::Null), Text)?;
                self.at_time_zone(arguments.next().unwrap_or(Bound::Null), &zone)
            }
            ("array_lower", 2) => Ok(Bound::constant(Value::BigInt(1), BigInt)),
            ("pg_typeof", 1) => {
                let name = arguments[0].type_name();
                Ok(Bound::constant(Value::Text(name.into()), Text))
            }
            _ => self.overloaded(name, arguments),
        }
    }

    fn uniform(
        &self,
        function: Function,
        what: &str,
        arguments: Vec<Bound>,
    ) -> Result<Bound, SqlError> {
        let (exprs, ty) = self.coerce_all(what, arguments)?;
        Ok(called(function, exprs, ty))
    }

    /// `concat`: NULLs count as nothing.
    fn concatenated(&self, arguments: Vec<Bound>) -> Result<Bound, SqlError> {
        let empty = Expr::Literal(Value::Text("".into()), Text);
        let mut result = empty.clone();
        for argument in arguments {
            let text = match argument {
                // A boolean is `t` where it is shown, and `true` only where it is cast.
                Bound::Typed(bool, Bool) => {
                    let shown = |text: &str| Expr::Literal(Value::Text(text.into()), Text);
                    let not = call(Function::Not, vec![bool.clone()], Bool);
                    let arguments = vec![bool, shown("t"), not, shown("f"), empty.clone()];
                    call(Function::Case, arguments, Text)
                }
                other => self.as_text(other)?,
            };
            let text = call(Function::Coalesce, vec![text, empty.clone()], Text);
            result = call(Function::Concat, vec![result, text], Text);
        }
        Ok(Bound::Typed(result, Text))
    }

    /// A function that stands for an SQL expression over its arguments.
    pub(super) fn sql_function(
        &self,
        body: &str,
        arguments: Vec<Bound>,
    ) -> Result<Bound, SqlError> {
        let parsed = parse::expression(body)?;
        let names = Names {
            ctes: std::rc::Rc::default(),
            outer: None,
        };
        let scope = Scope {
            arguments: Some(&arguments),
            ..Scope::empty(names)
        };
        self.bind(&parsed, &scope, &Place::plain("a function"))
    }

    /// The functions whose arguments SQL separates by words.
    pub(super) fn special_syntax(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        use ast::Expr as E;
        match expr {
            E::Extract { field, expr, .. } => {
                let value = self.bind(expr, scope, place)?;
                self.extracted(&field.to_string().to_lowercase(), value)
            }
            E::Ceil {
                expr,
                field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime),
            } => self.named("ceil", &[expr], scope, place),
            E::Floor {
                expr,
                field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime),
            } => self.named("floor", &[expr], scope, place),
            E::Position { expr, r#in } => self.named("strpos", &[r#in, expr], scope, place),
            E::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let one = ast::Expr::value(ast::Value::Number("1".to_owned(), false));
                let mut arguments = vec![expr.as_ref(), substring_from.as_deref().unwrap_or(&one)];
                arguments.extend(substring_for.as_deref());
                self.named("substring", &arguments, scope, place)
            }
            E::Trim {
                trim_where,
                trim_what,
                expr,
                trim_characters: None,
            } => {
                let name = match trim_where {
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                    Some(ast::TrimWhereField::Both) | None => "btrim",
                };
                let mut arguments = vec![expr.as_ref()];
                arguments.extend(trim_what.as_deref());
                self.named(name, &arguments, scope, place)
            }
            E::AtTimeZone {
                timestamp,
                time_zone,
            } => {
                let moment = self.bind(timestamp, scope, place)?;
                let zone = self.bind_as(time_zone, Text, scope, place)?;
                self.at_time_zone(moment, &zone)
            }
            E::Tuple(_) => Err(SqlError::unsupported("a row value")),
            E::GroupingSets(_) | E::Cube(_) | E::Rollup(_) => {
                Err(SqlError::unsupported("GROUPING SETS"))
            }
            other => {
                let debug = format!("{other:?}");
                let kind = debug
                    .split(|c: char| !c.is_ascii_alphanumeric())
                    .next()
                    .unwrap_or_default();
                Err(SqlError::unsupported(format_args!(
                    "such an expression ({kind})"
                )))
            }
        }
    }

    fn named(
        &self,
        name: &str,
        arguments: &[&ast::Expr],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let arguments = arguments
            .iter()
            .map(|argument| self.bind(argument, scope, place))
            .collect::<Result<_, _>>()?;
        self.apply_named(name, arguments)
    }
}

pub(super) fn plain_argument(argument: &ast::FunctionArg) -> Result<&ast::Expr, SqlError> {
    match argument {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Ok(expr),
        ast::FunctionArg::Unnamed(_) => Err(SqlError::new(
            SqlState::SyntaxError,
            "only count(*) takes a star",
        )),
        _ => Err(SqlError::unsupported("a named argument")),
    }
}
