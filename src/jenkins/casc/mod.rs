//! Configuration as code, checked before Jenkins sees it: a file that it does not take keeps Jenkins
//! down.
//!
//! What is found here: text that is no YAML, keys that are there twice, files that contradict each
//! other, references that nothing satisfies, wrong kinds of values in the parts that every controller
//! has, and a Jenkins that anybody could use. Whether a plug-in takes its own part only Jenkins can
//! say.

mod merge;
mod references;
mod security;
mod shape;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Fault;

/// The file that is rendered from hostkit's template.
pub const RENDERED: &str = "00-hostkit.yaml";

/// The file with the nodes and the clouds.
pub const FLEET: &str = "20-hostkit-fleet.yaml";

/// One file of configuration as code.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct File {
    /// Its name, without folder.
    pub name: String,
    /// YAML.
    pub text: String,
}

/// What is wrong in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem(String);

impl Problem {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Files that Jenkins may be started with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// What is worth a line, and no reason not to start.
    pub warnings: Vec<String>,
}

/// Checks `files` together. `names` is what a reference `${NAME}` may name.
pub fn check(files: &[File], names: &BTreeSet<String>) -> Result<Checked, Fault> {
    let mut problems = Vec::new();
    let mut trees = Vec::new();
    for file in files {
        match parse(file) {
            Ok(Some(tree)) => trees.push((file.name.as_str(), tree)),
            Ok(None) => {}
            Err(problem) => problems.push(problem),
        }
    }
    let mut checked = Checked::default();
    for (name, tree) in &trees {
        problems.extend(references::check(name, tree, names));
        checked.warnings.extend(references::plain_secrets(name, tree));
    }
    // Of files that cannot be read nothing more is known, and what they say may be missed.
    if trees.len() == files.len() || problems.is_empty() {
        let (merged, conflicts) = merge::all(&trees);
        problems.extend(conflicts);
        problems.extend(shape::check(&merged));
        problems.extend(security::check(&merged));
    }
    if problems.is_empty() { Ok(checked) } else { Err(fault(&problems)) }
}

/// Whether a secret seems to stand in the text of one of `files`, or whether that cannot be told:
/// such files are not copied anywhere.
pub fn holds_plain_secret(files: &[File]) -> bool {
    files.iter().any(|file| match parse(file) {
        Ok(Some(tree)) => !references::plain_secrets(&file.name, &tree).is_empty(),
        Ok(None) => false,
        Err(_) => true,
    })
}

/// The tree of a file; none where it has only comments.
fn parse(file: &File) -> Result<Option<Value>, Problem> {
    let name = &file.name;
    let tree: Value = serde_saphyr::from_str(&file.text).map_err(|error| {
        let line = error.location().map_or_else(String::new, |at| format!(", line {}", at.line()));
        // Without the lines around it, which may hold a password.
        let told = error.without_snippet().to_string();
        let told = told.lines().next().unwrap_or_default();
        // The place is told already, and nobody can set an option here.
        let told = told.split(" at line ").next().unwrap_or_default();
        let told = told.split(", set DuplicateKeyPolicy").next().unwrap_or_default();
        Problem::new(format!("{name}{line}: {told}"))
    })?;
    match tree {
        Value::Null => Ok(None),
        Value::Object(_) => Ok(Some(tree)),
        _ => Err(Problem::new(format!("{name}: it is not a mapping, as `jenkins:` begins one"))),
    }
}

