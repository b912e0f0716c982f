//! Types by their SQL names, which type turns into which without being asked, and casts that are asked for.

use sqlparser::ast;

use super::bind::Binder;
use super::bound::{Bound, call, called};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::{Expr, Function};
use crate::engine::value::{Type, Value};

/// What a cast's target is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A type of the engine.
    Type(Type),
    /// An integer of so many bits: a bigint that must fit.
    Integer(u32),
    /// Text of at most so many characters: longer text is cut off.
    Characters(u64),
    /// A type that only names objects of the catalog: `regclass` and its kind.
    Object(String),
    /// An array, in its text form.
    Array,
}

impl Target {
    /// The type of the cast's result; an object's depends on what is cast.
    pub(super) fn ty(&self) -> Type {
        match self {
            Target::Type(ty) => *ty,
            Target::Integer(_) => Type::BigInt,
            Target::Characters(_) | Target::Array | Target::Object(_) => Type::Text,
        }
    }
}

/// The target that a cast names, and what a column that it makes is called when nothing better is known.
pub(super) fn target(data_type: &ast::DataType) -> Result<(Target, &'static str), SqlError> {
    let written = data_type.to_string().to_lowercase();
    let plain = written
        .strip_prefix("pg_catalog.")
        .unwrap_or(&written)
        .replace('"', "");
    if plain.ends_with(']') {
        return Ok((Target::Array, "array"));
    }
    let (name, modifier) = match plain.split_once('(') {
        Some((name, rest)) => {
            let (modifier, tail) = rest.split_once(')').unwrap_or((rest, ""));
            (format!("{}{tail}", name.trim_end()), Some(modifier))
        }
        None => (plain, None),
    };
    let ty = |ty, name| Ok((Target::Type(ty), name));
    match name.as_str() {
        "bool" | "boolean" => ty(Type::Bool, "bool"),
        "bigint" | "int8" => ty(Type::BigInt, "int8"),
        "int" | "integer" | "int4" => Ok((Target::Integer(32), "int4")),
        "smallint" | "int2" => Ok((Target::Integer(16), "int2")),
        "oid" | "xid" | "cid" => ty(Type::BigInt, "oid"),
        "double precision" | "double" | "float8" | "float" | "real" | "float4" => {
            ty(Type::Double, "float8")
        }
        "numeric" | "decimal" | "dec" => match modifier {
            None => ty(Type::Numeric, "numeric"),
            Some(_) => Err(SqlError::unsupported("a numeric type with a precision")),
        },
        "text" | "name" | "json" | "jsonb" | "uuid" | "bytea" | "unknown" | "cstring"
        | "string" => ty(Type::Text, "text"),
        "varchar" | "character varying" | "char varying" => match modifier {
            None => ty(Type::Text, "varchar"),
            Some(modifier) => Ok((Target::Characters(length(modifier)?), "varchar")),
        },
        "char" | "character" | "bpchar" => match modifier {
            // psql casts to "char", which is one byte of pg_catalog.
            None => ty(Type::Text, "char"),
            Some(modifier) => Ok((Target::Characters(length(modifier)?), "bpchar")),
        },
        "timestamptz" | "timestamp with time zone" => ty(Type::TimestampTz, "timestamptz"),
        "timestamp" | "timestamp without time zone" => ty(Type::Timestamp, "timestamp"),
        "date" => ty(Type::Date, "date"),
        "interval" => ty(Type::Interval, "interval"),
        "int2vector" | "oidvector" => Ok((Target::Array, "array")),
        "regclass" | "regtype" | "regproc" | "regprocedure" | "regoper" | "regnamespace"
        | "regrole" => Ok((Target::Object(name), "regclass")),
        "time" | "time without time zone" | "timetz" | "time with time zone" => {
            Err(SqlError::unsupported(format_args!("type {name}")))
        }
        _ => Err(SqlError::new(
            SqlState::UndefinedObject,
            format!("type \"{written}\" does not exist"),
        )),
    }
}

