//! `ModifyImageAttribute`, `DescribeImageAttribute`, `ResetImageAttribute`: who may launch it, and
//! what is said of it.

use super::{find, mapping, own};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, set};
use crate::sim::image::{Image, State};
use crate::sim::xml::{leaf, node};

/// Who may launch an image: a kind (`userId`, `group`, `organizationArn`,
/// `organizationalUnitArn`) and a name.
type Permission = (String, String);

/// The fields of a permission, in requests and in answers.
const FIELDS: [(&str, &str); 4] = [
    ("UserId", "userId"),
    ("Group", "group"),
    ("OrganizationArn", "organizationArn"),
    ("OrganizationalUnitArn", "organizationalUnitArn"),
];

/// One change.
enum Change {
    Permissions { add: Vec<Permission>, remove: Vec<Permission> },
    Description(String),
    Imds,
}

/// `ModifyImageAttribute`.
pub fn modify(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let change = change(&mut query)?;
    let dry_run = query.finish()?;
    let image = own(call.here(), &id)?;
    if let Change::Permissions { add, remove } = &change {
        add.iter().chain(remove).try_for_each(check)?;
        check_sharing(image, add)?;
    }
    dry_run.end()?;
    match change {
        Change::Permissions { add, remove } => {
            image.shared_with.extend(add);
            image.shared_with.retain(|one| !remove.contains(one));
        }
        Change::Description(text) => image.description = text,
        Change::Imds => image.imds_support = Some("v2.0".to_owned()),
    }
    Ok(shape::done())
}

fn change(query: &mut Query) -> Answer<Change> {
    let attribute = query.text("Attribute");
    let mut found = Vec::new();
    if let Some(permissions) = permissions(query)? {
        found.push(permissions);
    }
    if let Some(text) = value_of(query, "Description", attribute.as_deref() == Some("description"))?
    {
        found.push(Change::Description(text));
    }
    match value_of(query, "ImdsSupport", attribute.as_deref() == Some("imdsSupport"))?.as_deref() {
        None => {}
        Some("v2.0") => found.push(Change::Imds),
        Some(other) => {
            return Err(Refusal::value(format!("Invalid value '{other}' for ImdsSupport")));
        }
    }
    match (found.pop(), found.is_empty()) {
        (Some(change), true) => Ok(change),
        (None, _) => Err(Refusal::missing("Attribute")),
        (Some(_), false) => {
            Err(Refusal::combination("Only one attribute can be modified at a time"))
        }
    }
}

/// `LaunchPermission.Add.N`, or the older form with `OperationType`.
fn permissions(query: &mut Query) -> Answer<Option<Change>> {
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    if let Some(mut change) = query.structure("LaunchPermission") {
        for (field, list) in [("Add", &mut add), ("Remove", &mut remove)] {
            for mut one in change.structures(field) {
                for (name, kind) in FIELDS {
                    list.extend(one.text(name).map(|who| (kind.to_owned(), who)));
                }
                one.done()?;
            }
        }
        change.done()?;
    }
    let operation = query.word("OperationType", &["add", "remove"])?;
    let list = if operation == Some("remove") { &mut remove } else { &mut add };
    for (name, kind) in [("UserId", "userId"), ("UserGroup", "group"), FIELDS[2], FIELDS[3]] {
        list.extend(query.list(name).into_iter().map(|who| (kind.to_owned(), who)));
    }
    let any = !(add.is_empty() && remove.is_empty());
    Ok(any.then_some(Change::Permissions { add, remove }))
}

fn value_of(query: &mut Query, field: &str, by_attribute: bool) -> Answer<Option<String>> {
    if by_attribute && let Some(value) = query.text("Value") {
        return Ok(Some(value));
    }
    let Some(mut structure) = query.structure(field) else { return Ok(None) };
    let value = structure.text("Value");
    structure.done()?;
    Ok(value)
}

