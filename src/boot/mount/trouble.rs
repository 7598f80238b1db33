//! What those say who mount, sorted by the cause and by whether time heals it.
//!
//! `mount.nfs` and `mount.efs` say it in words only, to the journal of the mount unit.

use super::attempts::{Problem, Then};
use super::wanted::Wanted;
use crate::error::Fault;

/// Why a mount was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    NotResolved,
    TimedOut,
    Refused,
    NoRoute,
    Denied,
    NoCredentials,
    Reset,
    Stale,
    Option,
    NoClient,
    NoPoint,
    NoFolder,
    Tunnel,
    Throttled,
    Other,
}

use Trouble::{
    Denied, NoClient, NoCredentials, NoFolder, NoPoint, NoRoute, NotResolved, Other, Refused,
    Reset, Stale, Throttled, TimedOut, Tunnel,
};

/// What they say, in lower case, and what it means. The first that fits counts: `mount.efs` repeats
/// what others have said and adds its own guess.
const SAID: &[(&str, Trouble)] = &[
    ("access denied by server", Denied),
    ("aws credentials", NoCredentials),
    ("security credentials", NoCredentials),
    ("throttl", Throttled),
    ("too many requests", Throttled),
    ("failed to resolve", NotResolved),
    ("name or service not known", NotResolved),
    ("temporary failure in name resolution", NotResolved),
    ("stale file handle", Stale),
    ("reset by peer", Reset),
    ("connection timed out", TimedOut),
    ("connection refused", Refused),
    ("no route to host", NoRoute),
    ("network is unreachable", NoRoute),
    ("incorrect mount option", Trouble::Option),
    ("unknown filesystem type", NoClient),
    ("helper program", NoClient),
    ("no such device", NoClient),
    ("mount point", NoPoint),
    ("reason given by server: no such file or directory", NoFolder),
    ("no such file or directory", NoFolder),
    ("tunnel", Tunnel),
    ("stunnel", Tunnel),
    ("efs-proxy", Tunnel),
];

impl Trouble {
    /// What the words of whoever mounted mean.
    pub(super) fn of(said: &str) -> Self {
        let said = said.to_lowercase();
        let found = SAID.iter().find(|(words, trouble)| {
            said.contains(words) && (*trouble != NoPoint || said.contains("does not exist"))
        });
        found.map_or(Other, |(_, trouble)| *trouble)
    }

    /// Whether another attempt may succeed.
    pub(super) const fn then(self, wanted: &Wanted) -> Then {
        match self {
            // A new access point is not known everywhere at once.
            Denied | NoFolder if wanted.access_point.is_some() => Then::Again,
            Denied | Self::Option | NoClient | NoPoint | NoFolder => Then::Never,
            Reset | Throttled => Then::Later,
            NotResolved | TimedOut | Refused | NoRoute | NoCredentials | Stale | Tunnel | Other => {
                Then::Again
            }
        }
    }

    const fn words(self) -> &'static str {
        match self {
            NotResolved => "the name of the file system does not resolve",
            TimedOut => "the server did not answer the mount in time",
            Refused => "the server refused the connection of the mount",
            NoRoute => "there is no route to the server",
            Denied => "the server answers, but it does not let this host mount",
            NoCredentials => "amazon-efs-utils found no credentials for `iam`",
            Reset => "the server broke off the connection of the mount",
            Stale => "the server does not know the file system any more",
            Self::Option => "an option of the mount is not understood",
            NoClient => "this machine cannot mount a file system of this kind",
            NoPoint => "the mount point is not there",
            NoFolder => "the folder that is to be mounted is not on the file system",
            Tunnel => "the encrypted connection of amazon-efs-utils does not come up",
            Throttled => "AWS has had too many calls",
            Other => "the file system could not be mounted",
        }
    }

    fn hint(self, wanted: &Wanted) -> String {
        match self {
            NotResolved => {
                "the VPC needs DNS support and host names, and the zone a mount target".to_owned()
            }
            TimedOut | Refused | NoRoute | Reset => {
                "the probe went through: look at the mount target's state and at network ACLs"
                    .to_owned()
            }
            Denied => denied(wanted),
            NoCredentials => "the instance needs an IAM instance profile".to_owned(),
            Stale => "the mount target was made anew, or the file system is gone: check it in EFS"
                .to_owned(),
            Self::Option if wanted.needs_utils() => {
                "this version of amazon-efs-utils is too old for the options".to_owned()
            }
            Self::Option => "the kernel's NFS client is too old: 4.1 is needed".to_owned(),
            NoClient => {
                "install the NFS client (`nfs-common` or `nfs-utils`) in the image".to_owned()
            }
            NoPoint => "the image must have the folder".to_owned(),
            NoFolder => "the access point's root folder is not there: give it CreationInfo, or \
                         make the folder"
                .to_owned(),
            Tunnel => "journalctl -u amazon-efs-mount-watchdog; /var/log/amazon/efs/mount.log; \
                       does the security group of the mount target allow this host?"
                .to_owned(),
            Throttled => "it is tried again, later each time".to_owned(),
            Other => "the lines above are the mount unit's own".to_owned(),
        }
    }

    /// As the problem of an attempt. `error` is what was run, with what it said.
    pub(super) fn problem(self, error: anyhow::Error, wanted: &Wanted) -> Problem {
        let fault = Fault::step(self.words()).hint(self.hint(wanted));
        Problem { error: error.context(fault), then: self.then(wanted) }
    }
}

