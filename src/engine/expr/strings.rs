//! Functions of text, and arrays in their text form (`{a,b}`), which is how the catalog's few arrays travel here.

use std::cmp::Ordering;

use super::{Function, mistyped, three_valued};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value::Value;

/// The longest text that a function may make, in bytes: as much as a value on the wire may have in Materialize. A longer one is an
/// error (54000), so that doubling a text in each of a view's expressions cannot fill the memory.
const TEXT_BYTES_MAX: usize = 16 << 20;

pub(super) fn unary(function: Function, value: &Value) -> Result<Value, SqlError> {
    let Value::Text(text) = value else {
        return Err(mistyped(function));
    };
    Ok(match function {
        Function::Lower => Value::Text(text.to_lowercase().into()),
        Function::Upper => Value::Text(text.to_uppercase().into()),
        Function::Length => Value::BigInt(text.chars().count() as i64),
        Function::QuoteIdent => Value::Text(quote_ident(text).into()),
        Function::ArrayLength => match array_items(text) {
            items if items.is_empty() => Value::Null,
            items => Value::BigInt(items.len() as i64),
        },
        _ => return Err(mistyped(function)),
    })
}

pub(super) fn binary(function: Function, left: &Value, right: &Value) -> Result<Value, SqlError> {
    if let (Function::EqualsAny(ty), Value::Text(array)) = (function, right) {
        return equals_any(left, array, ty);
    }
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => text_and_text(function, left, right),
        (Value::Text(text), Value::BigInt(count)) => text_and_count(function, text, *count),
        _ => Err(mistyped(function)),
    }
}

fn text_and_text(function: Function, left: &str, right: &str) -> Result<Value, SqlError> {
    Ok(match function {
        Function::Concat => {
            bounded(left.len() + right.len())?;
            Value::Text([left, right].concat().into())
        }
        Function::Position => Value::BigInt(match left.find(right) {
            Some(byte) => left[..byte].chars().count() as i64 + 1,
            None => 0,
        }),
        Function::StartsWith => Value::Bool(left.starts_with(right)),
        Function::Trim => Value::Text(left.trim_matches(|c| right.contains(c)).into()),
        Function::TrimStart => Value::Text(left.trim_start_matches(|c| right.contains(c)).into()),
        Function::TrimEnd => Value::Text(left.trim_end_matches(|c| right.contains(c)).into()),
        Function::ArrayToString => {
            let items: Vec<String> = array_items(left).into_iter().flatten().collect();
            Value::Text(items.join(right).into())
        }
        _ => return Err(mistyped(function)),
    })
}

fn text_and_count(function: Function, text: &str, count: i64) -> Result<Value, SqlError> {
    let length = || text.chars().count() as i64;
    Ok(match function {
        // A negative count leaves out so many at the other end.
        Function::Left if count >= 0 => characters(text, 0, count),
        Function::Left => characters(text, 0, length().saturating_add(count).max(0)),
        Function::Right if count >= 0 => characters(text, (length() - count).max(0), i64::MAX),
        Function::Right => characters(text, count.saturating_neg(), i64::MAX),
        Function::Substring => substring(text, count, None)?,
        Function::ArrayElement => usize::try_from(count - 1)
            .ok()
            .and_then(|at| array_items(text).into_iter().nth(at).flatten())
            .map_or(Value::Null, |item| Value::Text(item.into())),
        _ => return Err(mistyped(function)),
    })
}

pub(super) fn many(function: Function, values: &[Value]) -> Result<Value, SqlError> {
    match (function, values) {
        (
            Function::Substring,
            [
                Value::Text(text),
                Value::BigInt(start),
                Value::BigInt(count),
            ],
        ) => substring(text, *start, Some(*count)),
        (Function::Replace, [Value::Text(text), Value::Text(from), Value::Text(to)]) => {
            if from.is_empty() {
                return Ok(Value::Text(text.clone()));
            }
            let found = text.matches(&**from).count();
            bounded(text.len() + found * to.len())?;
            Ok(Value::Text(text.replace(&**from, to).into()))
        }
        (Function::SplitPart, [Value::Text(text), Value::Text(separator), Value::BigInt(at)]) => {
            split_part(text, separator, *at)
        }
        (
            Function::ArrayToString,
            [
                Value::Text(array),
                Value::Text(separator),
                Value::Text(null),
            ],
        ) => {
            let items: Vec<String> = array_items(array)
                .into_iter()
                .map(|item| item.unwrap_or_else(|| null.to_string()))
                .collect();
            Ok(Value::Text(items.join(separator).into()))
        }
        _ => Err(mistyped(function)),
    }
}