fn length(modifier: &str) -> Result<u64, SqlError> {
    modifier
        .trim()
        .parse()
        .ok()
        .filter(|length| *length > 0)
        .ok_or_else(|| {
            SqlError::new(
                SqlState::InvalidParameterValue,
                format!("length \"{modifier}\" of a character type is no positive number"),
            )
        })
}

/// The type that a parameter or a column declared so has.
pub(super) fn declared(data_type: &ast::DataType) -> Result<Type, SqlError> {
    target(data_type).map(|(target, _)| target.ty())
}

/// A value of `from` stands where `to` is wanted without a cast being written.
pub(super) fn is_implicit(from: Type, to: Type) -> bool {
    from == to
        || matches!(
            (from, to),
            (Type::BigInt, Type::Numeric | Type::Double)
                | (Type::Numeric, Type::Double)
                | (Type::Date, Type::Timestamp | Type::TimestampTz)
                | (Type::Timestamp, Type::TimestampTz)
        )
}

/// A cast from one type to the other exists when it is written.
pub(super) fn is_explicit(from: Type, to: Type) -> bool {
    use Type::{BigInt, Bool, Date, Double, Numeric, Text, Timestamp, TimestampTz};
    is_implicit(from, to)
        || from == Text
        || to == Text
        || matches!(
            (from, to),
            (Bool, BigInt)
                | (BigInt, Bool)
                | (Numeric, BigInt)
                | (Double, BigInt | Numeric)
                | (TimestampTz, Timestamp | Date)
                | (Timestamp, Date)
        )
}

/// The type that values of both turn into without a cast.
pub(super) fn common(left: Type, right: Type) -> Option<Type> {
    if is_implicit(left, right) {
        Some(right)
    } else if is_implicit(right, left) {
        Some(left)
    } else {
        None
    }
}

impl Binder<'_> {
    /// A cast that was written.
    pub(super) fn cast(&self, bound: Bound, data_type: &ast::DataType) -> Result<Bound, SqlError> {
        let (target, _) = target(data_type)?;
        let ty = target.ty();
        Ok(match target {
            Target::Type(_) => Bound::Typed(self.explicit(bound, ty)?, ty),
            Target::Integer(bits) => {
                let int = self.explicit(bound, Type::BigInt)?;
                called(Function::FitsBits(bits), vec![int], ty)
            }
            Target::Characters(length) => {
                let text = self.explicit(bound, Type::Text)?;
                let length = i64::try_from(length).unwrap_or(i64::MAX);
                let length = Expr::Literal(Value::BigInt(length), Type::BigInt);
                called(Function::Left, vec![text, length], ty)
            }
            Target::Array => Bound::Typed(self.explicit(bound, Type::Text)?, ty),
            Target::Object(name) => self.object(bound, &name)?,
        })
    }

    /// `'pg_class'::regclass` is the object's number, `1259::regclass` its name.
    fn object(&self, bound: Bound, ty: &str) -> Result<Bound, SqlError> {
        let by_number = bound.ty() == Some(Type::BigInt);
        let function = if by_number {
            format!("{ty}out")
        } else {
            format!("to_{ty}")
        };
        match self.context.relations.function(&function, 1) {
            Some(body) => {
                let (expr, from) = self.settled(bound)?;
                self.sql_function(&body, vec![Bound::Typed(expr, from)])
            }
            None => Err(SqlError::unsupported(format_args!("type {ty}"))),
        }
    }

    /// The expression, cast to the type.
    pub(super) fn explicit(&self, bound: Bound, ty: Type) -> Result<Expr, SqlError> {
        match bound {
            Bound::Typed(expr, from) if from == ty => Ok(expr),
            Bound::Typed(expr, from) if is_explicit(from, ty) => {
                Ok(call(Function::Cast(ty), vec![expr], ty))
            }
            Bound::Typed(_, from) => Err(SqlError::new(
                SqlState::CannotCoerce,
                format!("cannot cast type {from} to {ty}"),
            )),
            untyped => self.coerce(untyped, ty),
        }
    }
}
