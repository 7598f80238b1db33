//! Asking Parameter Store for keys and secrets, in one call, and telling what is wrong with them:
//! each cause has a message of its own, and names the parameter.
//!
//! Where a call is refused that names several parameters, each is asked for alone: AWS does not
//! always say which of them it means. That costs a call a parameter, and only then.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::{Region, SdkConfig};

use crate::aws::{Failure, ssm};
use crate::error::Fault;

/// How long a store is asked again that has too much to do, or does not answer.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A parameter that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name in Parameter Store, with a version or a label behind it or not.
    pub name: String,
    /// The key of `host.toml` that names it, as people read it.
    pub setting: String,
    /// Whether it is a secret, which should be encrypted.
    pub is_secret: bool,
}

impl Wanted {
    /// One that anybody may read.
    pub fn plain(name: &str, setting: &str) -> Self {
        Self { name: name.to_owned(), setting: setting.to_owned(), is_secret: false }
    }

    /// One that must stay secret.
    pub fn secret(name: &str, setting: &str) -> Self {
        Self { is_secret: true, ..Self::plain(name, setting) }
    }

    /// The name without a version or a label.
    fn bare(&self) -> &str {
        // The colons of an ARN stand before its first slash.
        let (head, tail) = self.name.split_at(self.name.find('/').unwrap_or(0));
        &self.name[..head.len() + tail.find(':').unwrap_or(tail.len())]
    }
}

/// Why keys cannot be had.
#[derive(Debug)]
pub enum Trouble {
    /// The store does not answer, or has too much to do: what was good before still is.
    Passing(Fault),
    /// Somebody must put it right.
    Lasting(Fault),
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Passing(fault) | Trouble::Lasting(fault) => fault,
        }
    }
}

/// Asks for all of `wanted`. All are there, and none is empty. What passes is borne for `budget`.
pub async fn ask(
    config: &SdkConfig,
    wanted: &[Wanted],
    budget: Duration,
) -> Result<ssm::Values, Trouble> {
    let names: Vec<&str> = wanted.iter().map(|it| it.name.as_str()).collect();
    match ssm::patiently(config, &names, budget).await {
        Ok(found) => whole(config, wanted, found).await,
        Err(failure) if failure.is_passing() => Err(Trouble::Passing(passing(failure))),
        Err(failure) => Err(Trouble::Lasting(refused(config, wanted, failure).await)),
    }
}

/// As [`ask`], and in the same call for `also`, which need not be there. Says whether they were asked
/// for: not where one call has no room for all, or something of it may not be read.
pub async fn ask_along(
    config: &SdkConfig,
    wanted: &[Wanted],
    also: &[String],
    budget: Duration,
) -> Result<(ssm::Values, bool), Trouble> {
    let names: BTreeSet<&str> =
        wanted.iter().map(|it| it.name.as_str()).chain(also.iter().map(String::as_str)).collect();
    if also.is_empty() || names.len() > ssm::BATCH {
        return ask(config, wanted, budget).await.map(|values| (values, false));
    }
    let names: Vec<&str> = names.into_iter().collect();
    match ssm::patiently(config, &names, budget).await {
        Ok(mut found) => {
            found.missing.retain(|name| wanted.iter().any(|it| it.name == *name));
            whole(config, wanted, found).await.map(|values| (values, true))
        }
        Err(failure) if failure.is_passing() => Err(Trouble::Passing(passing(failure))),
        // It may have been about one that need not be there.
        Err(_refused) => ask(config, wanted, budget).await.map(|values| (values, false)),
    }
}

