//! What a step waited for, which steps decided the end, and how much time the others had.

use super::Line;
use crate::boot::steps::{self, Step};
use crate::host::Role;

/// Fills in what each step waited for, by the table of the role, or else by the table that has most
/// of the steps.
pub(super) fn connect(lines: &mut [Line], role: Option<Role>) {
    let known = |table: &'static [Step]| {
        lines.iter().filter(|line| table.iter().any(|row| row.name == line.step)).count()
    };
    let tables = [Role::Controller, Role::Agent, Role::Ecs].map(|role| steps::table(Some(role)));
    let guessed = tables.into_iter().max_by_key(|table| known(table));
    let table = role.map(|role| steps::table(Some(role))).or(guessed).unwrap_or_default();
    let names: Vec<String> = lines.iter().map(|line| line.step.clone()).collect();
    for line in lines.iter_mut() {
        line.after = before(table, &line.step, &names);
    }
}

/// The steps of `ran` that `step` waited for. One that another hostkit has not stands for those that
/// it waits for itself.
fn before(table: &[Step], step: &str, ran: &[String]) -> Vec<String> {
    let Some(row) = table.iter().find(|row| row.name == step) else { return Vec::new() };
    let mut found = Vec::new();
    for name in row.after {
        let names = if ran.iter().any(|it| it == name) {
            vec![(*name).to_owned()]
        } else {
            before(table, name, ran)
        };
        for name in names {
            if !found.contains(&name) {
                found.push(name);
            }
        }
    }
    found
}

/// Fills in slack, and returns the critical path.
pub(super) fn examine(lines: &mut [Line]) -> Vec<String> {
    let path = path(lines);
    let end = lines.iter().map(Line::end).fold(0.0, f64::max);
    // The latest end of each that delays nobody, from the last to the first.
    let mut latest = vec![end; lines.len()];
    for index in (0..lines.len()).rev() {
        let start = latest[index] - lines[index].took;
        for before in &lines[index].after {
            if let Some(before) = place(lines, before) {
                latest[before] = latest[before].min(start);
            }
        }
    }
    for (index, line) in lines.iter_mut().enumerate() {
        line.critical = path.contains(&line.step);
        let slack = (latest[index] - line.at - line.took).max(0.0);
        line.slack = if line.critical { 0.0 } else { (slack * 1000.0).round() / 1000.0 };
    }
    path
}

/// From the step that ended last back over that of its predecessors which ended last.
fn path(lines: &[Line]) -> Vec<String> {
    let last = lines.iter().max_by(|a, b| a.end().total_cmp(&b.end()));
    let before = |line: &&Line| {
        let before = line.after.iter().filter_map(|name| place(lines, name));
        before.map(|index| &lines[index]).max_by(|a, b| a.end().total_cmp(&b.end()))
    };
    // A table has no cycles, and every step of it once.
    let mut path: Vec<_> = std::iter::successors(last, before)
        .take(lines.len())
        .map(|line| line.step.clone())
        .collect();
    path.reverse();
    path
}

fn place(lines: &[Line], name: &str) -> Option<usize> {
    lines.iter().position(|line| line.step == name)
}
