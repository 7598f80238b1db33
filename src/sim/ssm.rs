//! Systems Manager's Parameter Store, JSON 1.1: reading only.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::account::{ACCOUNT_ID, Account, REGION};
use super::http::{Reply, Request};
use super::parameters::{Kind, Parameter};
use super::random;
use super::timeline::Milestone;

/// One call may name this many parameters.
const NAMES_LIMIT: usize = 10;

/// Answers one signed request.
pub fn answer(account: &Account, caller: &str, request: &Request, operation: &str) -> Reply {
    let Ok(input) = serde_json::from_slice::<Value>(&request.body) else {
        return error("SerializationException", "The request body is not a JSON object.");
    };
    let result = match operation {
        "GetParameters" => get_parameters(account, caller, &input),
        "GetParameter" => get_parameter(account, caller, &input),
        _ => Err(error("UnknownOperationException", "")),
    };
    result.unwrap_or_else(|refusal| refusal)
}

/// An error in the shape of this protocol.
pub fn error(kind: &str, message: &str) -> Reply {
    let body = if message.is_empty() {
        json!({ "__type": kind })
    } else {
        json!({ "__type": kind, "message": message })
    };
    reply(400, &body)
}

fn get_parameters(account: &Account, caller: &str, input: &Value) -> Result<Reply, Reply> {
    let names = input["Names"].as_array().filter(|names| names.iter().all(Value::is_string));
    let names = names.ok_or_else(|| {
        validation("Value null at 'names' failed to satisfy constraint: Member must not be null")
    })?;
    if names.is_empty() || names.len() > NAMES_LIMIT {
        return Err(validation(&format!(
            "Value '{names:?}' at 'names' failed to satisfy constraint: Member must have length \
             less than or equal to {NAMES_LIMIT}"
        )));
    }
    account.mark(caller, Milestone::Parameters);
    let decrypt = wants_decryption(input)?;
    let (mut found, mut invalid) = (Vec::new(), Vec::new());
    for name in names.iter().filter_map(Value::as_str) {
        match look_up(account, name) {
            Some((plain, parameter)) => {
                found.push(describe(account, plain, name, parameter, decrypt));
            }
            None => invalid.push(name),
        }
    }
    Ok(reply(200, &json!({ "Parameters": found, "InvalidParameters": invalid })))
}

fn get_parameter(account: &Account, caller: &str, input: &Value) -> Result<Reply, Reply> {
    let name = input["Name"].as_str().ok_or_else(|| {
        validation("Value null at 'name' failed to satisfy constraint: Member must not be null")
    })?;
    account.mark(caller, Milestone::Parameters);
    let decrypt = wants_decryption(input)?;
    let (plain, parameter) =
        look_up(account, name).ok_or_else(|| error("ParameterNotFound", ""))?;
    Ok(reply(200, &json!({ "Parameter": describe(account, plain, name, parameter, decrypt) })))
}

/// A name is plain, with a version, or an ARN. Everything here is in its first version.
fn look_up<'a>(account: &'a Account, name: &'a str) -> Option<(&'a str, &'a Parameter)> {
    let prefix = format!("arn:aws:ssm:{REGION}:{ACCOUNT_ID}:parameter");
    let name = name.strip_prefix(&prefix).unwrap_or(name);
    let plain = match name.split_once(':') {
        None => name,
        Some((plain, "1")) => plain,
        Some(_) => return None,
    };
    account.parameters.by_name.get_key_value(plain).map(|(name, value)| (name.as_str(), value))
}

fn describe(
    account: &Account,
    plain: &str,
    asked: &str,
    found: &Parameter,
    decrypt: bool,
) -> Value {
    let value = if found.kind == Kind::SecureString && !decrypt {
        // What KMS gives back is of no use without asking for decryption.
        format!("AQICAH{}", random::derived(&found.value, 64))
    } else {
        found.value.clone()
    };
    let slash = if plain.starts_with('/') { "" } else { "/" };
    let mut parameter = json!({
        "Name": plain,
        "Type": found.kind.word(),
        "Value": value,
        "Version": 1,
        "LastModifiedDate": account.parameters.written.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64(),
        "ARN": format!("arn:aws:ssm:{REGION}:{ACCOUNT_ID}:parameter{slash}{plain}"),
        "DataType": "text",
    });
    if let Some(selector) = asked.strip_prefix(plain).filter(|selector| !selector.is_empty()) {
        parameter["Selector"] = selector.into();
    }
    parameter
}

fn wants_decryption(input: &Value) -> Result<bool, Reply> {
    match &input["WithDecryption"] {
        Value::Null => Ok(false),
        Value::Bool(wanted) => Ok(*wanted),
        _ => Err(error("SerializationException", "WithDecryption is not a boolean")),
    }
}

fn validation(message: &str) -> Reply {
    let message = format!("1 validation error detected: {message}");
    error("ValidationException", &message)
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/x-amz-json-1.1", body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::parameters::Parameters;

    fn account() -> Account {
        let mut account = Account::for_tests();
        account.parameters = Parameters::default()
            .with("/jenkins/key", Kind::SecureString, "private")
            .with("plain", Kind::String, "text");
        account
    }

    fn ask(operation: &str, input: &Value) -> (u16, Value) {
        let request = Request { body: input.to_string().into(), ..Request::default() };
        let reply = answer(&account(), "i-0", &request, operation);
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }

    #[test]
    fn absent_names_are_listed_and_the_rest_is_given() {
        let names = ["/jenkins/key", "/jenkins/absent", "plain:1", "plain:2"];
        let (status, output) =
            ask("GetParameters", &json!({ "Names": names, "WithDecryption": true }));
        assert_eq!(status, 200);
        assert_eq!(output["InvalidParameters"], json!(["/jenkins/absent", "plain:2"]));
        assert_eq!(output["Parameters"][0]["Value"], "private");
        assert_eq!(output["Parameters"][1]["Name"], "plain");
        assert_eq!(output["Parameters"][1]["Selector"], ":1");
        let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/jenkins/key";
        assert_eq!(output["Parameters"][0]["ARN"], arn);
    }

    #[test]
    fn a_secret_stays_secret_without_decryption() {
        let (_, output) = ask("GetParameter", &json!({ "Name": "/jenkins/key" }));
        assert!(output["Parameter"]["Value"].as_str().unwrap().starts_with("AQICAH"));
    }

    #[test]
    fn refuses_as_aws_does() {
        let kind = |operation, input| ask(operation, &input).1["__type"].clone();
        assert_eq!(kind("GetParameter", json!({ "Name": "/x" })), "ParameterNotFound");
        assert_eq!(kind("PutParameter", json!({})), "UnknownOperationException");
        assert_eq!(kind("GetParameters", json!({})), "ValidationException");
        assert_eq!(kind("GetParameters", json!({ "Names": vec!["a"; 11] })), "ValidationException");
    }
}
