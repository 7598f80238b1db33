//! Why the work on the file system was not done, in words for the person who has to act.

use std::io;
use std::time::Duration;

use camino::Utf8PathBuf;
use nix::libc;
use thiserror::Error;

use super::Answer;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum Trouble {
    /// Below the mount point lies the root disk: nothing is looked for there.
    #[error("no network file system is mounted at {0}")]
    NotMounted(Utf8PathBuf),
    /// The file system is a copy, or the wrong one is mounted.
    #[error("this file system is marked as {marked}, and this host is for {ours}")]
    Marked {
        /// What the mark says.
        marked: String,
        /// What the host is told.
        ours: String,
    },
    /// A record of one file system is not written to another.
    #[error("a record of {theirs} was to be written to {ours}")]
    Foreign {
        /// The file system of the record.
        theirs: String,
        /// The one that is mounted.
        ours: String,
    },
    /// Somebody else made it, or took it.
    #[error("{what} belongs to user {owner}, and not to user {ours}, as whom hostkit runs")]
    Owner {
        /// A name on the file system.
        what: String,
        /// Its owner.
        owner: u32,
        /// Who the owner must be.
        ours: u32,
    },
    /// Others could change it.
    #[error("{what} may be written by others than its owner (mode {mode:04o})")]
    Writable {
        /// A name on the file system.
        what: String,
        /// Its permissions.
        mode: u32,
    },
    /// A directory, a link, a pipe, … stands where a file must be.
    #[error("{0} is not a plain file")]
    NoFile(String),
    /// A file or a link stands where a directory must be.
    #[error("{0} is not a directory")]
    NoDirectory(String),
    /// The file system has things on it, and nobody made it a home: nothing is written to it.
    #[error("the file system is not empty (it has `{0}`) and is not marked as a controller's")]
    Strange(String),
    /// The system refused.
    #[error("{doing}: {}", reason(error))]
    System {
        /// What was being done, as a gerund.
        doing: String,
        /// What the system said.
        error: io::Error,
    },
    /// The head says more than there are claims.
    #[error("the head says generation {0}, and nobody ever claimed that")]
    Jump(u64),
    /// There is no claim to announce: this clerk made none, or its predecessor did.
    #[error("no claim was made that could become the head")]
    NothingClaimed,
    /// Nobody told the clerk where to work.
    #[error("the clerk was asked for something before it knew the file system")]
    NotOpen,
    /// The question or the answer is none.
    #[error("what the clerk was told, or what it said, cannot be understood: {0}")]
    Unreadable(String),
    /// The file system hangs.
    #[error("the file system did not answer within {:.0} s", .0.as_secs_f32())]
    Late(Duration),
    /// The child ended: killed, out of memory, or broken.
    #[error("the child that works on the file system is gone: {0}")]
    Ended(String),
    /// More children would only hang, too.
    #[error("{0} children hang in the kernel on this mount, and no other is started")]
    Stuck(usize),
}

impl Trouble {
    /// A refusal of the system while doing `what`, a gerund.
    pub(super) fn while_(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = what.into();
        |error| Self::System { doing, error }
    }

    /// Whether what was open is not on the file server any more.
    pub(super) fn is_stale(&self) -> bool {
        matches!(self, Self::System { error, .. } if error.raw_os_error() == Some(libc::ESTALE))
    }

    /// What may help.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotMounted(_) => {
                "systemctl list-units --type=mount; what is below the mount is never written"
            }
            Self::Marked { .. } => {
                "it is a copy or a restored backup: make sure that the other one has no controller, \
                 then write its own id into .hostkit/fs-id"
            }
            Self::Foreign { .. } | Self::NotOpen | Self::Unreadable(_) => {
                "this is a mistake in hostkit: please report it"
            }
            Self::Owner { .. } => {
                "an access point with a user of its own makes such files, and so does a restore \
                 without owners: mount the file system itself, and chown .hostkit back to root"
            }
            Self::Writable { .. } => {
                "whoever can write it can hand out the home: chmod go-w, and find out who changed it"
            }
            Self::NoFile(_) | Self::NoDirectory(_) => {
                "hostkit makes .hostkit/lease itself and follows no link there: move this away, and \
                 find out who made it"
            }
            Self::Strange(_) => {
                "use an empty file system; or move an existing JENKINS_HOME to the folder `home` of \
                 it and write the file system's id into .hostkit/fs-id"
            }
            Self::System { error, .. } => remedy(error),
            Self::Jump(_) => {
                "somebody edited .hostkit/lease or brought back a part of it: find out who serves \
                 this home; then `hostkit lease break`"
            }
            Self::NothingClaimed => "the next look at the head shows how far it came",
            Self::Late(_) => {
                "the mount hangs: check the mount target and the security groups on TCP 2049"
            }
            Self::Ended(_) => "another one is started; `journalctl -k` tells if memory was short",
            Self::Stuck(_) => {
                "the file server has been silent for long: check the mount target; they end when it \
                 answers, or with a reboot"
            }
        }
    }

    /// As it is told to who asked.
    pub(super) fn answer(&self) -> Answer {
        Answer::Failed { why: self.to_string(), hint: self.hint().to_owned() }
    }
}

