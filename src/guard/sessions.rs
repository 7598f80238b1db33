//! Builds on an agent, as far as the agent sees them: what runs in the sessions of the controller.
//!
//! The controller's session lasts as long as the agent is connected, so that there is one tells
//! nothing. One that builds has more processes than those of the connection: the server of SSH, a
//! shell and Jenkins' own Java program.

use std::io;

use camino::Utf8Path;
use nix::unistd::User;

/// What belongs to the connection, and how often at most.
const CONNECTION: &[(&str, usize)] =
    &[("sshd", 2), ("sshd-session", 2), ("sshd-auth", 1), ("sh", 1), ("bash", 1), ("java", 1)];

/// How many sessions of `user` build something.
pub(super) fn busy(root: &Utf8Path, user: &str) -> io::Result<usize> {
    let Some(user) = User::from_name(user).map_err(io::Error::from)? else { return Ok(0) };
    let slice = root.join(format!("sys/fs/cgroup/user.slice/user-{}.slice", user.uid));
    busy_below(root, &slice)
}

fn busy_below(root: &Utf8Path, slice: &Utf8Path) -> io::Result<usize> {
    let entries = match slice.read_dir_utf8() {
        // Nobody is logged in.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut count = 0;
    for entry in entries {
        let entry = entry?;
        let is_session =
            entry.file_name().starts_with("session-") && entry.file_name().ends_with(".scope");
        if is_session && builds(&names(root, entry.path())) {
            count += 1;
        }
    }
    Ok(count)
}

/// The names of the programs that run in a control group. One that ends meanwhile has none.
fn names(root: &Utf8Path, group: &Utf8Path) -> Vec<String> {
    let processes = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let name =
        |process: &str| std::fs::read_to_string(root.join("proc").join(process).join("comm"));
    let names = processes.lines().filter_map(|process| name(process).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

fn builds(names: &[String]) -> bool {
    let most =
        |name: &str| CONNECTION.iter().find(|(it, _)| *it == name).map_or(0, |(_, most)| *most);
    names.iter().any(|name| names.iter().filter(|other| *other == name).count() > most(name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_connection_is_no_build_and_what_runs_beside_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let slice = root.join("user-650.slice");
        assert_eq!(busy_below(root, &slice).unwrap(), 0, "nobody is logged in");
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
        assert_eq!(busy_below(root, &slice).unwrap(), 0);
        put("2", &["sshd-session", "sshd-session", "bash", "java", "sh", "sh", "sleep"]);
        put("3", &["sshd", "bash", "java", "java"]);
        assert_eq!(busy_below(root, &slice).unwrap(), 2);
    }
}
