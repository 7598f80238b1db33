//! Whether the metadata service answers, with an identity and a role.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::aws::imds::Imds;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::{Id, Observed};
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::error::Fault;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The metadata service answered.
    Told(Box<Identity>),
    /// It did not, or what answered is something else.
    Silent {
        /// What came instead.
        why: String,
        /// What may help, if it is known.
        hint: Option<String>,
    },
}

/// Who this host is on AWS, as the metadata service tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `i-…`
    pub instance_id: String,
    /// The account that owns it.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its availability zone, as `eu-west-1a`.
    pub zone: String,
    /// The name of that zone in every account, as `euw1-az1`. It may be untold: very old services.
    pub zone_id: Option<String>,
    /// The name of its role; none where it has no instance profile.
    pub role: Option<String>,
    /// Why there is no role with credentials, as the service has it, and what helps.
    pub role_trouble: Option<(String, String)>,
    /// Its first address.
    pub private_ip: Ipv4Addr,
    /// What AWS calls its first address, which nobody else has in its network.
    pub private_name: Option<String>,
    /// Its first network card.
    pub mac: Option<String>,
    /// The network of that card.
    pub vpc: Option<String>,
    /// The subnet of that card.
    pub subnet: Option<String>,
    /// The security groups of that card.
    pub security_groups: Vec<String>,
    /// Its Auto Scaling group, where its tags are shown to it.
    pub group: Option<String>,
}

/// The service is in the machine's own host: it answers in milliseconds or not at all.
const PATIENCE: Duration = Duration::from_secs(4);

/// The name of the group, among the tags of the instance.
const GROUP: &str = "aws:autoscaling:groupName";

/// Who this host is; nothing from outside, or where the metadata service was silent.
pub fn identity(observed: &Observed) -> Option<&Identity> {
    match observed.role.seen()? {
        Seen::Told(identity) => Some(identity),
        Seen::Silent { .. } => None,
    }
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let Some(imds) = scene.imds else {
        let why = "there is no metadata service to ask".to_owned();
        return Err(Gap { needs: String::new(), denied: false, why });
    };
    let silent = |why: String, hint| Ok(Seen::Silent { why, hint });
    match tokio::time::timeout(PATIENCE, ask(imds)).await {
        Ok(Ok(identity)) => Ok(Seen::Told(Box::new(identity))),
        Ok(Err(error)) => {
            let hint = error.chain().find_map(|it| it.downcast_ref::<Fault>()?.hint_text());
            silent(error.to_string(), hint.map(str::to_owned))
        }
        Err(_elapsed) => silent(
            format!("it did not answer within {} s", PATIENCE.as_secs()),
            Some("check that 169.254.169.254 is routed and no firewall stands before it".into()),
        ),
    }
}

async fn ask(imds: &Imds) -> anyhow::Result<Identity> {
    let document = imds.document(|_| {}).await?;
    let (zone_id, role, private_name, mac, group) = tokio::join!(
        imds.zone_id(),
        imds.role_now(),
        leaf(imds, "local-hostname"),
        leaf(imds, "mac"),
        imds.tag(GROUP),
    );
    let (role, role_trouble) = match role {
        Ok(Ok(role)) => (Some(role), None),
        Ok(Err(missing)) => (None, Some((missing.to_string(), missing.hint().to_owned()))),
        Err(error) => (None, Some((error.to_string(), String::new()))),
    };
    let card = |name: &str| {
        let mac = mac.as_deref().unwrap_or_default();
        format!("network/interfaces/macs/{mac}/{name}")
    };
    let (vpc, subnet, groups) = (card("vpc-id"), card("subnet-id"), card("security-group-ids"));
    let (vpc, subnet, groups) =
        tokio::join!(leaf(imds, &vpc), leaf(imds, &subnet), leaf(imds, &groups));
    let groups = groups.unwrap_or_default();
    let groups = groups.split_whitespace().filter(|id| is_id(id, "sg-")).map(str::to_owned);
    Ok(Identity {
        instance_id: document.instance_id,
        account: document.account_id,
        region: document.region,
        zone: document.availability_zone,
        zone_id: zone_id.ok(),
        role,
        role_trouble,
        private_ip: document.private_ip,
        private_name,
        mac,
        vpc: vpc.filter(|id| is_id(id, "vpc-")),
        subnet: subnet.filter(|id| is_id(id, "subnet-")),
        security_groups: groups.collect(),
        group: group
            .ok()
            .flatten()
            .map(|group| group.trim().to_owned())
            .filter(|it| !it.is_empty()),
    })
}