/// The values, if all of `wanted` are among them and none is empty.
async fn whole(
    config: &SdkConfig,
    wanted: &[Wanted],
    found: ssm::Found,
) -> Result<ssm::Values, Trouble> {
    if !found.missing.is_empty() {
        return Err(Trouble::Lasting(missing(config, wanted, &found).await));
    }
    let blank = |it: &&Wanted| found.values.get(&it.name).is_none_or(|it| it.trim().is_empty());
    match wanted.iter().find(blank) {
        Some(Wanted { name, .. }) => {
            let fault = Fault::aws(format!("the parameter `{name}` is empty"));
            Err(Trouble::Lasting(fault.hint("it has only white space: give it its value again")))
        }
        None => Ok(found.values),
    }
}

/// What is not wrong enough to go without, a line each: secrets that lie there in the clear.
pub fn warnings(wanted: &[Wanted], values: &ssm::Values) -> Vec<String> {
    let in_the_clear = |it: &&Wanted| {
        it.is_secret && values.parameter(&it.name).is_some_and(|parameter| !parameter.is_secret)
    };
    let line = |it: &Wanted| {
        format!(
            "the parameter `{}` is a String: everybody who may read parameters reads this secret; \
             make it a SecureString",
            it.name
        )
    };
    wanted.iter().filter(in_the_clear).map(line).collect()
}

fn passing(failure: Failure) -> Fault {
    if failure.is_throttled() {
        let text = format!("Parameter Store is asked too often: {failure}");
        return Fault::aws(text).hint(
            "40 reads a second are shared by an account in a region; \
             aws ssm update-service-setting --setting-id \
             /ssm/parameter-store/high-throughput-enabled --setting-value true makes it more",
        );
    }
    failure.into()
}

/// The refusal of a call for several parameters, with the one that it is about.
async fn refused(config: &SdkConfig, wanted: &[Wanted], failure: Failure) -> Fault {
    if wanted.len() > 1 {
        for one in wanted {
            match ssm::parameters(config, &[&one.name]).await {
                Err(failure) if !failure.is_passing() => return refusal(one, &failure),
                _ => {}
            }
        }
    }
    match wanted.first() {
        Some(one) if wanted.len() == 1 => refusal(one, &failure),
        // Each alone is well: it was about all of them.
        _ => failure.into(),
    }
}

/// What a refusal of one parameter means.
fn refusal(one: &Wanted, failure: &Failure) -> Fault {
    let (name, said) = (&one.name, failure.message());
    let key_is = |word: &str| said.to_ascii_lowercase().contains(word);
    let code = failure.code().unwrap_or_default();
    let of_key =
        code.contains("KeyId") || code.contains("KMS") || key_is("kms") || key_is("master key");
    if failure.is_denied() && of_key {
        let text = format!("the key of KMS that encrypts `{name}` may not be used: {said}");
        return Fault::aws(text).hint(
            "allow `kms:Decrypt` on that key in the policy of the instance role, and in the key's \
             own policy; `hostkit iam ROLE --kms-key KEY` prints it",
        );
    }
    if failure.is_denied() {
        let text = format!("the parameter `{name}` may not be read: {said}");
        return Fault::aws(text).hint(format!(
            "allow `{}` on it in the policy of the instance role, or name another one in {} of \
             host.toml",
            failure.wanted(),
            one.setting
        ));
    }
    if of_key {
        let (state, hint) = if key_is("disabled") {
            ("is disabled", "aws kms enable-key --key-id KEY")
        } else if key_is("pending deletion") || key_is("pendingdeletion") {
            ("is about to be deleted", "aws kms cancel-key-deletion --key-id KEY, then enable-key")
        } else {
            ("cannot be used", "give the parameter its value again, with a key that is there")
        };
        let text = format!("the key of KMS that encrypts `{name}` {state}: {said}");
        return Fault::aws(text).hint(hint);
    }
    let text = format!("the parameter `{name}` cannot be had: {code}: {said}");
    Fault::aws(text).hint("the answer is from AWS itself; its code is in the documentation of SSM")
}

