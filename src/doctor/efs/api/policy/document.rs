//! A policy as it was written, read into what it says. Knows JSON, and nothing of what it means.

use serde_json::{Map, Value};

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What it says, in its order.
    pub statements: Vec<Statement>,
}

/// One thing that it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its name; if it has none, its place: `#2`.
    pub name: String,
    /// Whether it denies; else it allows.
    pub denies: bool,
    /// Whom it is about.
    pub who: Who,
    /// What is done.
    pub actions: Listed,
    /// To what; nothing where it does not say.
    pub resources: Option<Listed>,
    /// Under which conditions: all of them.
    pub conditions: Vec<Condition>,
}

/// Whom a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Whether it is about everybody else.
    pub not: bool,
    /// Accounts, roles, users, or `*`. Services and identity providers are none who mount.
    pub principals: Vec<String>,
}

/// Patterns with `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Whether everything else is meant.
    pub not: bool,
    /// They.
    pub patterns: Vec<String>,
}

/// One key of a request, compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// How: `StringLike`, `BoolIfExists`, `ForAnyValue:ArnLike`, …
    pub operator: String,
    /// What: `aws:SecureTransport`.
    pub key: String,
    /// With what: one of these.
    pub values: Vec<String>,
}

/// Reads one.
///
/// # Errors
/// What of it is no policy.
pub fn read(text: &str) -> Result<Policy, String> {
    let whole: Value =
        serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    let whole = whole.as_object().ok_or("it is no JSON object")?;
    let statements = match whole.get("Statement") {
        None => return Err("it has no `Statement`".to_owned()),
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one) => vec![one],
    };
    let read = |(index, one): (usize, &Value)| {
        let place = format!("#{}", index + 1);
        statement(one, &place).map_err(|why| format!("statement {place} {why}"))
    };
    let statements = statements.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    Ok(Policy { statements })
}

fn statement(value: &Value, place: &str) -> Result<Statement, String> {
    let of = value.as_object().ok_or("is no JSON object")?;
    let name = of.get("Sid").and_then(Value::as_str).filter(|name| !name.is_empty());
    let denies = match of.get("Effect").and_then(Value::as_str) {
        Some("Allow") => false,
        Some("Deny") => true,
        _ => return Err("neither allows nor denies".to_owned()),
    };
    Ok(Statement {
        name: name.unwrap_or(place).to_owned(),
        denies,
        who: who(of)?,
        actions: listed(of, "Action", "NotAction")?.ok_or("has no `Action`")?,
        resources: listed(of, "Resource", "NotResource")?,
        conditions: conditions(of.get("Condition"))?,
    })
}

fn who(of: &Map<String, Value>) -> Result<Who, String> {
    let (not, value) = match (of.get("Principal"), of.get("NotPrincipal")) {
        (Some(value), None) => (false, value),
        (None, Some(value)) => (true, value),
        _ => return Err("has no `Principal`".to_owned()),
    };
    let principals = match value {
        Value::String(all) => vec![all.clone()],
        Value::Object(kinds) => {
            kinds.get("AWS").map_or_else(|| Ok(Vec::new()), |aws| texts(aws, "Principal"))?
        }
        _ => return Err("has a `Principal` that is none".to_owned()),
    };
    Ok(Who { not, principals })
}

fn listed(of: &Map<String, Value>, plain: &str, not: &str) -> Result<Option<Listed>, String> {
    match (of.get(plain), of.get(not)) {
        (Some(value), None) => Ok(Some(Listed { not: false, patterns: texts(value, plain)? })),
        (None, Some(value)) => Ok(Some(Listed { not: true, patterns: texts(value, not)? })),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(format!("has `{plain}` and `{not}`")),
    }
}

fn conditions(value: Option<&Value>) -> Result<Vec<Condition>, String> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (operator, keys) in value.as_object().ok_or("has a `Condition` that is none")? {
        for (key, values) in keys.as_object().ok_or("has a `Condition` without keys")? {
            let values = texts(values, key)?;
            all.push(Condition { operator: operator.clone(), key: key.clone(), values });
        }
    }
    Ok(all)
}

/// One text or several. Numbers and truth are written as such, too.
fn texts(value: &Value, what: &str) -> Result<Vec<String>, String> {
    match value {
        Value::Array(all) => all.iter().map(|one| text(one, what)).collect(),
        one => Ok(vec![text(one, what)?]),
    }
}

fn text(value: &Value, what: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        _ => Err(format!("has a `{what}` that is no text")),
    }
}
