//! Renders the configuration of a controller from templates. Pure: text in, text out.

use tera::{Context, Tera};

use crate::error::Fault;

/// What a controller's memory is given to the heap; the rest is the JVM's own, the page cache's
/// and the NFS client's.
const HEAP_PERCENT: u64 = 50;

/// Jenkins does not start with less.
const LEAST_HEAP_MIB: u64 = 256;

/// What the templates may name.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The address that people use.
    pub url: &'a str,
    /// The administrator's name.
    pub admin_user: &'a str,
    /// As whom the controller logs in on build agents.
    pub agent_user: &'a str,
    /// Memory of the machine, in bytes.
    pub memory: u64,
}

/// The texts of the templates.
#[derive(Clone, Copy, Debug)]
pub struct Templates<'a> {
    /// For Jenkins' configuration as code.
    pub configuration: &'a str,
    /// For the environment of the unit.
    pub environment: &'a str,
}

/// What came of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// `jenkins.yaml`
    pub configuration: String,
    /// A systemd environment file.
    pub environment: String,
}

/// Renders both; a name that a template uses and nobody gives is an error.
pub fn render(templates: &Templates<'_>, values: &Values<'_>) -> Result<Rendered, Fault> {
    let mut context = Context::new();
    // As YAML, where a JSON string is a string.
    context.insert("url", &quoted(values.url));
    context.insert("admin_user", &quoted(values.admin_user));
    context.insert("agent_user", &quoted(values.agent_user));
    context.insert("heap_mib", &heap_mib(values.memory));
    let one = |name: &str, text: &str| {
        Tera::one_off(text, &context, false).map_err(|error| {
            Fault::recipe(format!("the template {name} cannot be rendered: {error}"))
                .hint("the names that it may use are url, admin_user, agent_user and heap_mib")
        })
    };
    Ok(Rendered {
        configuration: one("jenkins.yaml.tera", templates.configuration)?,
        environment: one("jenkins.env.tera", templates.environment)?,
    })
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

fn heap_mib(memory: u64) -> u64 {
    (memory / 1024 / 1024 * HEAP_PERCENT / 100).max(LEAST_HEAP_MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: Templates<'static> = Templates {
        configuration: include_str!("../../templates/jenkins.yaml.tera"),
        environment: include_str!("../../templates/jenkins.env.tera"),
    };

    const VALUES: Values<'static> = Values {
        url: "https://ci.example.com/",
        admin_user: "admin",
        agent_user: "jenkins",
        memory: 4 << 30,
    };

    #[test]
    fn the_shipped_templates_render() {
        let rendered = render(&SHIPPED, &VALUES).unwrap();
        insta::assert_snapshot!("configuration", rendered.configuration);
        insta::assert_snapshot!("environment", rendered.environment);
    }

    #[test]
    fn a_small_machine_still_gets_a_heap_that_jenkins_starts_with() {
        assert_eq!((heap_mib(256 << 20), heap_mib(2 << 30)), (256, 1024));
    }

    #[test]
    fn a_name_that_nobody_gives_is_an_error() {
        let templates = Templates { configuration: "{{ urll }}", ..SHIPPED };
        assert!(render(&templates, &VALUES).unwrap_err().to_string().contains("jenkins.yaml.tera"));
    }
}