/// What it means that some names are not there: a version that is not, a wrong region, or nothing
/// more.
async fn missing(config: &SdkConfig, wanted: &[Wanted], found: &ssm::Found) -> Fault {
    let region = config.region().map_or("this region", Region::as_ref);
    let gone: Vec<&Wanted> = wanted.iter().filter(|it| found.missing.contains(&it.name)).collect();
    for one in gone.iter().filter(|it| it.bare() != it.name) {
        let bare = ssm::parameters(config, &[one.bare()]).await;
        if bare.is_ok_and(|bare| bare.missing.is_empty()) {
            let selector = &one.name[one.bare().len() + 1..];
            let text =
                format!("the parameter `{}` has no version or label `{selector}`", one.bare());
            return Fault::aws(text).hint(format!(
                "the last hundred versions are kept: aws ssm get-parameter-history --name {}",
                one.bare()
            ));
        }
    }
    let names: Vec<_> = gone.iter().map(|it| format!("`{}`", it.name)).collect();
    let (noun, verb) = if names.len() == 1 { ("parameter", "does") } else { ("parameters", "do") };
    let fault = Fault::aws(format!("the {noun} {} {verb} not exist in {region}", names.join(", ")));
    let mut settings: Vec<&str> = gone.iter().map(|it| it.setting.as_str()).collect();
    settings.dedup();
    let settings = settings.join(" and ");
    if gone.len() == wanted.len() && wanted.len() > 1 {
        return fault.hint(format!(
            "none of what this host needs is there: is {region} the right region? Else create them \
             (`hostkit keys generate`), or name others in {settings} of host.toml"
        ));
    }
    let pools = gone.iter().any(|it| it.setting == super::POOL_SETTING);
    let make = if pools {
        "hostkit keys generate --pool POOL makes it"
    } else {
        "create it in Parameter Store of this region"
    };
    fault.hint(format!("{make}, or name another one in {settings} of host.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_or_a_label_is_not_a_part_of_the_name() {
        for (name, bare) in [
            ("/x/key:3", "/x/key"),
            ("/x/key", "/x/key"),
            ("key:label", "key"),
            (
                "arn:aws:ssm:eu-west-1:123456789012:parameter/x/key:3",
                "arn:aws:ssm:eu-west-1:123456789012:parameter/x/key",
            ),
        ] {
            assert_eq!(Wanted::plain(name, "x").bare(), bare);
        }
    }

    #[test]
    fn each_refusal_has_its_own_words() {
        let refused = |code: &str, message: &str| {
            let failure = Failure::Refused {
                call: "ssm:GetParameters",
                status: 400,
                code: code.to_owned(),
                message: message.to_owned(),
                ahead: None,
            };
            let fault = refusal(&Wanted::secret("/x/key", "[keys]"), &failure);
            format!("{fault}\n  hint: {}", fault.hint_text().unwrap())
        };
        let user =
            "User: arn:aws:sts::123456789012:assumed-role/ci/i-1 is not authorized to perform:";
        let parameter = "on resource: arn:aws:ssm:eu-west-1:123456789012:parameter/x/key";
        let all = [
            refused("AccessDeniedException", &format!("{user} ssm:GetParameters {parameter}")),
            refused(
                "AccessDeniedException",
                &format!("{user} kms:Decrypt on resource: arn:aws:kms:k"),
            ),
            refused(
                "AccessDeniedException",
                "The ciphertext refers to a customer master key that does not exist, does not exist \
                 in this region, or you are not allowed to access.",
            ),
            refused(
                "InvalidKeyId",
                "arn:aws:kms:…:key/k is disabled. (Service: Kms, Status Code: 400)",
            ),
            refused("InvalidKeyId", "arn:aws:kms:…:key/k is pending deletion. (Service: Kms)"),
            refused("InvalidKeyId", "Invalid keyId 'k'"),
            refused("ValidationException", "Parameter name must be a fully qualified name."),
        ];
        insta::assert_snapshot!("refusals", all.join("\n\n"));
    }
}
