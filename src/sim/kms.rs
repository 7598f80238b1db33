//! KMS, JSON 1.1: which keys there are, and whether they can be used.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::{ACCOUNT_ID, Account};
use super::aws_json::{self, Answer, error, input, seconds};
use super::call::Call;
use super::encryption_key::{EncryptionKey, State};
use super::http::Reply;
use super::region::Region;

/// What the header of every request begins with.
pub const TARGET: &str = "TrentService.";

/// Answers one signed request.
pub fn answer(account: &mut Account, call: &Call<'_>) -> Reply {
    let world = account.world();
    let region = account.region(&call.region);
    region.keys.retain(|_, key| !matches!(key.state, State::PendingDeletion(at) if at <= world));
    let result = match call.action.as_str() {
        "CreateKey" => Ok(create(region, &call.region, world)),
        "DescribeKey" => describe(region, call),
        "EnableKey" => set(region, call, |key| {
            waits_not(key)?;
            key.state = State::Enabled;
            Ok(json!({}))
        }),
        "DisableKey" => set(region, call, |key| {
            waits_not(key)?;
            key.state = State::Disabled;
            Ok(json!({}))
        }),
        "ScheduleKeyDeletion" => schedule(region, call, world),
        // It is disabled afterwards, as on AWS: somebody has to enable it, too.
        "CancelKeyDeletion" => set(region, call, |key| {
            if !matches!(key.state, State::PendingDeletion(_)) {
                return Err(state(&format!("{} is not pending deletion.", key.arn)));
            }
            key.state = State::Disabled;
            Ok(json!({ "KeyId": key.arn }))
        }),
        _ => Err(aws_json::unknown()),
    };
    aws_json::reply(result)
}

fn state(message: &str) -> Reply {
    error("KMSInvalidStateException", message)
}

/// Nobody enables or disables one that is to be deleted.
fn waits_not(key: &EncryptionKey) -> Result<(), Reply> {
    match key.state {
        State::PendingDeletion(_) => Err(state(&format!("{} is pending deletion.", key.arn))),
        State::Enabled | State::Disabled => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    key_id: Option<String>,
    pending_window_in_days: Option<i64>,
}

/// The key that is named by its id, its ARN or its alias.
fn find<'a>(region: &'a mut Region, call: &Call<'_>) -> Result<&'a mut EncryptionKey, Reply> {
    let asked = input::<Asked>(call)?.key_id.unwrap_or_default();
    let named = |key: &EncryptionKey| {
        asked == key.id || asked == key.arn || key.of_aws.as_ref() == Some(&asked)
    };
    let found = region.keys.values_mut().find(|key| named(key));
    found.ok_or_else(|| {
        let arn = if asked.starts_with("arn:") {
            asked.clone()
        } else if asked.starts_with("alias/") {
            format!("arn:aws:kms:{}:{ACCOUNT_ID}:{asked}", call.region)
        } else {
            format!("arn:aws:kms:{}:{ACCOUNT_ID}:key/{asked}", call.region)
        };
        let kind = if asked.contains("alias/") { "Alias" } else { "Key" };
        error("NotFoundException", &format!("{kind} '{arn}' does not exist"))
    })
}

fn set(
    region: &mut Region,
    call: &Call<'_>,
    change: impl FnOnce(&mut EncryptionKey) -> Answer,
) -> Answer {
    let key = find(region, call)?;
    if key.of_aws.is_some() {
        let message = format!("{} is managed by AWS", key.arn);
        return Err(error("AccessDeniedException", &message));
    }
    change(key)
}

fn create(region: &mut Region, name: &str, world: Timestamp) -> Value {
    let key = EncryptionKey::of_customer(name, world);
    let told = json!({ "KeyMetadata": shape(&key) });
    region.keys.insert(key.id.clone(), key);
    told
}

fn describe(region: &mut Region, call: &Call<'_>) -> Answer {
    Ok(json!({ "KeyMetadata": shape(find(region, call)?) }))
}

fn schedule(region: &mut Region, call: &Call<'_>, world: Timestamp) -> Answer {
    let days = input::<Asked>(call)?.pending_window_in_days.unwrap_or(30);
    if !(7..=30).contains(&days) {
        return Err(error("ValidationException", "PendingWindowInDays must be 7 to 30"));
    }
    set(region, call, |key| {
        waits_not(key)?;
        let at = world + SignedDuration::from_hours(24 * days);
        key.state = State::PendingDeletion(at);
        Ok(json!({
            "KeyId": key.arn,
            "DeletionDate": seconds(at),
            "KeyState": "PendingDeletion",
            "PendingWindowInDays": days,
        }))
    })
}

fn shape(key: &EncryptionKey) -> Value {
    let word = match key.state {
        State::Enabled => "Enabled",
        State::Disabled => "Disabled",
        State::PendingDeletion(_) => "PendingDeletion",
    };
    let mut told = json!({
        "AWSAccountId": ACCOUNT_ID,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": seconds(key.created),
        "Enabled": key.state == State::Enabled,
        "Description": "",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": word,
        "Origin": "AWS_KMS",
        "KeyManager": if key.of_aws.is_some() { "AWS" } else { "CUSTOMER" },
        "KeySpec": "SYMMETRIC_DEFAULT",
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    });
    if let State::PendingDeletion(at) = key.state {
        told["DeletionDate"] = seconds(at).into();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::http::Request;
    use crate::sim::service::Service;

    fn ask(account: &mut Account, action: &str, body: &Value) -> (u16, Value) {
        let request = Request { body: body.to_string().into(), ..Request::default() };
        let reply = answer(account, &Call::for_tests(Service::Kms, action, &request));
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }

    #[test]
    fn a_key_whose_deletion_is_taken_back_is_disabled() {
        let account = &mut Account::for_tests();
        let (_, made) = ask(account, "CreateKey", &json!({}));
        let key = json!({ "KeyId": made["KeyMetadata"]["Arn"] });
        let state = |account: &mut Account| {
            ask(account, "DescribeKey", &key).1["KeyMetadata"]["KeyState"].clone()
        };
        assert_eq!(state(account), "Enabled");
        assert_eq!(ask(account, "ScheduleKeyDeletion", &key).0, 200);
        assert_eq!(state(account), "PendingDeletion");
        let refused = ask(account, "EnableKey", &key).1["__type"].clone();
        assert_eq!(refused, "KMSInvalidStateException");
        assert_eq!(ask(account, "CancelKeyDeletion", &key).0, 200);
        assert_eq!(state(account), "Disabled");
        assert_eq!(ask(account, "EnableKey", &key).0, 200);
        assert_eq!(state(account), "Enabled");
        let (_, none) = ask(account, "DescribeKey", &json!({ "KeyId": "alias/none" }));
        assert_eq!(none["__type"], "NotFoundException");
        let message = "Alias 'arn:aws:kms:eu-west-1:123456789012:alias/none' does not exist";
        assert_eq!(none["message"], message);
    }
}
