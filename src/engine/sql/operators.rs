//! Operators: which function each is for the types at hand.

use std::sync::Arc;

use sqlparser::ast::{self, BinaryOperator as Op, UnaryOperator};

use super::bind::{Binder, Place};
use super::bound::{Bound, call, called, computed};
use super::casts;
use super::scope::Scope;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function, Pattern, PatternKind};
use crate::engine::value::{Type, Value};

/// LIKE's escape character when none is given.
const ESCAPE_DEFAULT: char = '\\';

/// The comparison that an operator is.
pub(super) fn comparison(op: &Op) -> Option<Function> {
    Some(match op {
        Op::Eq => Function::Equal,
        Op::NotEq => Function::NotEqual,
        Op::Lt => Function::Less,
        Op::LtEq => Function::LessOrEqual,
        Op::Gt => Function::Greater,
        Op::GtEq => Function::GreaterOrEqual,
        _ => return None,
    })
}

fn pattern(op: &Op) -> Option<(PatternKind, bool)> {
    let like = |ignore_case| PatternKind::Like {
        escape: Some(ESCAPE_DEFAULT),
        ignore_case,
    };
    let regex = |ignore_case| PatternKind::Regex { ignore_case };
    Some(match op {
        Op::PGLikeMatch => (like(false), false),
        Op::PGILikeMatch => (like(true), false),
        Op::PGNotLikeMatch => (like(false), true),
        Op::PGNotILikeMatch => (like(true), true),
        Op::PGRegexMatch => (regex(false), false),
        Op::PGRegexIMatch => (regex(true), false),
        Op::PGRegexNotMatch => (regex(false), true),
        Op::PGRegexNotIMatch => (regex(true), true),
        _ => return None,
    })
}

/// `OPERATOR(pg_catalog.~)` is `~`.
fn named_operator(parts: &[String]) -> Option<Op> {
    Some(match parts.last()?.as_str() {
        "=" => Op::Eq,
        "<>" => Op::NotEq,
        "<" => Op::Lt,
        "<=" => Op::LtEq,
        ">" => Op::Gt,
        ">=" => Op::GtEq,
        "+" => Op::Plus,
        "-" => Op::Minus,
        "*" => Op::Multiply,
        "/" => Op::Divide,
        "%" => Op::Modulo,
        "||" => Op::StringConcat,
        "~" => Op::PGRegexMatch,
        "~*" => Op::PGRegexIMatch,
        "!~" => Op::PGRegexNotMatch,
        "!~*" => Op::PGRegexNotIMatch,
        "~~" => Op::PGLikeMatch,
        "~~*" => Op::PGILikeMatch,
        "!~~" => Op::PGNotLikeMatch,
        "!~~*" => Op::PGNotILikeMatch,
        _ => return None,
    })
}

/// The members of a chain of AND, or of OR, from left to right. The tree of a chain leans to the left, as deep as it is long.
pub(super) fn chain<'e>(expr: &'e ast::Expr, link: &Op) -> Vec<&'e ast::Expr> {
    let mut members = Vec::new();
    let mut rest = expr;
    loop {
        match rest {
            ast::Expr::BinaryOp { left, op, right } if op == link => {
                members.push(right.as_ref());
                rest = left;
            }
            _ => {
                members.push(rest);
                members.reverse();
                return members;
            }
        }
    }
}

