//! Whether the access point is there, and whose files it makes.

use serde::{Deserialize, Serialize};

use crate::aws::efs::{self, AccessPoint};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The access point that this host is told to mount through; nothing if it is told none.
    pub wanted: Option<String>,
    /// It; nothing if there is none of that id in this region.
    pub access_point: Option<AccessPoint>,
    /// From outside, where nobody says which: all that the file system has.
    #[serde(default)]
    pub others: Vec<AccessPoint>,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let mut seen = Seen::default();
    match &scene.asked.host {
        None => seen.others = efs::access_points(scene.aws()?, &scene.asked.file_system).await?,
        Some(host) => {
            seen.wanted.clone_from(&host.efs.access_point);
            if let Some(id) = &seen.wanted {
                seen.access_point = efs::access_point(scene.aws()?, id).await?;
            }
        }
    }
    Ok(seen)
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let Some(wanted) = &seen.wanted else { return unasked(seen, case) };
    let Some(point) = &seen.access_point else {
        let says = format!("there is no access point {wanted} in {}", case.asked.region);
        return list(say(Verdict::Fail, says), case)
            .mended_by("the right one into host.toml: `[efs] access_point`");
    };
    if point.file_system != case.asked.file_system {
        let says = format!("{wanted} is an access point of {}", point.file_system);
        let finding = say(Verdict::Fail, says).shown_by(line(point));
        return list(finding, case).mended_by(format!(
            "one of {} into host.toml: `[efs] access_point`",
            case.asked.file_system
        ));
    }
    let broken = match point.state.as_str() {
        "available" => return available(point),
        "creating" => "is still being created",
        "updating" => "is being changed",
        "deleting" | "deleted" => "is being deleted",
        _ => "is broken, as AWS has it",
    };
    let verdict = if point.state == "updating" { Verdict::Warn } else { Verdict::Fail };
    let finding = say(verdict, format!("{wanted} {broken}")).shown_by(line(point));
    match point.state.as_str() {
        "creating" | "updating" => finding.mended_by("wait a minute, and look again"),
        _ => finding
            .mended_by(format!("one that leads to the same folder: {}", create(point, case)))
            .mended_by("then its id into host.toml: `[efs] access_point`"),
    }
}

/// It can be used. What lies beside its root is out of its sight, and so are restores.
fn available(point: &AccessPoint) -> Finding {
    if point.path == "/" {
        return say(Verdict::Pass, line(point));
    }
    let says = format!(
        "{} leads to {}: what AWS Backup restores lies beside that, and cannot be seen through it",
        point.id, point.path
    );
    let finding = say(Verdict::Warn, says).shown_by(line(point));
    let finding = match &point.creation {
        Some(_) => finding,
        None => finding.shown_by(format!(
            "{} is not made at the first mount: where it is not there, a mount is refused",
            point.path
        )),
    };
    finding.mended_by(
        "a recovery needs a mount of the root: an access point whose path is `/`, or none, for as \
         long as it takes",
    )
}

/// No host says which.
fn unasked(seen: &Seen, case: &Case<'_>) -> Finding {
    if case.here().is_some() {
        return say(
            Verdict::Pass,
            "none is asked for: the root of the file system is mounted".into(),
        );
    }
    let odd: Vec<_> = seen.others.iter().filter(|point| point.state != "available").collect();
    match (odd.first(), seen.others.len()) {
        (None, 0) => say(Verdict::Pass, "the file system has none".to_owned()),
        (None, count) => {
            let lines: Vec<_> = seen.others.iter().map(line).collect();
            say(Verdict::Pass, format!("{count} access point(s): {}", lines.join("; ")))
        }
        (Some(point), _) => {
            let finding = say(Verdict::Warn, format!("{} is {}", point.id, point.state));
            odd.iter().fold(finding, |finding, point| finding.shown_by(line(point)))
        }
    }
}

/// An access point, in a line.
fn line(point: &AccessPoint) -> String {
    let who = match &point.user {
        None => "everybody stays who he is".to_owned(),
        Some(user) => {
            let groups: Vec<_> = user.groups.iter().map(i64::to_string).collect();
            let further =
                if groups.is_empty() { String::new() } else { format!(" ({})", groups.join(" ")) };
            format!("everybody is {}:{}{further}", user.uid, user.gid)
        }
    };
    let made = match &point.creation {
        None => String::new(),
        Some(it) => format!(", made as {}:{} {} if it is not there", it.uid, it.gid, it.mode),
    };
    let name = point.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    format!(
        "{}{name} of {} is {}: {}{made}, {who}",
        point.id, point.file_system, point.state, point.path
    )
}