/// What the system said, by a name that tells more than its own where there is one.
fn reason(error: &io::Error) -> String {
    let reason = match error.raw_os_error() {
        Some(libc::EROFS) => "the file system is mounted read-only",
        Some(libc::ENOSPC) => "the file system is full",
        Some(libc::EDQUOT) => "the quota of the file system is used up",
        Some(libc::EACCES | libc::EPERM) => "the file system refuses it to this user",
        Some(libc::ELOOP) => "a symbolic link is in the way",
        Some(libc::ENOTDIR) => "something else than a directory is in the way",
        Some(libc::ESTALE) => "what was open is not on the file server any more (stale handle)",
        Some(libc::EIO) => "the file server failed, or gave up",
        _ => return error.to_string(),
    };
    reason.to_owned()
}

fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EROFS) => {
            "mount it for writing; on EFS also allow `elasticfilesystem:ClientWrite` in its policy"
        }
        Some(libc::ENOSPC | libc::EDQUOT) => {
            "make room on the file system; a lease needs a few kilobytes of it"
        }
        Some(libc::EACCES | libc::EPERM) => {
            "root must be root there: allow `elasticfilesystem:ClientWrite` and \
             `elasticfilesystem:ClientRootAccess` in the policy of the file system"
        }
        Some(libc::ELOOP | libc::ENOTDIR) => {
            "hostkit makes .hostkit/lease itself and follows no link there: move this away, and \
             find out who made it"
        }
        Some(libc::ESTALE) => {
            "it was replaced below its mount, for example by a restore: start this host again"
        }
        _ => "look at the file system from another host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trouble_has_words_and_a_hint() {
        let system = |code| {
            Trouble::while_("creating the claim of generation 42")(io::Error::from_raw_os_error(
                code,
            ))
        };
        let lease = || ".hostkit/lease".to_owned();
        let ids = ("fs-0123456789abcdef0".to_owned(), "fs-0fedcba9876543210".to_owned());
        let all = [
            Trouble::NotMounted("/var/lib/jenkins".into()),
            Trouble::Marked { marked: ids.0.clone(), ours: ids.1.clone() },
            Trouble::Foreign { theirs: ids.0, ours: ids.1 },
            Trouble::Owner { what: lease(), owner: 1000, ours: 0 },
            Trouble::Writable { what: ".hostkit/lease/head".to_owned(), mode: 0o666 },
            Trouble::NoFile(".hostkit/lease/head".to_owned()),
            Trouble::NoDirectory(lease()),
            Trouble::Strange("config.xml".to_owned()),
            system(libc::EROFS),
            system(libc::ENOSPC),
            system(libc::EDQUOT),
            system(libc::EACCES),
            system(libc::EPERM),
            system(libc::ELOOP),
            system(libc::ENOTDIR),
            system(libc::ESTALE),
            system(libc::EIO),
            system(libc::EMFILE),
            Trouble::Jump(900),
            Trouble::NothingClaimed,
            Trouble::NotOpen,
            Trouble::Unreadable("expected value at line 1 column 1".to_owned()),
            Trouble::Late(Duration::from_secs(5)),
            Trouble::Ended("it closed its output".to_owned()),
            Trouble::Stuck(3),
        ];
        let told = all.iter().map(|it| format!("{it}\n    {}\n", it.hint())).collect::<String>();
        insta::assert_snapshot!(told);
    }
}
