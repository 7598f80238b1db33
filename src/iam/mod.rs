//! The least policies for what hostkit does on AWS: [`table`] as IAM's own JSON.
//!
//! Pure. Whether a policy is enough and has nothing that is not used is shown by tests, which compare
//! it with the requests of whole runs. Nothing here talks to IAM.

mod grant;
pub mod table;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::teardown::BUILD_TAG;
pub use grant::{Grant, On, Role, When};

/// What stands in a policy where nothing was said, for a person to fill in.
const EVERY: &str = "*";

/// What a policy is about.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// The account; any if absent.
    pub account: Option<String>,
    /// The region; any if absent.
    pub region: Option<String>,
    /// The KMS keys that disks are encrypted with: ARNs or ids.
    pub kms_keys: Vec<String>,
    /// The roles that hosts are launched with: ARNs or names; any if there are none.
    pub host_roles: Vec<String>,
}

/// What these roles may do together, in order.
pub fn grants<'a>(
    roles: &'a [Role],
    scope: &'a Scope,
) -> impl Iterator<Item = &'static Grant> + 'a {
    let meant = |grant: &&Grant| grant.roles.iter().any(|role| roles.contains(role));
    let all = table::all().filter(meant);
    all.filter(|grant| !grant.on.contains(&On::Key) || !scope.kms_keys.is_empty())
}

/// The same, as IAM spells it.
pub fn actions(roles: &[Role], scope: &Scope) -> BTreeSet<&'static str> {
    grants(roles, scope).flat_map(|grant| grant.actions).copied().collect()
}