/// A value of one word or a word a line; none where there is none, or what is there is something
/// else: it ends up in commands.
async fn leaf(imds: &Imds, path: &str) -> Option<String> {
    let text = imds.get(&format!("/latest/meta-data/{path}"), |_| {}).await.ok()??;
    let text = text.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:\n".contains(c);
    ((1..=4096).contains(&text.len()) && text.chars().all(plain)).then(|| text.to_owned())
}

fn is_id(id: &str, prefix: &str) -> bool {
    id.strip_prefix(prefix).is_some_and(|rest| rest.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let identity = match seen {
        Seen::Told(identity) => identity,
        Seen::Silent { why, hint } => return silent(why, hint.as_deref()),
    };
    let Identity { instance_id, region, zone, role, .. } = &**identity;
    let zone_id = identity.zone_id.as_deref().unwrap_or("its id is untold");
    let shown = |finding: Finding| {
        let finding = finding.shown_by(format!(
            "{instance_id} in {zone} ({zone_id}), account {}, address {}",
            identity.account, identity.private_ip
        ));
        let network = [&identity.vpc, &identity.subnet].into_iter().flatten();
        let network: Vec<_> = network.chain(&identity.security_groups).cloned().collect();
        if network.is_empty() { finding } else { finding.shown_by(network.join(" ")) }
    };
    let id = Id::Role.name();
    if let Some((what, hint)) = &identity.role_trouble {
        let attach = format!(
            "aws ec2 associate-iam-instance-profile --instance-id {instance_id} \
             --iam-instance-profile Name=PROFILE --region {region}"
        );
        let finding = shown(Finding::new(id, Verdict::Fail, what.clone()));
        let finding =
            if what.contains("no IAM role") { finding.mended_by(attach) } else { finding };
        return if hint.is_empty() { finding } else { finding.mended_by(hint.clone()) };
    }
    let role = role.as_deref().unwrap_or("none");
    if *region != case.asked.region {
        let says = format!(
            "this host is in {region}, and {} in {}",
            case.asked.file_system, case.asked.region
        );
        return shown(Finding::new(id, Verdict::Fail, says))
            .mended_by("name a file system of this region in host.toml, or its replica here");
    }
    shown(Finding::new(
        id,
        Verdict::Pass,
        format!("{instance_id} in {zone_id} has the role {role}"),
    ))
}

fn silent(why: &str, hint: Option<&str>) -> Finding {
    let says = "the metadata service does not answer: without it there is no role and no zone";
    let finding = Finding::new(Id::Role.name(), Verdict::Fail, says).shown_by(why);
    let finding = hint.into_iter().fold(finding, Finding::mended_by);
    // Something else that answers is not switched on.
    if !why.contains(" within ") {
        return finding;
    }
    finding.mended_by(
        "aws ec2 modify-instance-metadata-options --http-endpoint enabled --http-tokens required \
         --instance-id INSTANCE",
    )
}

#[cfg(test)]
impl Identity {
    /// A host in the first zone.
    pub(crate) fn sample() -> Self {
        Self {
            instance_id: "i-0aaaaaaaaaaaaaaaa".into(),
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            zone: "eu-west-1a".into(),
            zone_id: Some("euw1-az1".into()),
            role: Some("ci-controller".into()),
            role_trouble: None,
            private_ip: Ipv4Addr::new(10, 0, 1, 15),
            private_name: Some("ip-10-0-1-15.eu-west-1.compute.internal".into()),
            mac: Some("0a:00:00:00:00:01".into()),
            vpc: Some("vpc-0aaaaaaaaaaaaaaaa".into()),
            subnet: Some("subnet-0aaaaaaaaaaaaaaaa".into()),
            security_groups: vec!["sg-0bbbbbbbbbbbbbbbb".into()],
            group: Some("ci-controller".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::host::stage::Stage;

    const DOCUMENT: &str = r#"{"instanceId": "i-0aaaaaaaaaaaaaaaa", "accountId": "123456789012",
        "region": "eu-west-1", "availabilityZone": "eu-west-1a", "imageId": "ami-1",
        "privateIp": "10.0.1.15"}"#;
    const CREDENTIALS: &str = r#"{"Code": "Success", "AccessKeyId": "AKIASECRET",
        "SecretAccessKey": "very secret", "Token": "secret too"}"#;
    const LEAVES: [(&str, &str); 10] = [
        ("dynamic/instance-identity/document", DOCUMENT),
        ("meta-data/placement/availability-zone-id", "euw1-az1"),
        ("meta-data/iam/security-credentials/", "ci-controller"),
        ("meta-data/iam/security-credentials/ci-controller", CREDENTIALS),
        ("meta-data/local-hostname", "ip-10-0-1-15.eu-west-1.compute.internal"),
        ("meta-data/mac", "0a:00:00:00:00:01"),
        ("meta-data/network/interfaces/macs/0a:00:00:00:00:01/vpc-id", "vpc-0aaaaaaaaaaaaaaaa"),
        (
            "meta-data/network/interfaces/macs/0a:00:00:00:00:01/subnet-id",
            "subnet-0aaaaaaaaaaaaaaaa",
        ),
        (
            "meta-data/network/interfaces/macs/0a:00:00:00:00:01/security-group-ids",
            "sg-0bbbbbbbbbbbbbbbb\n$(reboot)\n",
        ),
        ("meta-data/tags/instance/aws:autoscaling:groupName", "ci-controller"),
    ];

    async fn found(leaves: &[(&str, &str)]) -> (Look<Seen>, Finding) {
        let mut stage = Stage::new();
        stage.metadata(leaves, Duration::ZERO).await;
        let seen = look(&stage.scene()).await;
        let finding = judge(seen.as_ref().unwrap(), &stage.case());
        (seen, finding)
    }

    #[tokio::test]
    async fn who_a_host_is_is_told_in_a_second_and_no_secret_of_it() {
        let mut leaves = LEAVES.to_vec();
        leaves[8].1 = "sg-0bbbbbbbbbbbbbbbb\n";
        let (seen, finding) = found(&leaves).await;
        let seen = seen.unwrap();
        assert_eq!(seen, Seen::Told(Box::new(Identity::sample())));
        assert!(!serde_json::to_string(&seen).unwrap().contains("ecret"));
        insta::assert_snapshot!(crate::doctor::efs::host::stage::told(&finding));
    }

    #[tokio::test]
    async fn a_host_without_a_role_or_with_one_that_nobody_may_take_is_told_what_helps() {
        let without: Vec<_> = LEAVES.iter().filter(|it| !it.0.contains("iam/")).copied().collect();
        let (seen, first) = found(&without).await;
        assert!(matches!(seen.unwrap(), Seen::Told(it) if it.role.is_none()));
        let mut refused = LEAVES.to_vec();
        refused[3].1 = r#"{"Code": "AssumeRoleUnauthorizedAccess"}"#;
        let (_, second) = found(&refused).await;
        insta::assert_snapshot!(crate::doctor::render(&[first, second]));
    }

    #[tokio::test]
    async fn a_service_that_is_none_and_one_that_is_silent_fail() {
        let (_, page) = found(&[("dynamic/instance-identity/document", "<html>log in")]).await;
        let (_, absent) = found(&[]).await;
        let mut stage = Stage::new();
        // Nobody listens there.
        stage.imds =
            Some(Imds::new(Some("http://127.0.0.1:1"), Duration::from_millis(200)).unwrap());
        let seen = look(&stage.scene()).await.unwrap();
        let refused = judge(&seen, &stage.case());
        insta::assert_snapshot!(crate::doctor::render(&[page, absent, refused]));
    }

    #[tokio::test]
    async fn a_file_system_of_another_region_cannot_be_mounted() {
        let mut stage = Stage::new();
        stage.asked.region = "us-east-1".to_owned();
        let seen = Seen::Told(Box::new(Identity::sample()));
        insta::assert_snapshot!(crate::doctor::render(&[judge(&seen, &stage.case())]));
    }
}