fn check(permission: &Permission) -> Answer<()> {
    let (kind, who) = (permission.0.as_str(), permission.1.as_str());
    let arn = |what: &str| {
        who.starts_with("arn:aws") && who.contains(":organizations:") && who.contains(what)
    };
    let (fits, code) = match kind {
        "userId" => {
            let digits = who.len() == 12 && who.bytes().all(|byte| byte.is_ascii_digit());
            (digits, "InvalidAMIAttributeItemValue")
        }
        "group" => (who == "all", "InvalidAMIAttributeItemValue"),
        "organizationArn" => (arn(":organization/o-"), "InvalidParameterValue"),
        _ => (arn(":ou/o-"), "InvalidParameterValue"),
    };
    if fits {
        return Ok(());
    }
    let message = format!("Invalid attribute item value \"{who}\" for {kind} item type.");
    Err(Refusal::new(code, message))
}

fn check_sharing(image: &Image, add: &[Permission]) -> Answer<()> {
    if add.is_empty() {
        return Ok(());
    }
    if image.state == State::Disabled {
        let message = format!("Image {} is disabled and cannot be shared", image.id);
        return Err(Refusal::new("InvalidAMIID.Unavailable", message));
    }
    let public = add.iter().any(|(kind, _)| kind == "group");
    if public && image.mappings.iter().any(|one| one.encrypted) {
        return Err(Refusal::value("Snapshots encrypted with a KMS key cannot be public"));
    }
    Ok(())
}

/// `DescribeImageAttribute`.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let attributes = [
        "description",
        "kernel",
        "ramdisk",
        "launchPermission",
        "productCodes",
        "blockDeviceMapping",
        "sriovNetSupport",
        "bootMode",
        "tpmSupport",
        "uefiData",
        "lastLaunchedTime",
        "imdsSupport",
        "deregistrationProtection",
    ];
    let id = query.required("ImageId")?;
    let attribute = query.word("Attribute", &attributes)?;
    let attribute = attribute.ok_or_else(|| Refusal::missing("Attribute"))?;
    let dry_run = query.finish()?;
    let image = find(call.here(), &id)?;
    let private = matches!(attribute, "launchPermission" | "uefiData");
    if private && image.owner != ACCOUNT_ID {
        return Err(Refusal::new("AuthFailure", format!("Not authorized for image:{id}")));
    }
    dry_run.end()?;
    let value = |text: Option<&str>| text.map(|text| leaf("value", text)).unwrap_or_default();
    let inner = match attribute {
        "description" => value(Some(&image.description)),
        "sriovNetSupport" => value(image.sriov.as_deref()),
        "bootMode" => value(image.boot_mode.as_deref()),
        "tpmSupport" => value(image.tpm_support.as_deref()),
        "uefiData" => value(image.uefi_data.as_deref()),
        "imdsSupport" => value(image.imds_support.as_deref()),
        "lastLaunchedTime" => value(image.last_launched.map(shape::time).as_deref()),
        "deregistrationProtection" => value(image.protection.as_deref().or(Some("disabled"))),
        "blockDeviceMapping" => return Ok(leaf("imageId", &id) + &mapping::shape(&image.mappings)),
        "launchPermission" => {
            let all = image.shared_with.iter().map(|(kind, who)| leaf(kind, who));
            return Ok(leaf("imageId", &id) + &set("launchPermission", all));
        }
        // No image here has a kernel, a memory disk or a product code.
        _ => String::new(),
    };
    Ok(leaf("imageId", &id) + &node(attribute, &inner))
}

/// `ResetImageAttribute`: nobody but its owner may launch it.
pub fn reset(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("ImageId")?;
    let attribute = query.word("Attribute", &["launchPermission"])?;
    attribute.ok_or_else(|| Refusal::missing("Attribute"))?;
    let dry_run = query.finish()?;
    let image = own(call.here(), &id)?;
    dry_run.end()?;
    image.shared_with.clear();
    Ok(shape::done())
}
