//! Builds on an agent, as far as the agent sees them: what runs in the sessions of the controller.
//!
//! The controller's session lasts as long as the agent is connected, so that there is one tells
//! nothing. One that builds has more processes than those of the connection: the server of SSH, a
//! shell and Jenkins' own Java program.

use std::io;

use camino::Utf8Path;

/// What belongs to the connection, and how often at most.
const CONNECTION: &[(&str, usize)] =
    &[("sshd", 2), ("sshd-session", 2), ("sshd-auth", 1), ("sh", 1), ("bash", 1), ("java", 1)];

/// The servers of a connection.
const SERVERS: &[&str] = &["sshd", "sshd-session", "sshd-auth"];

/// What runs in the sessions of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sessions {
    /// In so many somebody is connected.
    pub(super) connected: usize,
    /// So many build something.
    pub(super) building: usize,
}

/// The sessions of `user`.
pub(super) fn look(root: &Utf8Path, user: &str) -> io::Result<Sessions> {
    let passwd = std::fs::read_to_string(root.join("etc/passwd"))?;
    let Some(uid) = uid_of(&passwd, user) else { return Ok(Sessions::default()) };
    let slice = root.join(format!("sys/fs/cgroup/user.slice/user-{uid}.slice"));
    look_below(root, &slice)
}

/// The number of a user that the image has made.
fn uid_of<'a>(passwd: &'a str, user: &str) -> Option<&'a str> {
    let fields = |line: &'a str| line.split(':').collect::<Vec<_>>();
    let mut lines = passwd.lines().map(fields);
    let line = lines.find(|line| line.first() == Some(&user))?;
    line.get(2).copied().filter(|uid| uid.bytes().all(|byte| byte.is_ascii_digit()))
}

fn look_below(root: &Utf8Path, slice: &Utf8Path) -> io::Result<Sessions> {
    let mut found = Sessions::default();
    let entries = match slice.read_dir_utf8() {
        // Nobody is logged in.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_session =
            entry.file_name().starts_with("session-") && entry.file_name().ends_with(".scope");
        if is_session {
            let names = names(root, entry.path());
            found.connected += usize::from(is_connected(&names));
            found.building += usize::from(builds(&names));
        }
    }
    Ok(found)
}

/// The names of the programs that run in a control group. One that ends meanwhile has none.
fn names(root: &Utf8Path, group: &Utf8Path) -> Vec<String> {
    let processes = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let name =
        |process: &str| std::fs::read_to_string(root.join("proc").join(process).join("comm"));
    let names = processes.lines().filter_map(|process| name(process).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

fn is_connected(names: &[String]) -> bool {
    names.iter().any(|name| SERVERS.contains(&name.as_str()))
}

/// Where nobody is connected any more, what is left in the session is a build: a step of a pipeline
/// goes on while its controller is restarted, and is found again.
fn builds(names: &[String]) -> bool {
    if !is_connected(names) {
        return !names.is_empty();
    }
    let most =
        |name: &str| CONNECTION.iter().find(|(it, _)| *it == name).map_or(0, |(_, most)| *most);
    names.iter().any(|name| names.iter().filter(|other| *other == name).count() > most(name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\njenkins2:x:7:7:::\njenkins:x:650:650:::\n";
        assert_eq!(uid_of(passwd, "jenkins"), Some("650"));
        assert_eq!(uid_of(passwd, "builder"), None);
    }

    #[test]
    fn a_connection_is_no_build_and_what_runs_beside_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let slice = root.join("user-650.slice");
        let look = || look_below(root, &slice).unwrap();
        assert_eq!(look(), Sessions::default(), "nobody is logged in");
        let put = |session: &str, programs: &[&str]| {
            let scope = slice.join(format!("session-{session}.scope"));
            fs::create_dir_all(&scope).unwrap();
            let mut processes = String::new();
            for (index, program) in programs.iter().enumerate() {
                let process = format!("{session}{index}");
                fs::create_dir_all(root.join("proc").join(&process)).unwrap();
                fs::write(root.join("proc").join(&process).join("comm"), program).unwrap();
                processes.push_str(&format!("{process}\n"));
            }
            fs::write(scope.join("cgroup.procs"), processes).unwrap();
        };
        put("1", &["sshd", "sshd", "bash", "java"]);
        assert_eq!(look(), Sessions { connected: 1, building: 0 });
        put("2", &["sshd-session", "sshd-session", "bash", "java", "sh", "sh", "sleep"]);
        put("3", &["sshd", "bash", "java", "java"]);
        assert_eq!(look(), Sessions { connected: 3, building: 2 });
        put("4", &["sh", "java"]);
        put("5", &[]);
        assert_eq!(
            look(),
            Sessions { connected: 3, building: 3 },
            "a step whose controller is gone"
        );
    }
}
