//! Syntax trees of expressions to typed expressions: names are resolved, types checked, constants computed.
//!
//! A string literal, NULL and a parameter have no type of their own: each takes the type that its place wants, as in Postgres.

use std::cell::{Cell, RefCell};

use sqlparser::ast;

use super::casts;
use super::context::{Context, Parameters, Purpose};
use super::cursor::fold;
use super::per_row::PerRow;
use super::scope::{Found, Scope};
use super::text;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::plan::Aggregate;
use crate::engine::value::{Interval, Type, Value};

/// How deep expressions, subqueries and functions defined by SQL may nest once they are bound; chains of AND and OR do not count.
/// Each level costs stack here and wherever the expression is evaluated.
const BIND_DEPTH_MAX: usize = 128;

/// Columns from here on are aggregates that have not got their place in the grouped row yet.
pub(super) const AGGREGATE_BASE: usize = 1 << 32;

/// A bound expression.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    /// Of this type.
    Typed(Expr, Type),
    /// A string literal: of any type that it can be read as.
    Text(String),
    /// NULL.
    Null,
    /// A parameter whose type is being asked for, from 0.
    Parameter(usize),
    /// An element of an array. Arrays are texts that do not say of what type, so it can be read as any.
    Element(Expr),
}

impl Bound {
    pub(super) fn ty(&self) -> Option<Type> {
        match self {
            Bound::Typed(_, ty) => Some(*ty),
            Bound::Text(_) | Bound::Null | Bound::Parameter(_) | Bound::Element(_) => None,
        }
    }

    pub(super) fn constant(value: Value, ty: Type) -> Self {
        Bound::Typed(Expr::Literal(value, ty), ty)
    }

    /// The type's name for errors.
    pub(super) fn type_name(&self) -> String {
        self.ty()
            .map_or_else(|| "unknown".to_owned(), |ty| ty.to_string())
    }
}

/// Where an expression stands.
pub(super) struct Place<'p> {
    /// The clause, for errors.
    pub(super) clause: &'static str,
    /// Where aggregates are gathered; without it they are not allowed.
    pub(super) aggregates: Option<&'p RefCell<Vec<Aggregate>>>,
    /// Where numbers of rows, and functions that give several, are gathered; without it they are not allowed.
    pub(super) per_row: Option<&'p PerRow>,
}

impl Place<'static> {
    pub(super) const fn plain(clause: &'static str) -> Self {
        Place {
            clause,
            aggregates: None,
            per_row: None,
        }
    }
}

/// Binds the expressions of one statement.
pub(super) struct Binder<'a> {
    pub(super) context: &'a Context<'a>,
    /// `mz_now()` was used as a value.
    pub(super) uses_now: Cell<bool>,
    depth: Cell<usize>,
}

