//! Whether the file system is there and available.

use serde::{Deserialize, Serialize};

use crate::aws::efs::{self, FileSystem};
use crate::doctor::efs::host::role;
use crate::doctor::efs::scene::{Asked, Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

/// Where people forget that a file system is: the regions that have most of them.
const REGIONS: [&str; 4] = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1"];

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The file system, with all that EFS says of it; nothing if there is none of this id in this
    /// region.
    pub file_system: Option<FileSystem>,
    /// Where there is none: what else the account has in this region, as far as that may be read.
    #[serde(default)]
    pub others: Vec<FileSystem>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let aws = scene.aws()?;
    let file_system = efs::found(aws, &scene.asked.file_system).await?;
    // A list for the eye: without it the finding is as true.
    let others = match &file_system {
        Some(_) => Vec::new(),
        None => efs::file_systems(aws).await.unwrap_or_default(),
    };
    Ok(Seen { file_system, others })
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let Some(found) = &seen.file_system else { return absent(seen, case) };
    let say = |verdict, says: String| Finding::new(Id::Exists.name(), verdict, says);
    let what = called(found);
    let finding = match found.state.as_str() {
        "available" => return say(Verdict::Pass, format!("{what} is available: {}", traits(found))),
        "updating" => say(Verdict::Warn, format!("{what} is being changed"))
            .mended_by("it can be used meanwhile; look again in some minutes"),
        "creating" => say(Verdict::Fail, format!("{what} is still being created"))
            .mended_by("wait a minute, and look again"),
        "deleting" | "deleted" => say(Verdict::Fail, format!("{what} is being deleted"))
            .mended_by("nothing stops that: its backups are what is left, and they come back as a new one")
            .mended_by(format!(
                "hostkit efs backup list --file-system {} --region {}",
                found.id, case.asked.region
            )),
        "error" => say(Verdict::Fail, format!("{what} is broken, as AWS has it: its state is error"))
            .mended_by("only AWS can tell why: a support case with the id; look at the key that encrypts it first"),
        other => say(Verdict::Warn, format!("{what} is {other}, which is not known here")),
    };
    finding.shown_by(traits(found))
}

/// There is none of this id here.
fn absent(seen: &Seen, case: &Case<'_>) -> Finding {
    let Asked { file_system, region, .. } = case.asked;
    let mut finding = Finding::new(
        Id::Exists.name(),
        Verdict::Fail,
        format!("there is no file system {file_system} in {region}"),
    );
    for other in &seen.others {
        finding = finding.shown_by(format!("there is {}", called(other)));
    }
    if seen.others.is_empty() {
        finding = finding.shown_by("no other is known in this region, and account, either");
    }
    // The host's own region first: nobody mounts across regions by intent.
    let own = role::identity(case.observed).map(|identity| identity.region.as_str());
    let own = own.filter(|own| own != region);
    let rest = REGIONS.into_iter().filter(|it| it != region && Some(*it) != own);
    let regions: Vec<&str> = own.into_iter().chain(rest).collect();
    finding
        .mended_by(format!(
            "if the id is right, it is in another region or account: hostkit efs check --file-system \
             {file_system} --region {} (or {})",
            regions[0],
            regions[1..].join(", "),
        ))
        .mended_by("if it is not: `[efs] id` in /etc/hostkit/host.toml, from the recipe or user-data")
        .mended_by(format!(
            "if it was deleted: hostkit efs backup list --file-system {file_system} --region {region}"
        ))
}

/// Its id, and its name if it has one.
fn called(of: &FileSystem) -> String {
    match &of.name {
        Some(name) => format!("{} ({name})", of.id),
        None => of.id.clone(),
    }
}