fn bounded(bytes: usize) -> Result<(), SqlError> {
    if bytes > TEXT_BYTES_MAX {
        return Err(SqlError::new(
            SqlState::ProgramLimitExceeded,
            format!("text of {bytes} bytes is longer than the limit of {TEXT_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

/// `count` characters after the first `skip`.
fn characters(text: &str, skip: i64, count: i64) -> Value {
    let byte_of = |text: &str, characters: i64| match usize::try_from(characters) {
        Ok(characters) => text
            .char_indices()
            .nth(characters)
            .map_or(text.len(), |(at, _)| at),
        Err(_) => 0,
    };
    let rest = &text[byte_of(text, skip)..];
    Value::Text(rest[..byte_of(rest, count)].into())
}

/// SQL's substring: positions count from 1, and what lies before 1 counts but is not there.
fn substring(text: &str, start: i64, count: Option<i64>) -> Result<Value, SqlError> {
    let end = match count {
        Some(count) if count < 0 => {
            return Err(SqlError::new(
                SqlState::SubstringError,
                "negative substring length not allowed",
            ));
        }
        Some(count) => start.saturating_add(count),
        None => i64::MAX,
    };
    let start = start.max(1);
    Ok(characters(
        text,
        start - 1,
        end.saturating_sub(start).max(0),
    ))
}

fn split_part(text: &str, separator: &str, at: i64) -> Result<Value, SqlError> {
    if at == 0 {
        return Err(SqlError::new(
            SqlState::InvalidParameterValue,
            "field position must not be zero",
        ));
    }
    let parts: Vec<&str> = if separator.is_empty() {
        vec![text]
    } else {
        text.split(separator).collect()
    };
    let index = if at > 0 {
        usize::try_from(at - 1).ok()
    } else {
        usize::try_from(at.unsigned_abs())
            .ok()
            .and_then(|back| parts.len().checked_sub(back))
    };
    let part = index.and_then(|index| parts.get(index)).unwrap_or(&"");
    Ok(Value::Text((*part).into()))
}

/// An identifier, in quotes where SQL needs them.
fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// `value = ANY (array)`: true for an equal element, else unknown when one of them is NULL.
fn equals_any(
    value: &Value,
    array: &str,
    ty: crate::engine::value::Type,
) -> Result<Value, SqlError> {
    let mut answer = Some(false);
    for item in array_items(array) {
        let Some(item) = item else {
            answer = None;
            continue;
        };
        if value.sql_cmp(&Value::parse(&item, ty)?) == Some(Ordering::Equal) {
            return Ok(Value::Bool(true));
        }
    }
    Ok(three_valued(answer))
}

/// `{a,"b c",NULL}`
pub(crate) fn array_text<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let mut text = String::from("{");
    for (at, value) in values.enumerate() {
        if at > 0 {
            text.push(',');
        }
        match value.text() {
            None => text.push_str("NULL"),
            Some(item) => push_item(&mut text, &item),
        }
    }
    text.push('}');
    text
}

fn push_item(text: &mut String, item: &str) {
    let special = |c: char| c.is_whitespace() || "{},\"\\".contains(c);
    if !item.is_empty() && !item.eq_ignore_ascii_case("null") && !item.contains(special) {
        text.push_str(item);
        return;
    }
    text.push('"');
    for c in item.chars() {
        if matches!(c, '"' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    text.push('"');
}

/// The elements of an array of one dimension; text without braces (an `int2vector`) is split at its spaces.
pub(crate) fn array_items(text: &str) -> Vec<Option<String>> {
    let Some(inner) = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    else {
        return text
            .split_ascii_whitespace()
            .map(|item| Some(item.to_owned()))
            .collect();
    };
    if inner.is_empty() {
        return Vec::new();
    }
    let mut items = Vec::new();
    let mut item = String::new();
    let (mut quoted, mut was_quoted) = (false, false);
    let mut chars = inner.chars();
    let mut finish = |item: &mut String, was_quoted: &mut bool| {
        let text = std::mem::take(item);
        let is_null = !std::mem::take(was_quoted) && text.eq_ignore_ascii_case("null");
        items.push((!is_null).then_some(text));
    };
    while let Some(next) = chars.next() {
        match next {
            '\\' => item.extend(chars.next()),
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => finish(&mut item, &mut was_quoted),
            other => item.push(other),
        }
    }
    finish(&mut item, &mut was_quoted);
    items
}
