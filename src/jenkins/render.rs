//! Renders the configuration of a controller from templates. Pure: text in, text out.

use tera::{Context, Tera};

use super::{java, yaml};
use crate::error::Fault;
use crate::host::SecurityMode;

/// What the templates may name.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The address that people use.
    pub url: &'a str,
    /// Where users and their rights come from.
    pub security: SecurityMode,
    /// The administrator's name.
    pub admin_user: &'a str,
    /// As whom hostkit asks Jenkins.
    pub hostkit_user: &'a str,
    /// As whom the controller logs in on build agents.
    pub agent_user: &'a str,
    /// The port for agents that connect to the controller; none if nobody does.
    pub agent_port: Option<u16>,
    /// Memory of the machine, in bytes.
    pub memory: u64,
    /// How much of it the heap gets, in percent.
    pub heap: u8,
    /// Further options of the Java machine.
    pub java_options: &'a [String],
}

/// What a template may name, for whoever named something else.
const NAMES: &str = "the names that it may use are url, security, admin_user, hostkit_user, \
                     agent_user, agent_port, heap_mib and java_options";

/// Renders `jenkins.yaml.tera`, Jenkins' configuration as code. A name that it uses and nobody gives
/// is an error.
pub fn configuration(template: &str, values: &Values<'_>) -> Result<String, Fault> {
    one("jenkins.yaml.tera", template, values)
}

/// Renders `jenkins.env.tera`, a systemd environment file.
pub fn environment(template: &str, values: &Values<'_>) -> Result<String, Fault> {
    one("jenkins.env.tera", template, values)
}

fn one(name: &str, template: &str, values: &Values<'_>) -> Result<String, Fault> {
    Tera::one_off(template, &context(values)?, false).map_err(|error| {
        let (place, cause) = told(&error.to_string());
        Fault::recipe(format!("the template {name} cannot be rendered: {place}{cause}")).hint(NAMES)
    })
}

/// Where in the template, and the first line of what is wrong there.
fn told(text: &str) -> (String, String) {
    let line = text.split("__tera_one_off:").nth(1).and_then(|rest| rest.split(':').next());
    let place = line.map_or_else(String::new, |line| format!("line {line}: "));
    let first = text.lines().next().unwrap_or_default();
    let first = first.trim_start_matches("error: ").split(". Available variables").next();
    (place, first.unwrap_or_default().to_owned())
}

fn context(values: &Values<'_>) -> Result<Context, Fault> {
    let mut context = Context::new();
    context.insert("url", &yaml::quoted(values.url));
    context.insert("admin_user", &yaml::quoted(values.admin_user));
    context.insert("hostkit_user", &yaml::quoted(values.hostkit_user));
    context.insert("agent_user", &yaml::quoted(values.agent_user));
    let security = match values.security {
        SecurityMode::Local => "local",
        SecurityMode::Casc => "casc",
    };
    context.insert("security", security);
    context.insert("agent_port", &values.agent_port.map_or(-1, i32::from));
    context.insert("heap_mib", &java::heap_mib(values.memory, values.heap));
    let options = java::options(values.memory, values.heap, values.java_options)?;
    context.insert("java_options", &options);
    Ok(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIGURATION: &str = include_str!("../../templates/jenkins.yaml.tera");
    const ENVIRONMENT: &str = include_str!("../../templates/jenkins.env.tera");

    const VALUES: Values<'static> = Values {
        url: "https://ci.example.com/",
        security: SecurityMode::Local,
        admin_user: "admin",
        hostkit_user: "hostkit",
        agent_user: "jenkins",
        agent_port: None,
        memory: 4 << 30,
        heap: 50,
        java_options: &[],
    };

    #[test]
    fn the_shipped_templates_render() {
        insta::assert_snapshot!("configuration", configuration(CONFIGURATION, &VALUES).unwrap());
        insta::assert_snapshot!("environment", environment(ENVIRONMENT, &VALUES).unwrap());
    }

    #[test]
    fn where_the_users_own_files_say_who_may_what_the_template_does_not() {
        let casc = Values { security: SecurityMode::Casc, agent_port: Some(50000), ..VALUES };
        let text = configuration(CONFIGURATION, &casc).unwrap();
        assert!(!text.contains("securityRealm") && !text.contains("authorizationStrategy"));
        assert!(!text.contains("password:"), "{text}");
        assert!(text.contains("slaveAgentPort: 50000"), "{text}");
    }

    #[test]
    fn a_name_that_nobody_gives_and_a_broken_template_are_told() {
        let told = |text: &str| configuration(text, &VALUES).unwrap_err().to_string();
        insta::assert_snapshot!("a name that nobody gives", told("{{ urll }}"));
        insta::assert_snapshot!("a broken template", told("jenkins:\n  {% if security %}"));
    }
}