impl Binder<'_> {
    pub(super) fn binary(
        &self,
        whole: &ast::Expr,
        left: &ast::Expr,
        op: &Op,
        right: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let resolved;
        let op = match op {
            Op::PGCustomBinaryOperator(parts) => {
                resolved = named_operator(parts)
                    .ok_or_else(|| SqlError::unsupported(format_args!("operator {op}")))?;
                &resolved
            }
            op => op,
        };
        if let Some((function, clause)) = match op {
            Op::And => Some((Function::And, "AND")),
            Op::Or => Some((Function::Or, "OR")),
            _ => None,
        } {
            let members = chain(whole, op)
                .into_iter()
                .map(|member| {
                    let member = self.bind(member, scope, place)?;
                    self.boolean(member, clause)
                })
                .collect::<Result<Vec<_>, _>>()?;
            return Ok(connected(function, members));
        }
        let left = self.bind(left, scope, place)?;
        let right = self.bind(right, scope, place)?;
        if let Some(function) = comparison(op) {
            return self.compare(function, left, right);
        }
        if let Some((kind, negated)) = pattern(op) {
            let matched = self.matched(kind, left, right, op)?;
            return self.negated_if(negated, matched);
        }
        match op {
            Op::Plus => self.arithmetic(Function::Add, op, left, right),
            Op::Minus => self.arithmetic(Function::Subtract, op, left, right),
            Op::Multiply => self.arithmetic(Function::Multiply, op, left, right),
            Op::Divide => self.arithmetic(Function::Divide, op, left, right),
            Op::Modulo => self.arithmetic(Function::Modulo, op, left, right),
            Op::BitwiseAnd => self.arithmetic(Function::BitAnd, op, left, right),
            Op::BitwiseOr => self.arithmetic(Function::BitOr, op, left, right),
            Op::StringConcat => self.concat(left, right),
            Op::PGStartsWith => {
                let arguments = vec![
                    self.coerce(left, Type::Text)?,
                    self.coerce(right, Type::Text)?,
                ];
                Ok(called(Function::StartsWith, arguments, Type::Bool))
            }
            other => Err(SqlError::unsupported(format_args!("operator {other}"))),
        }
    }

    /// A comparison of two values of one type.
    pub(super) fn compare(
        &self,
        function: Function,
        left: Bound,
        right: Bound,
    ) -> Result<Bound, SqlError> {
        let ty = match (left.ty(), right.ty()) {
            (Some(left_ty), Some(right_ty)) => {
                casts::common(left_ty, right_ty).ok_or_else(|| {
                    let symbol = match function {
                        Function::NotEqual => "<>",
                        Function::Less => "<",
                        Function::LessOrEqual => "<=",
                        Function::Greater => ">",
                        Function::GreaterOrEqual => ">=",
                        _ => "=",
                    };
                    no_operator(symbol, &left, &right)
                })?
            }
            (Some(ty), None) | (None, Some(ty)) => ty,
            (None, None) => Type::Text,
        };
        let arguments = vec![self.coerce(left, ty)?, self.coerce(right, ty)?];
        Ok(called(function, arguments, Type::Bool))
    }

    fn arithmetic(
        &self,
        function: Function,
        op: &Op,
        left: Bound,
        right: Bound,
    ) -> Result<Bound, SqlError> {
        use Function::{Add, BitAnd, BitOr, Divide, Modulo, Multiply, Subtract};
        use Type::{BigInt, Date, Double, Interval, Numeric, Timestamp, TimestampTz};
        let is_moment = |ty| matches!(ty, Date | Timestamp | TimestampTz);
        // A date with an interval added may be any time of that day.
        let timed = |ty| if ty == Date { Timestamp } else { ty };
        let is_number = |ty| matches!(ty, BigInt | Numeric | Double);
        // What has no type takes the other side's, except beside a point in time and an interval.
        let (left_ty, right_ty) = match (left.ty(), right.ty()) {
            (None, None) => return Err(no_operator(&op.to_string(), &left, &right)),
            (Some(ty @ (Timestamp | TimestampTz)), None) if function == Add => (ty, Interval),
            (None, Some(ty @ (Timestamp | TimestampTz))) if function == Add => (Interval, ty),
            (Some(Interval), None) if matches!(function, Multiply | Divide) => (Interval, Double),
            (None, Some(Interval)) if function == Multiply => (Double, Interval),
            (Some(ty), None) | (None, Some(ty)) => (ty, ty),
            (Some(left), Some(right)) => (left, right),
        };
        let (left_ty, right_ty, result) = match (function, left_ty, right_ty) {
            (BitAnd | BitOr, BigInt, BigInt) => (BigInt, BigInt, BigInt),
            (BitAnd | BitOr, ..) => return Err(no_operator(&op.to_string(), &left, &right)),
            (_, a, b) if is_number(a) && is_number(b) => {
                let ty = casts::common(a, b).unwrap_or(Double);
                if function == Modulo && ty == Double {
                    return Err(no_operator(&op.to_string(), &left, &right));
                }
                (ty, ty, ty)
            }
            (Add | Subtract, Date, BigInt) => (Date, BigInt, Date),
            (Add, BigInt, Date) => (BigInt, Date, Date),
            (Subtract, Date, Date) => (Date, Date, BigInt),
            (Add | Subtract, a, Interval) if is_moment(a) => (timed(a), Interval, timed(a)),
            (Add, Interval, b) if is_moment(b) => (Interval, timed(b), timed(b)),
            (Subtract, a, b) if is_moment(a) && is_moment(b) => {
                let ty = casts::common(a, b).unwrap_or(TimestampTz);
                (ty, ty, Interval)
            }
            (Add | Subtract, Interval, Interval) => (Interval, Interval, Interval),
            (Multiply | Divide, Interval, number) if is_number(number) => {
                (Interval, Double, Interval)
            }
            (Multiply, number, Interval) if is_number(number) => (Double, Interval, Interval),
            _ => return Err(no_operator(&op.to_string(), &left, &right)),
        };
        let arguments = vec![self.coerce(left, left_ty)?, self.coerce(right, right_ty)?];
        Ok(called(function, arguments, result))
    }

    /// `||`: one side must be text, the other becomes it.
    fn concat(&self, left: Bound, right: Bound) -> Result<Bound, SqlError> {
        let is_text = |bound: &Bound| matches!(bound.ty(), None | Some(Type::Text));
        if !is_text(&left) && !is_text(&right) {
            return Err(no_operator("||", &left, &right));
        }
        let arguments = vec![self.as_text(left)?, self.as_text(right)?];
        Ok(called(Function::Concat, arguments, Type::Text))
    }

    /// The value as a text, of whatever type it is.
    pub(super) fn as_text(&self, bound: Bound) -> Result<Expr, SqlError> {
        match bound {
            Bound::Typed(expr, ty) if ty != Type::Text => {
                Ok(call(Function::Cast(Type::Text), vec![expr], Type::Text))
            }
            other => self.coerce(other, Type::Text),
        }
    }

    fn matched(
        &self,
        kind: PatternKind,
        text: Bound,
        pattern: Bound,
        op: &Op,
    ) -> Result<Bound, SqlError> {
        let is_text = |bound: &Bound| matches!(bound.ty(), None | Some(Type::Text));
        if !is_text(&text) || !is_text(&pattern) {
            return Err(no_operator(&op.to_string(), &text, &pattern));
        }
        let text = self.coerce(text, Type::Text)?;
        match self.coerce(pattern, Type::Text)? {
            Expr::Literal(Value::Text(pattern), _) => {
                let pattern = Arc::new(Pattern::new(kind, &pattern)?);
                let matched = Expr::Matches(Box::new(text), pattern);
                Ok(Bound::Typed(computed(matched, Type::Bool), Type::Bool))
            }
            pattern => Ok(called(
                Function::Match(kind),
                vec![text, pattern],
                Type::Bool,
            )),
        }
    }

    pub(super) fn like(
        &self,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        let (negated, any, text, pattern, escape, ignore_case) = match expr {
            ast::Expr::Like {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            } => (*negated, *any, expr, pattern, escape_char, false),
            ast::Expr::ILike {
                negated,
                any,
                expr,
                pattern,
                escape_char,
            } => (*negated, *any, expr, pattern, escape_char, true),
            _ => return Err(SqlError::unsupported("SIMILAR TO")),
        };
        if any {
            return Err(SqlError::unsupported("LIKE ANY"));
        }
        let escape = match escape {
            None => Some(ESCAPE_DEFAULT),
            Some(escape) => self.escape(escape, scope, place)?,
        };
        let kind = PatternKind::Like {
            escape,
            ignore_case,
        };
        let op = match ignore_case {
            false => Op::PGLikeMatch,
            true => Op::PGILikeMatch,
        };
        let text = self.bind(text, scope, place)?;
        let pattern = self.bind(pattern, scope, place)?;
        let matched = self.matched(kind, text, pattern, &op)?;
        self.negated_if(negated, matched)
    }

    /// ESCAPE's character; none for an empty text.
    fn escape(
        &self,
        escape: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Option<char>, SqlError> {
        let escape = self.bind_as(escape, Type::Text, scope, place)?;
        let Expr::Literal(Value::Text(escape), _) = escape else {
            return Err(SqlError::unsupported("ESCAPE that is not constant"));
        };
        let mut chars = escape.chars();
        match (chars.next(), chars.next()) {
            (escape, None) => Ok(escape),
            _ => Err(SqlError::new(
                SqlState::InvalidEscapeSequence,
                "escape string must be empty or one character",
            )),
        }
    }

    pub(super) fn unary(
        &self,
        op: UnaryOperator,
        expr: &ast::Expr,
        scope: &Scope<'_>,
        place: &Place<'_>,
    ) -> Result<Bound, SqlError> {
        if op == UnaryOperator::Minus
            && let ast::Expr::Value(value) = expr
            && let ast::Value::Number(digits, false) = &value.value
        {
            // The smallest bigint is a literal whose digits alone do not fit.
            if let Ok(int) = format!("-{digits}").parse() {
                return Ok(Bound::constant(Value::BigInt(int), Type::BigInt));
            }
        }
        let bound = self.bind(expr, scope, place)?;
        match op {
            UnaryOperator::Not => {
                let inner = self.boolean(bound, "NOT")?;
                Ok(called(Function::Not, vec![inner], Type::Bool))
            }
            UnaryOperator::Plus | UnaryOperator::Minus => {
                let ty = match bound.ty() {
                    None => Type::Double,
                    Some(ty @ (Type::BigInt | Type::Numeric | Type::Double)) => ty,
                    Some(Type::Interval) if op == UnaryOperator::Minus => Type::Interval,
                    Some(other) => {
                        return Err(SqlError::new(
                            SqlState::UndefinedFunction,
                            format!("operator does not exist: {op} {other}"),
                        ));
                    }
                };
                let inner = self.coerce(bound, ty)?;
                Ok(match op {
                    UnaryOperator::Plus => Bound::Typed(inner, ty),
                    _ => called(Function::Negate, vec![inner], ty),
                })
            }
            other => Err(SqlError::unsupported(format_args!("operator {other}"))),
        }
    }
}

/// AND and OR of conditions: nested ones of the same kind are taken apart.
pub(super) fn connected(function: Function, members: Vec<Expr>) -> Bound {
    let mut flat = Vec::with_capacity(members.len());
    for member in members {
        match member {
            Expr::Call(inner, arguments) if inner == function => flat.extend(arguments),
            other => flat.push(other),
        }
    }
    called(function, flat, Type::Bool)
}

fn no_operator(symbol: &str, left: &Bound, right: &Bound) -> SqlError {
    let symbol = match symbol {
        "~~" => "LIKE",
        "~~*" => "ILIKE",
        other => other,
    };
    SqlError::new(
        SqlState::UndefinedFunction,
        format!(
            "operator does not exist: {} {symbol} {}",
            left.type_name(),
            right.type_name()
        ),
    )
    .hint("You might need to add explicit type casts.")
}