/// What it is like, in a line.
fn traits(of: &FileSystem) -> String {
    let mode = match of.provisioned {
        Some(speed) => format!("{} ({speed} MiB/s)", of.throughput_mode),
        None => of.throughput_mode.clone(),
    };
    let sealed = match (&of.key, of.encrypted) {
        (Some(key), _) => format!("encrypted with {key}"),
        (None, true) => "encrypted".to_owned(),
        (None, false) => "not encrypted".to_owned(),
    };
    let place = match &of.zone {
        Some(zone) => format!("in {zone} only"),
        None => "in all zones".to_owned(),
    };
    let protection = match of.overwrite_protection.as_deref() {
        None | Some("ENABLED") => "",
        Some("REPLICATING") => ", the copy of another",
        Some(_) => ", may be overwritten by replication",
    };
    format!(
        "{mode}, {}, {sealed}, {place}, {}, {} mount target(s){protection}",
        of.performance_mode,
        size(of.bytes),
        of.targets
    )
}

/// In the largest unit of which there is one.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let unit = (0..UNITS.len()).rev().find(|power| bytes >> (10 * (power + 1)) > 0);
    match unit {
        None => format!("{bytes} B"),
        Some(power) => {
            let tenths = (bytes >> (10 * power)) * 10 / 1024;
            format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[power])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::api::sample::{asked, case, file_system, host};
    use crate::doctor::efs::observed::Cell;
    use crate::doctor::efs::table::Observed;
    use crate::doctor::render;

    fn with(change: impl FnOnce(&mut FileSystem)) -> Seen {
        let mut found = file_system();
        change(&mut found);
        Seen { file_system: Some(found), others: Vec::new() }
    }

    #[test]
    fn one_that_is_there_is_told_by_what_it_is_like() {
        let asked = asked(None);
        let observed = Observed::default();
        let finding = judge(&with(|_| ()), &case(&asked, &observed));
        assert_eq!(finding.verdict, Verdict::Pass);
        assert_eq!(
            finding.says,
            "fs-0123456789abcdef0 (ci-home) is available: elastic, generalPurpose, encrypted with \
             arn:aws:kms:eu-west-1:123456789012:key/0b1f, in all zones, 12.5 GiB, 2 mount target(s)"
        );
    }

    #[test]
    fn whatever_is_wrong_is_told_with_what_mends_it() {
        let (out, on_host) = (asked(None), asked(Some(host())));
        let mut observed = Observed::default();
        let abroad = role::Identity { region: "us-west-2".into(), ..role::Identity::sample() };
        observed.role = Cell::of(role::Seen::Told(Box::new(abroad)));
        let findings = [
            judge(&with(|it| it.state = "creating".into()), &case(&out, &Observed::default())),
            judge(&with(|it| it.state = "deleting".into()), &case(&out, &Observed::default())),
            judge(&with(|it| it.state = "error".into()), &case(&out, &Observed::default())),
            judge(&with(|it| it.state = "updating".into()), &case(&out, &Observed::default())),
            judge(&with(|it| it.state = "odd".into()), &case(&out, &Observed::default())),
            judge(&Seen::default(), &case(&out, &Observed::default())),
            judge(
                &Seen { others: vec![file_system()], ..Seen::default() },
                &case(&on_host, &observed),
            ),
        ];
        insta::assert_snapshot!(render(&findings));
    }

    #[test]
    fn what_is_special_of_one_is_said() {
        let one = with(|it| {
            it.zone = Some("eu-west-1a".into());
            it.throughput_mode = "provisioned".into();
            it.provisioned = Some(128.0);
            it.key = None;
            it.encrypted = false;
            it.overwrite_protection = Some("REPLICATING".into());
        });
        let asked = asked(None);
        let says = judge(&one, &case(&asked, &Observed::default())).says;
        for part in ["128 MiB/s", "in eu-west-1a only", "not encrypted", "the copy of another"] {
            assert!(says.contains(part), "{says}");
        }
    }

    #[test]
    fn sizes_have_a_unit_that_fits() {
        let all = [0, 1023, 1024, 1536, 1 << 20, 12_884_901_888, 1 << 40].map(size);
        assert_eq!(all, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "12.0 GiB", "1.0 TiB"]);
        assert!(size(u64::MAX).ends_with("TiB"));
    }
}
