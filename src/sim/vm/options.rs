//! What a rehearsal of one machine is told.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Fault;
use crate::sim::notice::Scheduled;

/// The guest's SSH port.
pub const SSH_PORT: u16 = 22;

/// Everything that `hostkit vm` can be told.
#[derive(Clone, Debug)]
pub struct Options {
    /// The image: raw or qcow2. It is never changed.
    pub image: PathBuf,
    /// The folder that is the file system; a throwaway one if absent.
    pub efs: Option<PathBuf>,
    /// The instance's user-data, in the format of `host.toml`.
    pub user_data: Option<PathBuf>,
    /// The Parameter Store's content; made up if absent.
    pub parameters: Option<PathBuf>,
    /// Ports of the guest that are reachable from here.
    pub forwards: Vec<Forward>,
    /// What is waited for, in order.
    pub until: Vec<Goal>,
    /// How long all of it may take.
    pub timeout: Duration,
    /// Whether console lines are handed on as events.
    pub console: bool,
    /// Where the console's text is kept; without it, it is kept only when something fails.
    pub console_log: Option<PathBuf>,
    /// How the machine is made to run.
    pub acceleration: Acceleration,
    /// What starts the machine's disk.
    pub firmware: Firmware,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Processors.
    pub cpus: u8,
    /// What goes wrong on purpose.
    pub faults: Vec<Trouble>,
    /// What is announced to the instance, and when. The machine then runs until it is off.
    pub at: Vec<Scheduled>,
    /// What is done in the guest, over SSH, once everything in `until` has come.
    pub session: Session,
}

/// What is done in the guest, over SSH, as the login user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Session {
    /// Nothing.
    #[default]
    None,
    /// A command whose input and output are our own.
    Attached(Vec<String>),
    /// A command whose lines of output become events.
    Followed(Vec<String>),
    /// A script for `sh -s`, run as root, whose output is kept: see [`super::Ended::said`].
    Script(String),
    /// A shell for a person.
    Shell,
}

impl Options {
    /// A machine with defaults, as `hostkit vm IMAGE` has them.
    pub fn new(image: PathBuf) -> Self {
        Self {
            image,
            efs: None,
            user_data: None,
            parameters: None,
            forwards: Vec::new(),
            until: Vec::new(),
            timeout: Duration::from_mins(10),
            console: false,
            console_log: None,
            acceleration: Acceleration::Automatic,
            firmware: Firmware::Bios,
            memory_mib: 2048,
            cpus: 2,
            faults: Vec::new(),
            at: Vec::new(),
            session: Session::None,
        }
    }

    /// Whether anything is done in the guest over SSH.
    pub fn logs_in(&self) -> bool {
        self.session != Session::None || self.until.contains(&Goal::Reboot)
    }
}

/// A port here and the port of the guest that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The port on 127.0.0.1; 0 lets the system choose.
    pub host: u16,
    /// The port in the guest.
    pub guest: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not HOST:GUEST, two port numbers (HOST 0: choose one)");
        let (host, guest) = text.split_once(':').ok_or_else(wrong)?;
        let host = host.parse().map_err(|_| wrong())?;
        let guest = guest.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        Ok(Self { host, guest })
    }
}

/// Something to wait for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The launch hook got CONTINUE.
    Ready,
    /// The guest has started again, because it was asked to, and lets in.
    Reboot,
    /// A GET of this path on this port of the guest gives 200.
    Http {
        /// The guest's port.
        port: u16,
        /// The path, with its slash.
        path: String,
    },
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ready" => return Ok(Self::Ready),
            "reboot" => return Ok(Self::Reboot),
            _ => {}
        }
        let wrong = || format!("`{text}` is neither `ready` nor `reboot` nor `http:PORT/PATH`");
        let rest = text.strip_prefix("http:").ok_or_else(wrong)?;
        let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let plain = |byte: u8| byte.is_ascii_graphic();
        if !path.bytes().all(plain) {
            return Err(wrong());
        }
        Ok(Self::Http { port, path: format!("/{path}") })
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Reboot => f.write_str("reboot"),
            Self::Http { port, path } => write!(f, "http:{port}{path}"),
        }
    }
}

