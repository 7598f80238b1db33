//! The reference of recipes and of `host.toml` in Markdown, from the schemas of their types.

use schemars::schema_for;
use serde_json::Value;

use crate::host::HostConfig;
use crate::recipe::Recipe;

const HEAD: &str = "\
# Reference

Every section and key of recipes and of `host.toml`. This page is generated: `hostkit docs reference`.
How recipes work is told in [recipes.md](recipes.md), what a host does in [host.md](host.md).

A key without a default is required. Every key that is not here is an error. A number or a boolean may be
given as text that is nothing but a variable, as `\"{{ name }}\"`.
";

/// The whole page.
pub(super) fn page() -> String {
    let recipe = Page::of(schema_for!(Recipe).to_value(), "");
    let host = Page::of(schema_for!(HostConfig).to_value(), "");
    format!("{HEAD}\n# Recipes\n{recipe}\n# host.toml\n{host}")
}

/// A section that is still to be told about: its heading and its schema.
struct Todo {
    heading: String,
    path: String,
    schema: Value,
    level: usize,
}

struct Page {
    root: Value,
    text: String,
    /// What several sections have is told once, at the end.
    shared: Vec<(String, Value)>,
}

impl Page {
    fn of(root: Value, path: &str) -> String {
        let mut page = Self { text: String::new(), shared: Vec::new(), root: root.clone() };
        let top = Todo { heading: String::new(), path: path.to_owned(), schema: root, level: 1 };
        page.table(&top, false);
        let shared = std::mem::take(&mut page.shared);
        for (heading, schema) in shared {
            page.table(&Todo { path: heading.clone(), heading, schema, level: 2 }, true);
        }
        page.text
    }

    /// A heading, a description, a table of keys, and then the sections inside.
    fn table(&mut self, todo: &Todo, told: bool) {
        let schema = self.resolve(&todo.schema);
        if !todo.heading.is_empty() {
            self.text += &format!("\n{} `{}`\n", "#".repeat(todo.level), todo.heading);
            self.text += &format!("\n{}\n", about(&schema));
        }
        let (mut rows, mut inside) = (String::new(), Vec::new());
        let required: Vec<_> = list(&schema, "required").iter().filter_map(Value::as_str).collect();
        for (key, value) in entries(&schema, "properties") {
            match self.section(key, value, todo) {
                Some(section) if todo.heading.is_empty() => inside.push(section),
                section => {
                    let default = default(value, required.contains(&key.as_str()));
                    let kind = self.kind(value);
                    rows += &format!("| `{key}` | {kind} | {default} | {} |\n", about(value));
                    inside.extend(section.filter(|_| !told));
                }
            }
        }
        if !rows.is_empty() {
            self.text += "\n| key | type | default | meaning |\n|---|---|---|---|\n";
            self.text += &rows;
        }
        for section in inside {
            self.table(&section, false);
        }
    }

    /// The section that a key opens, if its value is a table, or a list or a map of tables.
    fn section(&mut self, key: &str, value: &Value, todo: &Todo) -> Option<Todo> {
        let path =
            if todo.path.is_empty() { key.to_owned() } else { format!("{}.{key}", todo.path) };
        let whole = self.resolve(value);
        let (heading, inner) = match (whole.get("items"), whole.get("additionalProperties")) {
            (Some(items), _) => (format!("[[{path}]]"), self.resolve(items)),
            (None, Some(values)) if self.resolve(values).get("properties").is_some() => {
                (format!("[{path}.NAME]"), self.resolve(values))
            }
            _ => (format!("[{path}]"), whole.clone()),
        };
        let mut schema = inner.clone();
        if inner.get("properties").is_none() {
            // A top-level table whose keys people choose.
            let values = whole.get("additionalProperties").filter(|values| values.is_object())?;
            let top = todo.heading.is_empty() && todo.path.is_empty();
            schema = serde_json::json!({ "properties": { "NAME": values }, "required": ["NAME"] });
            if !top {
                return None;
            }
        }
        if key == "when" {
            if !self.shared.iter().any(|(name, _)| name == "when") {
                self.shared.push(("when".to_owned(), inner));
            }
            return None;
        }
        // What a section is for is said where it is used.
        if let (Some(text), Some(schema)) = (value.get("description"), schema.as_object_mut()) {
            schema.insert("description".to_owned(), text.clone());
        }
        Some(Todo { heading, path, schema, level: if todo.heading.is_empty() { 2 } else { 3 } })
    }

    fn kind(&self, value: &Value) -> String {
        let schema = self.resolve(value);
        let names: Vec<_> = list(&schema, "oneOf")
            .iter()
            .filter_map(|one| Some(format!("`{}`", one.get("const")?.as_str()?)))
            .chain(
                list(&schema, "enum").iter().filter_map(|one| Some(format!("`{}`", one.as_str()?))),
            )
            .collect();
        if !names.is_empty() {
            return names.join(", ");
        }
        if let Some(items) =
            schema.get("items").filter(|_| is(&schema, "array") && !is(&schema, "string"))
        {
            return match self.kind(items).as_str() {
                "table" => "list of tables".to_owned(),
                kind => format!("list of {kind}"),
            };
        }
        let words = [
            ("string", "text"),
            ("integer", "number"),
            ("boolean", "boolean"),
            ("array", "list"),
            ("object", "table"),
        ];
        let words = words.iter().filter(|(theirs, _)| is(&schema, theirs)).map(|(_, ours)| *ours);
        match words.collect::<Vec<_>>().join(" or ") {
            none if none.is_empty() => "any".to_owned(),
            all if all.matches(" or ").count() > 2 => "a value of its type".to_owned(),
            words => words,
        }
    }

    /// What a schema refers to, without the `null` of what may be absent.
    fn resolve(&self, schema: &Value) -> Value {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let path = reference.trim_start_matches('#');
            return self.root.pointer(path).map_or(Value::Null, |there| self.resolve(there));
        }
        let choices = list(schema, "anyOf");
        let present = choices.iter().find(|choice| !is(choice, "null"));
        present.map_or_else(|| schema.clone(), |choice| self.resolve(choice))
    }
}

/// Whether a schema is of this type, or may be.
fn is(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == kind,
        Some(Value::Array(several)) => several.iter().any(|one| one == kind),
        _ => false,
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn entries<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema.get(key).and_then(Value::as_object).into_iter().flatten()
}

/// A description in one line of a table.
fn about(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn default(schema: &Value, required: bool) -> String {
    match schema.get("default") {
        _ if required => String::new(),
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "empty".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "empty".to_owned(),
        Some(Value::Object(_)) => "empty".to_owned(),
        // The only numbers between that are modes.
        Some(Value::Number(number)) if matches!(number.as_u64(), Some(0o600..=0o777)) => {
            format!("`0o{:o}`", number.as_u64().unwrap_or_default())
        }
        Some(Value::String(text)) => format!("`{text}`"),
        Some(value) => format!("`{value}`"),
    }
}