fn fault(problems: &[Problem]) -> Fault {
    let told = match problems {
        [Problem(one)] => one.clone(),
        many => {
            let lines: Vec<_> = many.iter().map(|Problem(what)| format!("\n  - {what}")).collect();
            format!("{} things are wrong:{}", many.len(), lines.concat())
        }
    };
    Fault::recipe(format!("the configuration of Jenkins is not right: {told}")).hint(format!(
        "{RENDERED} is the template jenkins.yaml.tera, all else is from /etc/hostkit/casc.d"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "jenkins:\n  numExecutors: 0\n  securityRealm:\n    local:\n      \
                        allowsSignup: false\n  authorizationStrategy:\n    globalMatrix:\n      \
                        entries: []\n";

    fn checked(user: &str) -> Result<Checked, String> {
        let file = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
        let files = [file(RENDERED, BASE), file("own.yaml", user)];
        let names = ["agent_key", "SMTP"].map(str::to_owned).into();
        check(&files, &names).map_err(|fault| fault.to_string())
    }

    #[test]
    fn files_that_fit_together_are_taken() {
        let own = "jenkins:\n  systemMessage: \"hi ${SMTP} ^${NOT} ${X:-y} ${base64:${SMTP}}\"\n\
                   unclassified:\n  location:\n    url: \"https://x/\"\n";
        assert_eq!(checked(own).unwrap(), Checked::default());
        assert_eq!(checked("# nothing\n").unwrap(), Checked::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (name, own) in [
            ("no yaml", "jenkins:\n  systemMessage: [1, 2\n"),
            ("a tab", "jenkins:\n\tsystemMessage: x\n"),
            ("a key twice", "unclassified:\n  a: 1\n  a: 2\n"),
            ("no mapping", "- a\n- b\n"),
            ("a contradiction", "jenkins:\n  numExecutors: 4\n"),
            ("another kind", "jenkins:\n  securityRealm: local\n"),
            ("a second realm", "jenkins:\n  securityRealm:\n    ldap:\n      x: 1\n"),
            ("an unknown reference", "jenkins:\n  systemMessage: \"${SMTPP}\"\n"),
            ("a root misspelt", "unclasified:\n  a: 1\n"),
            ("wrong kinds", "jenkins:\n  slaveAgentPort: open\n  nodes:\n    a: 1\njobs: x\n"),
            ("open", "jenkins:\n  authorizationStrategy:\n    unsecured: {}\n"),
        ] {
            insta::assert_snapshot!(name, checked(own).unwrap_err());
        }
    }

    #[test]
    fn a_secret_in_the_text_is_told_without_it() {
        let own = "jenkins:\n  systemMessage: x\nunclassified:\n  mailer:\n    password: hunter2\n";
        let Checked { warnings } = checked(own).unwrap();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("unclassified.mailer.password"), "{warnings:?}");
        assert!(!warnings[0].contains("hunter2"), "{warnings:?}");
        let hidden = "unclassified:\n  mailer:\n    password: \"${SMTP}\"\n";
        assert_eq!(checked(hidden).unwrap().warnings, [""; 0]);
        let file = |text: &str| [File { name: "own.yaml".into(), text: text.into() }];
        assert!(holds_plain_secret(&file(own)) && !holds_plain_secret(&file(hidden)));
    }

    #[test]
    fn without_users_and_rights_nothing_is_taken() {
        let file = |text: &str| [File { name: "own.yaml".into(), text: text.into() }];
        let told = |text: &str| check(&file(text), &BTreeSet::new()).unwrap_err().to_string();
        insta::assert_snapshot!("no security", told("jenkins:\n  numExecutors: 0\n"));
        let anonymous = "jenkins:\n  securityRealm: {ldap: {x: 1}}\n  authorizationStrategy:\n    \
                         globalMatrix:\n      entries:\n        - user:\n            name: anonymous\n\
                         \x20           permissions: [Overall/Administer]\n";
        insta::assert_snapshot!("everybody administers", told(anonymous));
    }

    #[test]
    fn a_thousand_nodes_are_no_trouble() {
        let node = |n: usize| format!("    - permanent:\n        name: i-{n}\n");
        let nodes: String = (0..2000).map(node).collect();
        checked(&format!("jenkins:\n  nodes:\n{nodes}")).unwrap();
        let twice = format!("jenkins:\n  nodes:\n{}{}", node(1), node(1));
        assert!(checked(&twice).unwrap_err().contains("the node `i-1` is there twice"));
    }
}
