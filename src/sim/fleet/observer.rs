//! What goes on inside a guest, as a script in it tells whenever it changes.
//!
//! It looks at what systemd and the kernel say, four times a second for Jenkins and every second
//! for the lease, and never at the file system that may hang.

use tokio::sync::watch;

use super::story::Story;

/// Where the script looks is as cheap as can be: the guest is emulated.
pub const SCRIPT: &str = r#"
exec 2>/dev/null
jenkins= lease= turn=0
while :; do
  if [ -d /sys/fs/cgroup/system.slice/jenkins.service ]; then now=up; else now=down; fi
  [ "$now" = "$jenkins" ] || { jenkins=$now; echo "jenkins $now"; }
  if [ $turn = 0 ]; then
    now=$(systemctl show -p ActiveState -p StatusText hostkit-lease.service)
    [ "$now" = "$lease" ] || { lease=$now; echo "$now"; }
  fi
  turn=$(( (turn + 1) % 4 ))
  sleep 0.25
done
"#;

/// What was last seen of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Whether anything of Jenkins runs: its unit has processes.
    pub jenkins: bool,
    /// The state of the lease's unit, in systemd's word; empty if nothing was seen yet.
    pub lease: String,
    /// What the lease's unit says that it does.
    pub says: String,
}

impl Seen {
    /// Takes in one line of [`SCRIPT`]; what people are told of it, if it says anything new.
    fn take(&mut self, line: &str) -> Option<String> {
        if let Some(state) = line.strip_prefix("jenkins ") {
            let runs = state == "up";
            let before = std::mem::replace(&mut self.jenkins, runs);
            return match (before, runs) {
                (false, true) => Some("Jenkins runs".to_owned()),
                (true, false) => Some("Jenkins is gone".to_owned()),
                _ => None,
            };
        }
        let (name, value) = line.split_once('=')?;
        let field = match name {
            "ActiveState" => &mut self.lease,
            "StatusText" => &mut self.says,
            _ => return None,
        };
        if field == value {
            return None;
        }
        value.clone_into(field);
        (!value.is_empty()).then(|| format!("lease: {value}"))
    }
}

/// Takes in a line of [`SCRIPT`] and tells what is new in it.
pub fn take(line: &str, name: &str, story: &Story, seen: &watch::Sender<Seen>) {
    let mut told = None;
    seen.send_if_modified(|seen| {
        let before = seen.clone();
        told = seen.take(line);
        *seen != before
    });
    if let Some(told) = told {
        story.tell(name, &told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_is_told() {
        let mut seen = Seen::default();
        assert_eq!(seen.take("jenkins down"), None, "it did not run before");
        assert_eq!(seen.take("ActiveState=activating").as_deref(), Some("lease: activating"));
        let says = "EC2 says that i-1 is running, a=b";
        assert_eq!(seen.take(&format!("StatusText={says}")), Some(format!("lease: {says}")));
        assert_eq!((seen.lease.as_str(), seen.says.as_str()), ("activating", says));
        assert_eq!(seen.take("ActiveState=activating"), None);
        assert_eq!(seen.take("StatusText="), None);
        assert_eq!(seen.take("jenkins up").as_deref(), Some("Jenkins runs"));
        assert_eq!(seen.take("jenkins down").as_deref(), Some("Jenkins is gone"));
        assert_eq!(seen.take("nonsense"), None);
    }
}
