//! Functions by name: a table of those whose arguments have fixed types, and the others one by one.

use sqlparser::ast;

use super::aggregates::aggregate_named;
use super::bind::{Binder, Bound, Place, call, called};
use super::casts;
use super::context::{Purpose, closest};
use super::scope::{Names, Scope};
use super::{cursor, parse};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Field, Function};
use crate::engine::value::{Type, Value};

use Type::{BigInt, Bool, Double, Numeric, Text};

/// A function of fixed types.
struct Signature {
    name: &'static str,
    arguments: &'static [Type],
    result: Type,
    function: Function,
}

const fn of(
    name: &'static str,
    arguments: &'static [Type],
    result: Type,
    function: Function,
) -> Signature {
    Signature {
        name,
        arguments,
        result,
        function,
    }
}

const SIGNATURES: &[Signature] = &[
    of("lower", &[Text], Text, Function::Lower),
    of("upper", &[Text], Text, Function::Upper),
    of("length", &[Text], BigInt, Function::Length),
    of("char_length", &[Text], BigInt, Function::Length),
    of("character_length", &[Text], BigInt, Function::Length),
    of("substr", &[Text, BigInt], Text, Function::Substring),
    of("substr", &[Text, BigInt, BigInt], Text, Function::Substring),
    of("substring", &[Text, BigInt], Text, Function::Substring),
    of(
        "substring",
        &[Text, BigInt, BigInt],
        Text,
        Function::Substring,
    ),
    of("strpos", &[Text, Text], BigInt, Function::Position),
    of("left", &[Text, BigInt], Text, Function::Left),
    of("right", &[Text, BigInt], Text, Function::Right),
    of("replace", &[Text, Text, Text], Text, Function::Replace),
    of("ltrim", &[Text, Text], Text, Function::TrimStart),
    of("rtrim", &[Text, Text], Text, Function::TrimEnd),
    of("btrim", &[Text, Text], Text, Function::Trim),
    of("starts_with", &[Text, Text], Bool, Function::StartsWith),
    of(
        "split_part",
        &[Text, Text, BigInt],
        Text,
        Function::SplitPart,
    ),
    of("quote_ident", &[Text], Text, Function::QuoteIdent),
    of("abs", &[BigInt], BigInt, Function::Abs),
    of("abs", &[Numeric], Numeric, Function::Abs),
    of("abs", &[Double], Double, Function::Abs),
    of("floor", &[Numeric], Numeric, Function::Floor),
    of("floor", &[Double], Double, Function::Floor),
    of("ceil", &[Numeric], Numeric, Function::Ceil),
    of("ceil", &[Double], Double, Function::Ceil),
    of("ceiling", &[Numeric], Numeric, Function::Ceil),
    of("ceiling", &[Double], Double, Function::Ceil),
    of("round", &[Numeric], Numeric, Function::Round),
    of("round", &[Double], Double, Function::Round),
    of("round", &[Numeric, BigInt], Numeric, Function::Round),
    of("mod", &[BigInt, BigInt], BigInt, Function::Modulo),
    of("mod", &[Numeric, Numeric], Numeric, Function::Modulo),
    of(
        "to_timestamp",
        &[Double],
        Type::TimestampTz,
        Function::ToTimestamp,
    ),
    of(
        "array_to_string",
        &[Text, Text],
        Text,
        Function::ArrayToString,
    ),
    of(
        "array_to_string",
        &[Text, Text, Text],
        Text,
        Function::ArrayToString,
    ),
    of("cardinality", &[Text], BigInt, Function::ArrayLength),
];

/// Other functions that are here, for hints.
const OTHERS: &[&str] = &[
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "concat",
    "date_trunc",
    "date_part",
    "extract",
    "now",
    "mz_now",
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "position",
    "trim",
    "array_length",
    "array_upper",
];

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

    /// The function of the table whose types fit best; or one that is defined by SQL.
    fn overloaded(&self, name: &str, arguments: Vec<Bound>) -> Result<Bound, SqlError> {
        let fits = |signature: &&Signature| {
            signature.name == name
                && signature.arguments.len() == arguments.len()
                && signature
                    .arguments
                    .iter()
                    .zip(&arguments)
                    .all(|(wanted, given)| {
                        given.ty().is_none_or(|ty| casts::is_implicit(ty, *wanted))
                    })
        };
        let exact = |signature: &&Signature| {
            let pairs = signature.arguments.iter().zip(&arguments);
            pairs
                .filter(|(wanted, given)| given.ty() == Some(**wanted))
                .count()
        };
        // Of several that fit equally well the first one is taken.
        let best = SIGNATURES.iter().filter(fits).rev().max_by_key(exact);
        if let Some(signature) = best {
            let exprs = arguments
                .into_iter()
                .zip(signature.arguments)
                .map(|(argument, ty)| self.coerce(argument, *ty))
                .collect::<Result<_, _>>()?;
            return Ok(called(signature.function, exprs, signature.result));
        }
        if let Some(body) = self.context.relations.function(name, arguments.len()) {
            return self.sql_function(&body, arguments);
        }
        Err(no_function(name, &arguments))
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

    fn calendar(
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

    fn now(&self, name: &str, ty: Type) -> Result<Bound, SqlError> {
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
    fn at_time_zone(&self, moment: Bound, zone: &Expr) -> Result<Bound, SqlError> {
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

fn field_named(name: &str, ty: Type) -> Result<Field, SqlError> {
    Field::named(&name.to_lowercase()).ok_or_else(|| unknown_field(name, ty))
}

fn unknown_field(name: &str, ty: Type) -> SqlError {
    SqlError::new(
        SqlState::InvalidParameterValue,
        format!("unit \"{name}\" not recognized for type {ty}"),
    )
}

pub(super) fn no_function(name: &str, arguments: &[Bound]) -> SqlError {
    let types: Vec<String> = arguments.iter().map(Bound::type_name).collect();
    let error = SqlError::new(
        SqlState::UndefinedFunction,
        format!("function {name}({}) does not exist", types.join(", ")),
    );
    let known = |candidate: &str| {
        SIGNATURES
            .iter()
            .any(|signature| signature.name == candidate)
            || OTHERS.contains(&candidate)
    };
    if known(name) {
        return error.hint("You might need to add explicit type casts.");
    }
    let candidates = SIGNATURES
        .iter()
        .map(|signature| signature.name)
        .chain(OTHERS.iter().copied());
    match closest(name, candidates) {
        Some(candidate) => error.hint(format!("Perhaps you meant the function {candidate}().")),
        None => error.hint("Materialize has more functions: start wikitop with --materialize URL."),
    }
}
