//! The functions whose arguments have fixed types: a table, and how a call finds its entry.

use super::bind::Binder;
use super::bound::{Bound, called};
use super::casts;
use super::context::closest;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::expr::Function;
use crate::engine::value::Type::{self, BigInt, Bool, Double, Numeric, Text};

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
    of("floor", &[Double], Double, Function::Floor),
    of("floor", &[Numeric], Numeric, Function::Floor),
    of("ceil", &[Double], Double, Function::Ceil),
    of("ceil", &[Numeric], Numeric, Function::Ceil),
    of("ceiling", &[Double], Double, Function::Ceil),
    of("ceiling", &[Numeric], Numeric, Function::Ceil),
    of("round", &[Double], Double, Function::Round),
    of("round", &[Numeric], Numeric, Function::Round),
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
    /// The function of the table whose types fit best; or one that is defined by SQL.
    pub(super) fn overloaded(&self, name: &str, arguments: Vec<Bound>) -> Result<Bound, SqlError> {
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
