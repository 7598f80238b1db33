//! Whether the key that encrypts it can be used: without it every read and write is an I/O error.

use serde::{Deserialize, Serialize};

use super::described::described;
use crate::aws::kms::{self, Key};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Whether the file system is encrypted at rest.
    pub encrypted: bool,
    /// The key that EFS names.
    pub named: Option<String>,
    /// What KMS says of it; nothing if it knows none of this name.
    pub key: Option<Key>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let file_system = described(scene)?;
    let named = file_system.key.clone();
    let key = match &named {
        Some(named) => kms::key(scene.aws()?, named).await.map_err(Gap::from)?,
        None => None,
    };
    Ok(Seen { encrypted: file_system.encrypted, named, key })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    const ID: &str = Id::Key.name();
    let pass = |says: String| Finding::new(ID, Verdict::Pass, says);
    let fail = |says: String| Finding::new(ID, Verdict::Fail, says);
    let region = &case.asked.region;
    let Some(named) = &seen.named else {
        return pass(if seen.encrypted {
            "it is encrypted with a key that EFS does not name".to_owned()
        } else {
            "it is not encrypted at rest: no key is needed".to_owned()
        });
    };
    let Some(key) = &seen.key else {
        return fail(format!(
            "KMS has no key {named}, with which the file system is encrypted: it cannot be read any \
             more"
        ))
        .mended_by(
            "a key that was deleted never comes back: restore a backup to a new file system, and \
             `hostkit efs backup list` shows what there is",
        );
    };
    if key.by_aws {
        return pass(format!("it is encrypted with AWS's own key, {}", key.arn));
    }
    let enable = format!("aws kms enable-key --key-id {} --region {region}", key.arn);
    match key.state.as_str() {
        "Enabled" => pass(format!("its key is enabled: {}", key.arn)),
        "Disabled" => fail("its key is disabled: reads and writes will fail".to_owned())
            .shown_by(key.arn.clone())
            .mended_by(enable),
        "PendingDeletion" => {
            let when =
                key.deleted_at.map(|at| format!(" on {}", at.strftime("%Y-%m-%d %H:%M UTC")));
            let when = when.unwrap_or_default();
            fail(format!(
                "its key will be deleted{when}: it cannot be used now, and after that nobody can ever \
                 read the file system again"
            ))
            .shown_by(key.arn.clone())
            .mended_by(format!("aws kms cancel-key-deletion --key-id {} --region {region}", key.arn))
            .mended_by(enable)
        }
        other => fail(format!("its key is in the state {other}: it cannot be used now"))
            .shown_by(key.arn.clone())
            .mended_by(format!("aws kms describe-key --key-id {} --region {region}", key.arn)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::api::night::{asked, case};
    use crate::doctor::render;

    const ARN: &str = "arn:aws:kms:eu-west-1:123456789012:key/6f1d0b9e-2222-4444-8888-0123456789ab";

    fn with(state: &str, by_aws: bool) -> Seen {
        let deleted_at =
            (state == "PendingDeletion").then(|| "2026-12-04T10:00:00Z".parse().unwrap());
        let key = Key { arn: ARN.into(), state: state.into(), by_aws, deleted_at };
        Seen { encrypted: true, named: Some(ARN.into()), key: Some(key) }
    }

    #[test]
    fn a_key_that_can_be_used_passes() {
        let asked = asked();
        let verdict = |seen: &Seen| judge(seen, &case(&asked)).verdict;
        assert_eq!(verdict(&with("Enabled", false)), Verdict::Pass);
        assert_eq!(verdict(&with("Enabled", true)), Verdict::Pass);
        assert_eq!(verdict(&Seen { encrypted: false, named: None, key: None }), Verdict::Pass);
    }

    #[test]
    fn a_key_that_cannot_be_used_fails_with_the_line_that_mends_it() {
        let asked = asked();
        let mut text = String::new();
        for state in ["Disabled", "PendingDeletion", "Unavailable"] {
            text += &render(&[judge(&with(state, false), &case(&asked))]);
        }
        text += &render(&[judge(&Seen { key: None, ..with("", false) }, &case(&asked))]);
        insta::assert_snapshot!(text);
    }
}
