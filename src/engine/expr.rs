//! Scalar expressions over the values of one row: SQL's three-valued logic, and Postgres' errors where it has them.

use super::error::SqlError;
use super::value::{Type, Value};

/// An expression whose columns are resolved and whose types fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expr {
    /// A column of the input, by position.
    Column(usize),
    /// A constant and its type (NULL has one too).
    Literal(Value, Type),
    /// A function or an operator applied to its arguments.
    Call(Function, Vec<Expr>),
}

/// The functions and operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `a = b`
    Equal,
    /// `a AND b AND ...`
    And,
    /// `a OR b OR ...`
    Or,
    /// `NOT a`
    Not,
    /// `a IS NULL`
    IsNull,
}

impl Expr {
    /// The expression's value over one row.
    ///
    /// # Errors
    /// What Postgres calls an error: a division by zero, an overflow, a cast of text that has not the type's form.
    pub fn eval(&self, row: &[Value]) -> Result<Value, SqlError> {
        match self {
            Expr::Column(at) => Ok(row[*at].clone()),
            Expr::Literal(value, _) => Ok(value.clone()),
            Expr::Call(function, arguments) => function.eval(arguments, row),
        }
    }
}

impl Function {
    fn eval(self, arguments: &[Expr], row: &[Value]) -> Result<Value, SqlError> {
        match self {
            Function::Equal => {
                let (left, right) = (arguments[0].eval(row)?, arguments[1].eval(row)?);
                Ok(match (&left, &right) {
                    (Value::Null, _) | (_, Value::Null) => Value::Null,
                    _ => Value::Bool(left == right),
                })
            }
            Function::And => any_decides(arguments, row, false),
            Function::Or => any_decides(arguments, row, true),
            Function::Not => Ok(match arguments[0].eval(row)? {
                Value::Bool(bool) => Value::Bool(!bool),
                other => other,
            }),
            Function::IsNull => Ok(Value::Bool(arguments[0].eval(row)? == Value::Null)),
        }
    }
}

/// AND and OR: one argument equal to `decisive` decides; otherwise a NULL leaves it unknown.
fn any_decides(arguments: &[Expr], row: &[Value], decisive: bool) -> Result<Value, SqlError> {
    let mut answer = Value::Bool(!decisive);
    for argument in arguments {
        match argument.eval(row)? {
            Value::Bool(bool) if bool == decisive => return Ok(Value::Bool(decisive)),
            Value::Null => answer = Value::Null,
            _ => {}
        }
    }
    Ok(answer)
}
