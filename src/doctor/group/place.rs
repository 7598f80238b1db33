//! Whether the home can be mounted wherever the group may launch, and is backed up.

use jiff::SignedDuration;

use super::{Home, Subject};
use crate::aws::efs::TargetState;
use crate::aws::instances::Subnet;
use crate::doctor::{Finding, Verdict};

const ID: &str = "home.zones";

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    if !subject.is_controller() {
        return Vec::new();
    }
    let home = match &subject.home {
        Err(gap) => return vec![Finding::untold(ID, "where the home can be mounted", gap)],
        Ok(None) => {
            let says = "which file system the home is on is not known: neither the user-data nor the \
                        controller says it";
            return vec![Finding::new(ID, Verdict::Skip, says)];
        }
        Ok(Some(home)) => home,
    };
    let zones = match &subject.subnets {
        Err(gap) => Finding::untold(ID, "in which zones the group launches", gap),
        Ok(subnets) => zones(subject, home, subnets),
    };
    let all = [state(home), zones, backup(subject, home)];
    all.into_iter().chain(age(subject, home)).collect()
}

/// Whether the file system can be mounted at all.
fn state(home: &Home) -> Finding {
    const ID: &str = "home.state";
    let Home { file_system: id, state, .. } = home;
    // While its throughput is changed, it serves.
    if matches!(state.as_str(), "available" | "updating") {
        return Finding::new(ID, Verdict::Pass, format!("{id} is {state}"));
    }
    let says = format!("the home's file system {id} is {state}: no host can mount it");
    Finding::new(ID, Verdict::Fail, says).mended_by("hostkit efs check tells what can be done")
}

/// A backup of each day is never older: one has failed, or was not begun.
const OLD: SignedDuration = SignedDuration::from_hours(48);

/// How old the newest backup is, where there are to be any.
fn age(subject: &Subject, home: &Home) -> Option<Finding> {
    const ID: &str = "home.backup-age";
    let id = &home.file_system;
    let newest = match &home.newest_backup {
        _ if home.backed_up == Ok(false) => return None,
        Err(gap) => return Some(Finding::untold(ID, "how old the newest backup is", gap)),
        Ok(newest) => newest,
    };
    let Some(newest) = newest else {
        let says = format!("{id} has no backup yet that could be restored");
        let fix = "hostkit efs backup status tells what AWS Backup has done; the first one comes \
                   within a day";
        return Some(Finding::new(ID, Verdict::Warn, says).mended_by(fix));
    };
    let hours = subject.now.duration_since(*newest).as_hours();
    let says = format!("the newest backup of {id} is {hours} h old");
    if subject.now.duration_since(*newest) <= OLD {
        return Some(Finding::new(ID, Verdict::Pass, says));
    }
    let says = format!("{says}: what has changed since cannot be taken back");
    let finding = Finding::new(ID, Verdict::Warn, says).shown_by(format!("begun {newest}"));
    Some(finding.mended_by("hostkit efs backup status tells why there is no newer one"))
}

fn backup(subject: &Subject, home: &Home) -> Finding {
    const ID: &str = "home.backup";
    let id = &home.file_system;
    match &home.backed_up {
        Err(gap) => Finding::untold(ID, "whether the home is backed up", gap),
        Ok(true) => Finding::new(ID, Verdict::Pass, format!("{id} is backed up each day")),
        Ok(false) => {
            let says = format!(
                "EFS makes no backups of {id}: what a newer Jenkins or plugin writes into it cannot be \
                 taken back"
            );
            let fix =
                format!("put-backup-policy --file-system-id {id} --backup-policy Status=ENABLED");
            Finding::new(ID, Verdict::Warn, says).mended_by(subject.mend().aws("efs", &fix))
        }
    }
}

fn zones(subject: &Subject, home: &Home, subnets: &[Subnet]) -> Finding {
    let served = |subnet: &Subnet| {
        home.targets.iter().any(|it| it.zone_id == subnet.zone_id && it.state != TargetState::Gone)
    };
    let bare: Vec<_> = subnets.iter().filter(|subnet| !served(subnet)).collect();
    let id = &home.file_system;
    if bare.is_empty() {
        let names: Vec<_> = subnets.iter().map(|it| it.zone.as_str()).collect();
        let says = format!("{id} can be mounted in {}", names.join(", "));
        return Finding::new(ID, Verdict::Pass, says);
    }
    let names: Vec<_> = bare.iter().map(|it| it.zone.as_str()).collect();
    let names = names.join(", ");
    let (verdict, says) = if home.cross_az && !home.targets.is_empty() {
        let says =
            format!("a host in {names} mounts {id} across zones: it dies with that zone, too");
        (Verdict::Warn, says)
    } else {
        let says = format!(
            "{id} has no mount target in {names}: a host that is launched there has no home"
        );
        (Verdict::Fail, says)
    };
    let finding = Finding::new(ID, verdict, says);
    let seen = home.targets.iter().map(|it| format!("{} is in {}", it.id, it.zone_id));
    let finding = seen.fold(finding, Finding::shown_by);
    if let Some(zone) = &home.zone {
        let keep = subnets.iter().filter(|it| it.zone == *zone).map(|it| it.id.as_str());
        let keep = keep.collect::<Vec<_>>().join(",");
        return finding
            .shown_by(format!("the file system is in {zone} only"))
            .mended_by(subject.mend().update(&format!("--vpc-zone-identifier {keep}")));
    }
    bare.iter().fold(finding, |finding, subnet| {
        let make = format!("create-mount-target --file-system-id {id} --subnet-id {}", subnet.id);
        finding.mended_by(subject.mend().aws("efs", &make))
    })
}