/// The command that makes another like it.
fn create(point: &AccessPoint, case: &Case<'_>) -> String {
    let user = point.user.as_ref().map_or_else(String::new, |user| {
        format!(" --posix-user Uid={},Gid={}", user.uid, user.gid)
    });
    let made = point.creation.as_ref().map_or_else(String::new, |it| {
        format!(",CreationInfo={{OwnerUid={},OwnerGid={},Permissions={}}}", it.uid, it.gid, it.mode)
    });
    format!(
        "aws efs create-access-point --file-system-id {}{user} --root-directory \
         'Path={}{made}' --region {}",
        case.asked.file_system, point.path, case.asked.region
    )
}

fn list(finding: Finding, case: &Case<'_>) -> Finding {
    finding.mended_by(format!(
        "which there are: aws efs describe-access-points --file-system-id {} --region {}",
        case.asked.file_system, case.asked.region
    ))
}

fn say(verdict: Verdict, says: String) -> Finding {
    Finding::new(Id::AccessPoint.name(), verdict, says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::efs::{Creation, PosixUser};
    use crate::doctor::efs::api::sample::{FILE_SYSTEM, asked, case, host};
    use crate::doctor::efs::table::Observed;
    use crate::doctor::render;

    fn point() -> AccessPoint {
        AccessPoint {
            id: "fsap-0123456789abcdef0".into(),
            name: Some("ci".into()),
            file_system: FILE_SYSTEM.into(),
            state: "available".into(),
            user: Some(PosixUser { uid: 1000, gid: 1000, groups: vec![50] }),
            path: "/".into(),
            ..AccessPoint::default()
        }
    }

    fn judged(point: Option<AccessPoint>) -> Finding {
        let wanted = Some("fsap-0123456789abcdef0".to_owned());
        let seen = Seen { wanted, access_point: point, others: Vec::new() };
        let asked = asked(Some(host()));
        judge(&seen, &case(&asked, &Observed::default()))
    }

    #[test]
    fn one_that_leads_to_the_root_is_told_with_who_everybody_is() {
        let finding = judged(Some(point()));
        assert_eq!(finding.verdict, Verdict::Pass);
        assert_eq!(
            finding.says,
            "fsap-0123456789abcdef0 (ci) of fs-0123456789abcdef0 is available: /, everybody is \
             1000:1000 (50)"
        );
    }

    #[test]
    fn where_none_is_asked_for_there_is_nothing_wrong() {
        let (on_host, out) = (asked(Some(host())), asked(None));
        let judged = |seen: &Seen, asked| judge(seen, &case(asked, &Observed::default()));
        assert_eq!(judged(&Seen::default(), &on_host).verdict, Verdict::Pass);
        assert_eq!(judged(&Seen::default(), &out).verdict, Verdict::Pass);
        let mut all = Seen { others: vec![point()], ..Seen::default() };
        assert!(judged(&all, &out).says.starts_with("1 access point(s): fsap-"));
        all.others[0].state = "error".into();
        assert_eq!(judged(&all, &out).verdict, Verdict::Warn);
    }

    #[test]
    fn whatever_is_wrong_is_told_with_what_mends_it() {
        let with = |change: fn(&mut AccessPoint)| {
            let mut point = point();
            change(&mut point);
            judged(Some(point))
        };
        let findings = [
            judged(None),
            with(|it| it.file_system = "fs-0ffffffffffffffff".into()),
            with(|it| it.state = "creating".into()),
            with(|it| it.state = "updating".into()),
            with(|it| {
                it.state = "deleting".into();
                it.path = "/ci".into();
                it.creation = Some(Creation { uid: 1000, gid: 1000, mode: "0755".into() });
            }),
            with(|it| it.state = "error".into()),
            with(|it| {
                it.path = "/ci".into();
                it.user = None;
            }),
        ];
        insta::assert_snapshot!(render(&findings));
    }
}
