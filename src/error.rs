//! Errors sorted by who must act.
//!
//! Inside, functions return [`anyhow::Result`] with gerund contexts. Where it becomes clear whose
//! move it is, a [`Fault`] is put into the chain; `main` turns the outermost one into the exit
//! code and prints the chain once as `error:` / `caused by:` / `hint:`.
//! A `Display` here never repeats its source, and nothing here prints.

use std::fmt;

/// Who must act on an error. The numbers are the public exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// hostkit itself: please report it.
    Bug,
    /// The command line.
    Usage,
    /// The recipe, a variable, `host.toml` or user-data.
    Recipe,
    /// The machine: not root, a tool missing, no disk space, a port in use.
    Environment,
    /// A step or a check ran and did not succeed.
    Step,
    /// AWS refused, or did not answer in time.
    Aws,
    /// A person pressed Ctrl-C or the service was stopped.
    Interrupted,
}

impl Blame {
    /// The process exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Bug => 1,
            Self::Usage => 2,
            Self::Recipe => 3,
            Self::Environment => 4,
            Self::Step => 5,
            Self::Aws => 6,
            Self::Interrupted => 130,
        }
    }
}

/// One classified error: what went wrong, who must act, and what to do about it.
#[derive(Clone, Debug)]
pub struct Fault {
    blame: Blame,
    message: String,
    hint: Option<String>,
}

impl Fault {
    fn new(blame: Blame, message: impl Into<String>) -> Self {
        Self { blame, message: message.into(), hint: None }
    }

    /// The command line is wrong in a way that the parser cannot see.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Blame::Usage, message)
    }

    /// What a person wrote in a recipe or a configuration is wrong.
    pub fn recipe(message: impl Into<String>) -> Self {
        Self::new(Blame::Recipe, message)
    }

    /// The machine lacks something.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Blame::Environment, message)
    }

    /// A step ran and failed.
    pub fn step(message: impl Into<String>) -> Self {
        Self::new(Blame::Step, message)
    }

    /// AWS refused or timed out.
    pub fn aws(message: impl Into<String>) -> Self {
        Self::new(Blame::Aws, message)
    }

    /// Somebody asked to stop.
    pub fn interrupted() -> Self {
        Self::new(Blame::Interrupted, "interrupted")
    }

    /// Adds the line that tells what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What to do about it, if anything is known to help.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Who must act.
    pub const fn blame(&self) -> Blame {
        self.blame
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Who must act on `error`: the outermost [`Fault`] decides; an unclassified error is a bug.
pub fn blame(error: &anyhow::Error) -> Blame {
    fault(error).map_or(Blame::Bug, Fault::blame)
}

/// The outermost [`Fault`] in the chain, attached as an error or as a context.
pub fn fault(error: &anyhow::Error) -> Option<&Fault> {
    error.downcast_ref::<Fault>()
}

/// The same error with its whole chain as one text, which `change` was applied to: for errors that
/// hold what must not be shown.
pub fn rewritten(error: &anyhow::Error, change: impl Fn(&str) -> String) -> anyhow::Error {
    let hint = fault(error).and_then(Fault::hint_text).map(&change);
    Fault { blame: blame(error), message: change(&format!("{error:#}")), hint }.into()
}

/// Says who must act where nobody has said it yet.
pub trait Blamed<T> {
    /// Adds `fault` to an error. Where the chain has a [`Fault`] already, that keeps the blame and
    /// its hint, and only the message is added.
    fn or_blame(self, fault: impl FnOnce() -> Fault) -> anyhow::Result<T>;
}

impl<T> Blamed<T> for anyhow::Result<T> {
    fn or_blame(self, make: impl FnOnce() -> Fault) -> Self {
        self.map_err(|error| match fault(&error) {
            Some(_) => error.context(make().message),
            None => error.context(make()),
        })
    }
}

/// Renders the chain for people: `error:`, one `caused by:` a source, one `hint:`.
pub fn render(error: &anyhow::Error) -> String {
    let mut out = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        out.push_str(&indent(&format!("caused by: {cause}")));
    }
    if let Some(hint) = fault(error).and_then(Fault::hint_text) {
        out.push_str(&indent(&format!("hint: {hint}")));
    }
    out
}

fn indent(text: &str) -> String {
    text.trim_end().lines().fold(String::new(), |out, line| out + "  " + line + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_outermost_fault_decides_even_below_plain_contexts() {
        let inner: anyhow::Result<()> =
            Err(Fault::environment("mmdebstrap is not installed").into());
        let error = inner.context("building the base tree").unwrap_err();
        assert_eq!(blame(&error), Blame::Environment);

        let reclassified: anyhow::Result<()> = Err(error).context(Fault::step("packages failed"));
        assert_eq!(blame(&reclassified.unwrap_err()), Blame::Step);
    }

    #[test]
    fn a_hint_from_within_is_not_lost() {
        let inner: anyhow::Result<()> =
            Err(Fault::recipe("another key").hint("pin the new one").into());
        let error = inner.or_blame(|| Fault::step("the step failed")).unwrap_err();
        assert_eq!(blame(&error), Blame::Recipe);
        assert!(render(&error).ends_with("hint: pin the new one\n"));
        let unclassified: anyhow::Result<()> = Err(anyhow::anyhow!("no such file"));
        let error = unclassified.or_blame(|| Fault::step("the step failed")).unwrap_err();
        assert_eq!(blame(&error), Blame::Step);
    }

    #[test]
    fn an_unclassified_error_is_a_bug() {
        assert_eq!(blame(&anyhow::anyhow!("index out of range")).exit_code(), 1);
    }

    #[test]
    fn renders_the_chain_once_with_its_hint() {
        let io = std::io::Error::other("no such device");
        let error = anyhow::Error::from(io)
            .context(Fault::step("mounting the home").hint("check the security group"));
        assert_eq!(
            render(&error),
            "error: mounting the home\n  caused by: no such device\n  hint: check the security group\n"
        );
    }
}