/// How the machine is made to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acceleration {
    /// KVM where it has shown that it works, emulation elsewhere.
    #[default]
    Automatic,
    /// KVM.
    Kvm,
    /// QEMU's own emulation.
    Emulation,
}

/// What starts the machine's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Firmware {
    /// A BIOS.
    #[default]
    Bios,
    /// UEFI, without Secure Boot.
    Uefi,
}

/// What goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The file system's address accepts connections and closes them at once.
    EfsDown,
    /// Nothing is at the file system's address.
    EfsUnreachable,
}

/// Reads `90s`, `10m`, `1h` or a number of seconds.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 90s, 10m or 1h");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let amount: u64 = digits.parse().map_err(|_| wrong())?;
    amount.checked_mul(unit).filter(|s| *s > 0).map(Duration::from_secs).ok_or_else(wrong)
}

/// Reads `2048M`, `2G` or a number of MiB.
pub fn parse_memory(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size such as 2048M or 2G, 256 MiB or more");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "M" | "MiB" => 1,
        "G" | "GiB" => 1024,
        _ => return Err(wrong()),
    };
    let amount: u64 = digits.parse().map_err(|_| wrong())?;
    amount.checked_mul(unit).filter(|mib| *mib >= 256).ok_or_else(wrong)
}

/// All forwards that are needed: the given ones, one for every goal that asks a port, and one for
/// the SSH port if something is done there.
pub fn all_forwards(options: &Options) -> Result<Vec<Forward>, Fault> {
    let mut forwards = options.forwards.clone();
    for (index, forward) in forwards.iter().enumerate() {
        if forward.host != 0 && forwards[..index].iter().any(|other| other.host == forward.host) {
            return Err(Fault::usage(format!("port {} is forwarded twice", forward.host)));
        }
    }
    let mut need = |guest: u16| {
        if !forwards.iter().any(|forward| forward.guest == guest) {
            forwards.push(Forward { host: 0, guest });
        }
    };
    for goal in &options.until {
        if let Goal::Http { port, .. } = goal {
            need(*port);
        }
    }
    if options.logs_in() {
        need(SSH_PORT);
    }
    Ok(forwards)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_and_forwards_read_as_they_are_written() {
        assert_eq!("ready".parse(), Ok(Goal::Ready));
        assert_eq!("reboot".parse(), Ok(Goal::Reboot));
        let login = Goal::Http { port: 8080, path: "/login".into() };
        assert_eq!("http:8080/login".parse(), Ok(login.clone()));
        assert_eq!(login.to_string(), "http:8080/login");
        assert!("http:8080/a b".parse::<Goal>().is_err());
        assert!("http:0/".parse::<Goal>().is_err());
        assert_eq!("0:8080".parse(), Ok(Forward { host: 0, guest: 8080 }));
        assert!("8080".parse::<Forward>().is_err());
        assert!("1:0".parse::<Forward>().is_err());
    }

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(parse_duration("45"), Ok(Duration::from_secs(45)));
        assert!(parse_duration("10 minutes").is_err());
        assert!(parse_duration("0s").is_err());
        assert_eq!(parse_memory("2G"), Ok(2048));
        assert!(parse_memory("1M").is_err());
    }

    #[test]
    fn what_is_waited_for_gets_its_forward() {
        let mut options = Options::new("x.raw".into());
        options.forwards = vec![Forward { host: 8080, guest: 8080 }];
        options.until = vec!["http:8080/".parse().unwrap(), "http:9000/".parse().unwrap()];
        options.session = Session::Shell;
        let guests: Vec<_> = all_forwards(&options).unwrap().iter().map(|f| f.guest).collect();
        assert_eq!(guests, [8080, 9000, 22]);
        options.forwards.push(Forward { host: 8080, guest: 9090 });
        assert!(all_forwards(&options).is_err());
    }
}