fn denied(wanted: &Wanted) -> String {
    let actions = "`elasticfilesystem:ClientMount`, `ClientWrite` and `ClientRootAccess`";
    match (&wanted.access_point, wanted.iam) {
        (Some(id), _) => format!(
            "is {id} an access point of {} and `available`? And its policy must allow the \
             instance role {actions}",
            wanted.id
        ),
        (None, true) => {
            format!("the policy of {} must allow the instance role {actions}", wanted.id)
        }
        (None, false) => format!(
            "the policy of {} must allow anonymous clients {actions}, or set `{section}.tls` and \
             `{section}.iam`",
            wanted.id,
            section = wanted.section
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostConfig;

    fn wanted(more: &str) -> Wanted {
        let text = format!("[efs]\nid = 'fs-0123456789abcdef0'\n{more}");
        Wanted::home(&toml::from_str::<HostConfig>(&text).unwrap()).unwrap()
    }

    #[test]
    fn what_mount_says_is_told_apart() {
        let device = "mount.nfs4: mounting 10.0.0.1:/ failed, reason given by server: No such file \
                      or directory";
        let bad = "mount: /x: bad option; for several filesystems (e.g. nfs, cifs) you might need a \
                   /sbin/mount.<type> helper program.";
        for (said, trouble) in [
            ("mount.nfs4: access denied by server while mounting 10.0.0.1:/", Denied),
            ("b'mount.nfs4: access denied by server while mounting 127.0.0.1:/'", Denied),
            ("mount.nfs4: Connection reset by peer", Reset),
            ("mount.nfs4: Connection timed out", TimedOut),
            ("mount.nfs4: Connection refused", Refused),
            ("mount.nfs4: No route to host", NoRoute),
            ("mount.nfs4: Stale file handle", Stale),
            ("mount.nfs4: an incorrect mount option was specified", Trouble::Option),
            ("mount.nfs4: Failed to resolve server x: Name or service not known", NotResolved),
            ("Failed to resolve \"fs-1.efs.eu-west-1.amazonaws.com\" - check that", NotResolved),
            ("mount.nfs4: mount point /x does not exist", NoPoint),
            ("mount: /x: unknown filesystem type 'nfs4'.", NoClient),
            ("An error occurred (ThrottlingException) when calling the Describe", Throttled),
            (
                "AWS Access Key ID and Secret Access Key are not found in AWS credentials",
                NoCredentials,
            ),
            ("Failed to start TLS tunnel (errno=1)", Tunnel),
            (device, NoFolder),
            (bad, NoClient),
            ("mount.nfs4: something else", Other),
        ] {
            assert_eq!(Trouble::of(said), trouble, "{said}");
        }
    }

    #[test]
    fn time_heals_what_it_can() {
        let (plain, point) = (wanted(""), wanted("tls = true\naccess_point = 'fsap-1'"));
        assert_eq!(Denied.then(&plain), Then::Never);
        assert_eq!(Denied.then(&point), Then::Again, "it may be new");
        assert_eq!(Reset.then(&plain), Then::Later);
        assert_eq!(Throttled.then(&plain), Then::Later);
        assert_eq!(NoClient.then(&point), Then::Never);
        assert_eq!(Other.then(&plain), Then::Again);
    }

    #[test]
    fn every_trouble_has_words_and_a_hint() {
        let all = [
            NotResolved,
            TimedOut,
            Refused,
            NoRoute,
            Denied,
            NoCredentials,
            Reset,
            Stale,
            Trouble::Option,
            NoClient,
            NoPoint,
            NoFolder,
            Tunnel,
            Throttled,
            Other,
        ];
        let plain = wanted("");
        let iam = wanted("tls = true\niam = true");
        let point = wanted("tls = true\naccess_point = 'fsap-1'");
        let mut text = String::new();
        for trouble in all {
            text += &format!("{}\n  hint: {}\n", trouble.words(), trouble.hint(&plain));
        }
        for wanted in [iam, point] {
            text += &format!("with more\n  hint: {}\n", Denied.hint(&wanted));
        }
        insta::assert_snapshot!(text);
    }
}