/// One policy for these roles.
pub fn policy(roles: &[Role], scope: &Scope) -> Value {
    let statements: Vec<_> = grants(roles, scope).map(|grant| statement(grant, scope)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn statement(grant: &Grant, scope: &Scope) -> Value {
    let mut statement = Map::new();
    statement.insert("Sid".into(), grant.sid.into());
    statement.insert("Effect".into(), "Allow".into());
    statement.insert("Action".into(), grant.actions.into());
    let resources: Vec<_> = grant.on.iter().flat_map(|on| arns(*on, scope)).collect();
    statement.insert("Resource".into(), resources.into());
    if let Some(condition) = condition(grant.when, scope) {
        statement.insert("Condition".into(), condition);
    }
    Value::Object(statement)
}

fn arns(on: On, scope: &Scope) -> Vec<String> {
    let region = scope.region.as_deref().unwrap_or(EVERY);
    let account = scope.account.as_deref().unwrap_or(EVERY);
    let ec2 = |what: &str| format!("arn:aws:ec2:{region}:{account}:{what}/*");
    let one = match on {
        On::Everything => EVERY.to_owned(),
        // Images and snapshots have no account in their ARNs.
        On::Images => format!("arn:aws:ec2:{region}::image/*"),
        On::Snapshots => format!("arn:aws:ec2:{region}::snapshot/*"),
        On::ImagesAnywhere => "arn:aws:ec2:*::image/*".to_owned(),
        On::SnapshotsAnywhere => "arn:aws:ec2:*::snapshot/*".to_owned(),
        On::LaunchTemplatesAnywhere => format!("arn:aws:ec2:*:{account}:launch-template/*"),
        On::Ec2(what) => ec2(what),
        On::AnyEc2 => format!("arn:aws:ec2:{region}:{account}:*/*"),
        On::ParametersAnywhere(path) => format!("arn:aws:ssm:*:{account}:parameter{path}"),
        On::Parameters(path) => format!("arn:aws:ssm:{region}:{account}:parameter{path}"),
        On::PublicParameters => format!("arn:aws:ssm:{region}::parameter/aws/service/*"),
        On::FileSystems => {
            format!("arn:aws:elasticfilesystem:{region}:{account}:file-system/*")
        }
        On::AccessPoints => {
            format!("arn:aws:elasticfilesystem:{region}:{account}:access-point/*")
        }
        On::Groups => {
            format!(
                "arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/*"
            )
        }
        On::LogStreams => format!("arn:aws:logs:{region}:{account}:log-group:*"),
        On::OfEcs(what) => format!("arn:aws:ecs:{region}:{account}:{what}/*"),
        On::TargetGroups => {
            format!("arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/*")
        }
        On::Keys => format!("arn:aws:kms:{region}:{account}:key/*"),
        On::Vaults => format!("arn:aws:backup:{region}:{account}:backup-vault:*"),
        On::RecoveryPoints => format!("arn:aws:backup:{region}:{account}:recovery-point:*"),
        On::HostRoles if scope.host_roles.is_empty() => format!("arn:aws:iam::{account}:role/*"),
        On::HostRoles => {
            let arn = |role: &String| {
                let is_arn = role.starts_with("arn:");
                if is_arn { role.clone() } else { format!("arn:aws:iam::{account}:role/{role}") }
            };
            return scope.host_roles.iter().map(arn).collect();
        }
        On::Key => {
            let arn = |key: &String| {
                let is_arn = key.starts_with("arn:");
                if is_arn {
                    key.clone()
                } else {
                    format!("arn:aws:kms:{region}:{account}:key/{key}")
                }
            };
            return scope.kms_keys.iter().map(arn).collect();
        }
    };
    vec![one]
}

fn condition(when: When, scope: &Scope) -> Option<Value> {
    let present = |key: String| json!({ "Null": { key: "false" } });
    match when {
        When::Always => None,
        When::Ours => Some(present(format!("aws:ResourceTag/{BUILD_TAG}"))),
        When::Marked => Some(present(format!("aws:RequestTag/{BUILD_TAG}"))),
        When::Creation(by) => Some(json!({ "StringEquals": { "ec2:CreateAction": by } })),
        When::Tagging(key) => Some(json!({
            "ForAllValues:StringEquals": { "aws:TagKeys": [key] },
            "Null": { "aws:TagKeys": "false" },
        })),
        When::PassedTo(service) => {
            Some(json!({ "StringEquals": { "iam:PassedToService": service } }))
        }
        When::ForAws => Some(json!({ "Bool": { "kms:GrantIsForAWSResource": "true" } })),
        When::Region => {
            let region = scope.region.as_ref()?;
            Some(json!({ "StringEquals": { "aws:RequestedRegion": region } }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_has_a_name_of_its_own_and_a_reason() {
        let mut seen = BTreeSet::new();
        for grant in table::all() {
            assert!(seen.insert(grant.sid), "{}", grant.sid);
            assert!(grant.sid.bytes().all(|it| it.is_ascii_alphanumeric()), "{}", grant.sid);
            assert!(!grant.why.is_empty() && !grant.on.is_empty(), "{}", grant.sid);
            assert!(!grant.roles.is_empty() && grant.actions.is_sorted(), "{}", grant.sid);
        }
    }

    #[test]
    fn a_policy_of_one_role_is_not_larger_than_iam_takes() {
        // Of a managed policy, without white space.
        const LIMIT: usize = 6144;
        let scope = Scope {
            account: Some("123456789012".into()),
            region: Some("ap-southeast-2".into()),
            kms_keys: vec!["00000000-0000-0000-0000-000000000000".into()],
            host_roles: vec!["arn:aws:iam::123456789012:role/ci/ci-controller".into()],
        };
        for role in Role::ALL {
            let size = policy(&[role], &scope).to_string().len();
            assert!((100..LIMIT).contains(&size), "{role:?}: {size}");
        }
    }

    #[test]
    fn nothing_is_removed_or_changed_that_hostkit_did_not_make() {
        for grant in table::all() {
            for action in grant.actions {
                let verb = action.split_once(':').unwrap().1;
                let removes = ["Delete", "Deregister", "Terminate", "Stop"]
                    .iter()
                    .any(|it| verb.starts_with(it));
                // A host that is no target, or in no cluster any more, is still there.
                let membership =
                    ["elasticloadbalancing:DeregisterTargets", "ecs:DeregisterContainerInstance"]
                        .contains(action);
                // By its name: nobody else makes one with this ending.
                let next = grant.on == [On::Parameters("/devops-tools/jenkins/*.next")];
                // A word that is said to a host by a tag is taken back.
                let word = matches!(grant.when, When::Tagging(_));
                let lock = grant.on == [On::Parameters("/hostkit/asg/*/lock")];
                let ours = grant.when == When::Ours;
                // What was copied stays where it is: a copy only becomes a home.
                let copying = *action == "elasticfilesystem:DeleteReplicationConfiguration";
                assert!(
                    !removes || copying || membership || next || lock || word || ours,
                    "{action}"
                );
            }
        }
    }

    #[test]
    fn an_agent_never_reads_the_key_with_which_it_is_logged_in_on() {
        let read = policy(&[Role::Agent], &Scope::default());
        let parameters: Vec<_> = read["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|it| it["Resource"].as_array().unwrap())
            .filter_map(|it| it.as_str()?.split_once(":parameter").map(|it| it.1.to_owned()))
            // Where the guard answers.
            .filter(|it| !it.starts_with("/hostkit/asg/"))
            .collect();
        assert_eq!(parameters, ["/devops-tools/jenkins/id_rsa.pub", "/hostkit/pools/*/host_key"]);
    }

    /// Whether a policy allows an action on something, in a request that says these things.
    fn allows(policy: &Value, action: &str, on: &str, says: &[(&str, &[&str])]) -> bool {
        let texts = |value: &Value| -> Vec<String> {
            let one = value.as_str().map(|it| vec![it.to_owned()]);
            let many = || value.as_array().into_iter().flatten().filter_map(Value::as_str);
            one.unwrap_or_else(|| many().map(str::to_owned).collect())
        };
        let said = |key: &str| says.iter().find(|(name, _)| *name == key).map(|(_, words)| *words);
        let holds = |operator: &str, key: &str, wanted: &Value| match operator {
            "Null" => said(key).is_none() == (wanted == "true"),
            "StringEquals" => said(key)
                .is_some_and(|words| words.iter().all(|it| texts(wanted).iter().any(|w| w == it))),
            "ForAllValues:StringEquals" => said(key)
                .is_none_or(|words| words.iter().all(|it| texts(wanted).iter().any(|w| w == it))),
            other => panic!("{other}"),
        };
        let fits = |pattern: &str| match pattern.split_once('*') {
            None => pattern == on,
            Some((before, after)) => {
                on.starts_with(before) && on.ends_with(after.rsplit('*').next().unwrap())
            }
        };
        let conditions = |statement: &Value| {
            let all = statement["Condition"].as_object().into_iter().flatten();
            all.flat_map(|(operator, keys)| {
                let keys = keys.as_object().into_iter().flatten();
                keys.map(|(key, wanted)| holds(operator, key, wanted)).collect::<Vec<_>>()
            })
            .all(|it| it)
        };
        policy["Statement"].as_array().unwrap().iter().any(|statement| {
            texts(&statement["Action"]).iter().any(|it| it == action)
                && texts(&statement["Resource"]).iter().any(|it| fits(it))
                && conditions(statement)
        })
    }

    #[test]
    fn whoever_upgrades_may_launch_by_an_ordinary_template_and_do_no_more_with_that() {
        let scope = Scope {
            account: Some("123456789012".into()),
            region: Some("eu-west-1".into()),
            host_roles: vec!["ci-controller".into()],
            ..Scope::default()
        };
        let policy = policy(&[Role::Upgrade], &scope);
        let ec2 = |what: &str| format!("arn:aws:ec2:eu-west-1:123456789012:{what}/1");
        // What a template with tags makes, each of which is tagged when it is launched.
        let by = |call| [("ec2:CreateAction", [call]), ("aws:TagKeys", ["Name"])];
        let tags = |what: &str, call: &'static str| {
            let says = by(call);
            let says: Vec<_> = says.iter().map(|(key, words)| (*key, &words[..])).collect();
            allows(&policy, "ec2:CreateTags", &ec2(what), &says)
        };
        for made in ["instance", "volume", "network-interface", "spot-instances-request"] {
            assert!(allows(&policy, "ec2:RunInstances", &ec2(made), &[]), "{made}");
            assert!(tags(made, "RunInstances"), "{made}");
            assert!(!tags(made, "CreateVolume"), "{made}");
            let later: &[(&str, &[&str])] = &[("aws:TagKeys", &["Name"])];
            assert!(!allows(&policy, "ec2:CreateTags", &ec2(made), later), "{made}");
        }
        let role = |name: &str, service: &str| {
            let arn = format!("arn:aws:iam::123456789012:role/{name}");
            allows(&policy, "iam:PassRole", &arn, &[("iam:PassedToService", &[service])])
        };
        assert!(role("ci-controller", "ec2.amazonaws.com"));
        assert!(!role("ci-controller", "lambda.amazonaws.com"));
        assert!(!role("admin", "ec2.amazonaws.com"));
    }

    #[test]
    fn a_policy_reads_like_this() {
        let scope = Scope {
            account: Some("123456789012".into()),
            region: Some("eu-west-1".into()),
            kms_keys: vec!["0b1f…".into()],
            host_roles: vec!["ci-controller".into()],
        };
        let text = |role| serde_json::to_string_pretty(&policy(&[role], &scope)).unwrap();
        insta::assert_snapshot!("bake", text(Role::Bake));
        insta::assert_snapshot!("prune", text(Role::Prune));
        insta::assert_snapshot!("upgrade", text(Role::Upgrade));
    }
}