impl<'a> Binder<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Binder {
            context,
            uses_now: Cell::new(false),
            depth: Cell::new(0),
        }
    }

    /// Runs `work` one level deeper.
    pub(super) fn nested<T>(
        &self,
        work: impl FnOnce() -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let depth = self.depth.get();
        if depth >= BIND_DEPTH_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("expression is nested more than {BIND_DEPTH_MAX} levels deep"),
            ));
        }
        self.depth.set(depth + 1);
        let result = work();
        self.depth.set(depth);
        result
    }

    /// Binds an expression.
    pub(super) fn bind(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        self.nested(|| self.bind_here(expr, scope, place))
    }

    /// Binds an expression that must have the type.
    pub(super) fn bind_as(
        &self,
        expr: &ast::Expr,
        ty: Type,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Expr, SqlError> {
        let bound = self.bind(expr, scope, place)?;
        self.coerce(bound, ty)
    }

    /// Binds a condition.
    pub(super) fn condition(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Expr, SqlError> {
        let bound = self.bind(expr, scope, place)?;
        self.boolean(bound, place.clause)
    }

    pub(super) fn boolean(&self, bound: Bound, clause: &str) -> Result<Expr, SqlError> {
        match bound.ty() {
            None | Some(Type::Bool) => self.coerce(bound, Type::Bool),
            Some(other) => Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!("argument of {clause} must be type boolean, not type {other}"),
            )),
        }
    }

    fn bind_here(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        use ast::Expr as E;
        match expr {
            E::Identifier(ident) => self.column(std::slice::from_ref(ident), scope),
            E::CompoundIdentifier(idents) => self.column(idents, scope),
            E::Value(value) => self.value(&value.value, scope),
            E::Nested(inner) => self.bind(inner, scope, place),
            E::Collate { expr, .. } => self.bind(expr, scope, place),
            E::BinaryOp { left, op, right } => self.binary(expr, left, op, right, scope, place),
            E::UnaryOp { op, expr } => self.unary(*op, expr, scope, place),
            E::IsNull(inner) => self.is_null(inner, false, scope, place),
            E::IsNotNull(inner) => self.is_null(inner, true, scope, place),
            E::IsTrue(inner) => self.is_bool(inner, Function::IsTrue, false, scope, place),
            E::IsNotTrue(inner) => self.is_bool(inner, Function::IsTrue, true, scope, place),
            E::IsFalse(inner) => self.is_bool(inner, Function::IsFalse, false, scope, place),
            E::IsNotFalse(inner) => self.is_bool(inner, Function::IsFalse, true, scope, place),
            E::IsUnknown(inner) => self.is_bool(inner, Function::IsNull, false, scope, place),
            E::IsNotUnknown(inner) => self.is_bool(inner, Function::IsNull, true, scope, place),
            E::IsDistinctFrom(left, right) => self.is_distinct(left, right, true, scope, place),
            E::IsNotDistinctFrom(left, right) => self.is_distinct(left, right, false, scope, place),
            E::InList {
                expr,
                list,
                negated,
            } => {
                let found = self.in_list(expr, list, scope, place)?;
                self.negated_if(*negated, found)
            }
            E::Between {
                expr,
                negated,
                low,
                high,
            } => self.between(expr, low, high, *negated, scope, place),
            E::Like { .. } | E::ILike { .. } | E::SimilarTo { .. } | E::RLike { .. } => {
                self.like(expr, scope, place)
            }
            E::InSubquery { .. } | E::Exists { .. } | E::Subquery(_) => {
                self.subquery(expr, scope, place)
            }
            E::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self.any(left, compare_op, right, scope, place),
            E::AllOp {
                left,
                compare_op: ast::BinaryOperator::NotEq,
                right,
            } => {
                let found = self.any(left, &ast::BinaryOperator::Eq, right, scope, place)?;
                self.negated_if(true, found)
            }
            E::Cast {
                kind: ast::CastKind::Cast | ast::CastKind::DoubleColon,
                expr,
                data_type,
                format: None,
                ..
            } => {
                let bound = self.bind(expr, scope, place)?;
                self.cast(bound, data_type)
            }
            E::TypedString(typed) => {
                let literal = self.value(&typed.value.value, scope)?;
                self.cast(literal, &typed.data_type)
            }
            E::Interval(interval) => self.interval(interval),
            E::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(
                operand.as_deref(),
                conditions,
                else_result.as_deref(),
                scope,
                place,
            ),
            E::Array(array) => {
                let items = self.bind_all(&array.elem, scope, place)?;
                self.array(items)
            }
            E::CompoundFieldAccess { root, access_chain } => {
                self.element(root, access_chain, scope, place)
            }
            E::Function(function) => self.function(function, scope, place),
            _ => self.special_syntax(expr, scope, place),
        }
    }

    pub(super) fn bind_all(
        &self,
        exprs: &[ast::Expr],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Vec<Bound>, SqlError> {
        exprs
            .iter()
            .map(|expr| self.bind(expr, scope, place))
            .collect()
    }

    fn column(&self, idents: &[ast::Ident], scope: &Scope<'_>) -> Result<Bound, SqlError> {
        let names: Vec<String> = idents
            .iter()
            .map(|ident| fold(&ident.value, ident.quote_style))
            .collect();
        let Some((name, qualifier)) = names.split_last() else {
            return Err(SqlError::unsupported("an empty name"));
        };
        let found = scope.find(qualifier, name).map_err(|error| {
            idents
                .first()
                .map_or(error.clone(), |ident| self.at(error, ident.span.start))
        })?;
        let Found { depth, at, column } = found;
        let expr = match depth {
            0 => Expr::Column(at),
            depth => Expr::Outer { depth, column: at },
        };
        Ok(Bound::Typed(expr, column.ty))
    }

    /// The error at a place of the text, when the text is known.
    pub(super) fn at(&self, error: SqlError, location: sqlparser::tokenizer::Location) -> SqlError {
        if self.context.sql.is_empty() || error.position.is_some() {
            return error;
        }
        text::located(error, self.context.sql, location)
    }

    fn value(&self, value: &ast::Value, scope: &Scope<'_>) -> Result<Bound, SqlError> {
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

    /// The expression as one of the type, by an implicit cast where there is one.
    pub(super) fn coerce(&self, bound: Bound, ty: Type) -> Result<Expr, SqlError> {
        match bound {
            Bound::Typed(expr, from) if from == ty => Ok(expr),
            Bound::Typed(expr, from) if casts::is_implicit(from, ty) => {
                Ok(call(Function::Cast(ty), vec![expr], ty))
            }
            Bound::Typed(_, from) => Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!("an expression of type {from} stands where type {ty} is wanted"),
            )),
            Bound::Text(text) => Ok(Expr::Literal(Value::parse(&text, ty)?, ty)),
            Bound::Null => Ok(Expr::Literal(Value::Null, ty)),
            Bound::Element(text) if ty == Type::Text => Ok(text),
            Bound::Element(text) => Ok(call(Function::Cast(ty), vec![text], ty)),
            Bound::Parameter(at) => {
                if let Parameters::Infer(types) = &self.context.parameters
                    && let Some(slot) = types.borrow_mut().get_mut(at)
                {
                    slot.get_or_insert(ty);
                }
                Ok(Expr::Literal(Value::Null, ty))
            }
        }
    }

    /// What nothing has given a type is text.
    pub(super) fn settled(&self, bound: Bound) -> Result<(Expr, Type), SqlError> {
        match bound {
            Bound::Typed(expr, ty) => Ok((expr, ty)),
            other => Ok((self.coerce(other, Type::Text)?, Type::Text)),
        }
    }

    /// The one type that all of them can have.
    pub(super) fn common_type(&self, what: &str, bounds: &[Bound]) -> Result<Type, SqlError> {
        let mut common = None;
        for ty in bounds.iter().filter_map(Bound::ty) {
            common = Some(match common {
                None => ty,
                Some(so_far) => casts::common(so_far, ty).ok_or_else(|| {
                    SqlError::new(
                        SqlState::DatatypeMismatch,
                        format!("{what} types {so_far} and {ty} cannot be matched"),
                    )
                })?,
            });
        }
        Ok(common.unwrap_or(Type::Text))
    }

    pub(super) fn coerce_all(
        &self,
        what: &str,
        bounds: Vec<Bound>,
    ) -> Result<(Vec<Expr>, Type), SqlError> {
        let ty = self.common_type(what, &bounds)?;
        let exprs = bounds
            .into_iter()
            .map(|bound| self.coerce(bound, ty))
            .collect::<Result<_, _>>()?;
        Ok((exprs, ty))
    }

    fn interval(&self, interval: &ast::Interval) -> Result<Bound, SqlError> {
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

    pub(super) fn array(&self, items: Vec<Bound>) -> Result<Bound, SqlError> {
        let (items, _) = self.coerce_all("ARRAY", items)?;
        Ok(called(Function::MakeArray, items, Type::Text))
    }

    /// `array[n]`, `table.array[n]` and `(pair).n`
    fn element(
        &self,
        root: &ast::Expr,
        chain: &[ast::AccessExpr],
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        use ast::AccessExpr::{Dot, Subscript};
        // Without parentheses the dots before a bracket belong to the array's name.
        let mut idents: Vec<ast::Ident> = match root {
            ast::Expr::Identifier(ident) => vec![ident.clone()],
            ast::Expr::CompoundIdentifier(idents) => idents.clone(),
            _ => Vec::new(),
        };
        let mut chain = chain;
        while let ([Dot(ast::Expr::Identifier(part)), rest @ ..], false) =
            (chain, idents.is_empty())
        {
            idents.push(part.clone());
            chain = rest;
        }
        let root = match idents.is_empty() {
            true => self.bind(root, scope, place)?,
            false => self.column(&idents, scope)?,
        };
        match chain {
            [] => Ok(root),
            [Subscript(ast::Subscript::Index { index })] => {
                let array = self.coerce(root, Type::Text)?;
                let index = self.bind_as(index, Type::BigInt, scope, place)?;
                let element = call(Function::ArrayElement, vec![array, index], Type::Text);
                Ok(Bound::Element(element))
            }
            [Dot(ast::Expr::Identifier(field))] => {
                self.field(root, &fold(&field.value, field.quote_style))
            }
            _ => Err(SqlError::unsupported("a field of a composite value")),
        }
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

/// The call as a bound expression, computed when its arguments are constant.
pub(super) fn called(function: Function, arguments: Vec<Expr>, ty: Type) -> Bound {
    Bound::Typed(call(function, arguments, ty), ty)
}

/// The call, computed when its arguments are constant.
pub(super) fn call(function: Function, arguments: Vec<Expr>, ty: Type) -> Expr {
    computed(Expr::Call(function, arguments), ty)
}

/// The literal that the expression always is. An error waits until the expression is evaluated, which a CASE may never do.
pub(super) fn computed(expr: Expr, ty: Type) -> Expr {
    let is_literal = |expr: &Expr| matches!(expr, Expr::Literal(..));
    let constant = match &expr {
        Expr::Call(_, arguments) => arguments.iter().all(is_literal),
        Expr::Matches(input, _) | Expr::In(input, _) => is_literal(input),
        _ => false,
    };
    match constant.then(|| expr.eval(&[])) {
        Some(Ok(value)) => Expr::Literal(value, ty),
        _ => expr,
    }
}
