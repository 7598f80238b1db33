//! All that a version of a launch template says, field by field and in a few words: to tell what two
//! versions say otherwise. The user-data is told by its digest only: there may be secrets in it.

use std::collections::BTreeMap;
use std::fmt::Debug;

use aws_sdk_ec2::types::ResponseLaunchTemplateData;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::digest::sha256;

/// The fields that say something, by their names in EC2.
pub(super) fn of(told: &ResponseLaunchTemplateData) -> BTreeMap<&'static str, String> {
    let all = [
        ("BlockDeviceMappings", said(told.block_device_mappings.as_ref())),
        (
            "CapacityReservationSpecification",
            said(told.capacity_reservation_specification.as_ref()),
        ),
        ("CpuOptions", said(told.cpu_options.as_ref())),
        ("CreditSpecification", said(told.credit_specification.as_ref())),
        ("DisableApiStop", said(told.disable_api_stop.as_ref())),
        ("DisableApiTermination", said(told.disable_api_termination.as_ref())),
        ("EbsOptimized", said(told.ebs_optimized.as_ref())),
        ("EnclaveOptions", said(told.enclave_options.as_ref())),
        ("HibernationOptions", said(told.hibernation_options.as_ref())),
        ("IamInstanceProfile", said(told.iam_instance_profile.as_ref())),
        ("ImageId", said(told.image_id.as_ref())),
        (
            "InstanceInitiatedShutdownBehavior",
            said(told.instance_initiated_shutdown_behavior.as_ref()),
        ),
        ("InstanceMarketOptions", said(told.instance_market_options.as_ref())),
        ("InstanceRequirements", said(told.instance_requirements.as_ref())),
        ("InstanceType", told.instance_type.as_ref().map(|it| it.as_str().to_owned())),
        ("KernelId", said(told.kernel_id.as_ref())),
        ("KeyName", said(told.key_name.as_ref())),
        ("LicenseSpecifications", said(told.license_specifications.as_ref())),
        ("MaintenanceOptions", said(told.maintenance_options.as_ref())),
        ("MetadataOptions", said(told.metadata_options.as_ref())),
        ("Monitoring", said(told.monitoring.as_ref())),
        ("NetworkInterfaces", said(told.network_interfaces.as_ref())),
        ("NetworkPerformanceOptions", said(told.network_performance_options.as_ref())),
        ("Placement", said(told.placement.as_ref())),
        ("PrivateDnsNameOptions", said(told.private_dns_name_options.as_ref())),
        ("RamDiskId", said(told.ram_disk_id.as_ref())),
        ("SecondaryInterfaces", said(told.secondary_interfaces.as_ref())),
        ("SecurityGroupIds", said(told.security_group_ids.as_ref())),
        ("SecurityGroups", said(told.security_groups.as_ref())),
        ("TagSpecifications", said(told.tag_specifications.as_ref())),
        ("UserData", told.user_data.as_deref().map(user_data)),
    ];
    all.into_iter().filter_map(|(name, words)| Some((name, words?))).collect()
}

fn user_data(text: &str) -> String {
    let bytes = STANDARD.decode(text.trim()).unwrap_or_default();
    format!("{} bytes, sha256 {}", bytes.len(), &sha256(&bytes)[..12])
}

fn said<T: Debug>(value: Option<&T>) -> Option<String> {
    let words = brief(&format!("{:?}", value?));
    (words != "[]").then_some(words)
}

/// What the SDK's `Debug` says, without the names of its types and what is absent. Text in quotes stays
/// as it is, so that nothing that differs looks alike.
fn brief(text: &str) -> String {
    let mut out = String::new();
    // Whether each parenthesis that is open is shown.
    let mut open = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if next == '"' {
            let (quoted, after) = rest.split_at(end_of_quote(rest));
            out += quoted;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("Some(") {
            open.push(false);
            rest = after;
        } else if let Some(after) = rest.strip_prefix(": None") {
            out.truncate(out.trim_end_matches(is_name).len());
            let is_first = !out.ends_with(", ");
            out.truncate(out.strip_suffix(", ").unwrap_or(&out).len());
            rest = if is_first { after.strip_prefix(", ").unwrap_or(after) } else { after };
        } else if let Some(after) = rest.strip_prefix(" {") {
            out.truncate(out.trim_end_matches(is_name).len());
            out.push('{');
            rest = after;
        } else {
            let shown = match next {
                '(' => {
                    open.push(true);
                    true
                }
                ')' => open.pop() != Some(false),
                _ => true,
            };
            if shown {
                out.push(next);
            }
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Where a text in quotes ends that this begins with.
fn end_of_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{
        LaunchTemplateBlockDeviceMapping, LaunchTemplateEbsBlockDevice,
        LaunchTemplateTagSpecification, ResourceType, Tag, VolumeType,
    };

    use super::*;

    #[test]
    fn what_a_version_says_is_short_and_keeps_what_it_quotes() {
        let ebs = LaunchTemplateEbsBlockDevice::builder().volume_size(20);
        let ebs = ebs.volume_type(VolumeType::Gp3).build();
        let disk = LaunchTemplateBlockDeviceMapping::builder().device_name("/dev/xvda").ebs(ebs);
        let tag = Tag::builder().key("Name").value("ci: None, Some(\"x\") {").build();
        let tags = LaunchTemplateTagSpecification::builder();
        let tags = tags.resource_type(ResourceType::Instance).tags(tag).build();
        let told = ResponseLaunchTemplateData::builder()
            .ebs_optimized(true)
            .instance_type("m5.large".into())
            .block_device_mappings(disk.build())
            .tag_specifications(tags)
            .user_data(STANDARD.encode("[jenkins]\n"))
            .build();
        let fields = of(&told);
        let disks = r#"[{ device_name: "/dev/xvda", ebs: { volume_size: 20, volume_type: Gp3 } }]"#;
        assert_eq!(fields["BlockDeviceMappings"], disks);
        assert_eq!((&*fields["EbsOptimized"], &*fields["InstanceType"]), ("true", "m5.large"));
        assert!(fields["UserData"].starts_with("10 bytes, sha256 "), "{fields:?}");
        let tags = &fields["TagSpecifications"];
        assert!(tags.contains(r#"value: "ci: None, Some(\"x\") {""#), "{tags}");
        assert_eq!(fields.len(), 5, "{fields:?}");
    }

    #[test]
    fn no_field_is_left_out() {
        // Who manages the template is nothing that hosts are launched with; the others are no more.
        const OTHERS: usize = 3;
        let all = format!("{:?}", ResponseLaunchTemplateData::builder().build());
        let source = include_str!("fields.rs").split("#[cfg(test)]").next().unwrap();
        let there = source.matches("told.").count();
        // The user-data has no other word in `Debug`.
        assert_eq!(all.matches(": ").count(), there + OTHERS, "{all}");
    }
}
