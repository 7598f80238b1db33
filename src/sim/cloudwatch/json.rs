//! The same values in JSON, which has no moments: they are numbers there.

use serde_json::Number;

use super::cbor::Value;

/// What was sent; nothing if it is not JSON.
pub(super) fn decode(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().map(value)
}

/// A value that was said in JSON.
pub(super) fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(yes) => Value::Bool(yes),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Whole(number),
            None => Value::Number(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(value).collect()),
        serde_json::Value::Object(members) => {
            Value::Map(members.into_iter().map(|(name, it)| (name, value(it))).collect())
        }
    }
}

/// As it is sent.
pub(super) fn encoded(value: &Value) -> serde_json::Value {
    let number = |number: f64| Number::from_f64(number).map_or(serde_json::Value::Null, Into::into);
    match value {
        Value::Null | Value::Bytes(_) => serde_json::Value::Null,
        Value::Bool(yes) => (*yes).into(),
        Value::Whole(whole) => (*whole).into(),
        Value::Number(it) | Value::Moment(it) => number(*it),
        Value::Text(text) => text.clone().into(),
        Value::List(items) => items.iter().map(encoded).collect(),
        Value::Map(members) => {
            members.iter().map(|(name, it)| (name.clone(), encoded(it))).collect()
        }
    }
}
